"""Where bytes lie: local files and HDFS behind one small interface."""
