"""What ``mrmodel doctor`` looks at, a module per place: this machine, the Hadoop client on it,
HDFS, YARN, the cluster's settings, and the nodes from inside."""
