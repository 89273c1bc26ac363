#!/bin/sh
# hadoop, hdfs, yarn, mapred: one script under four names. Hadoop's own are in its tarball only.
# The environment variables are theirs: HADOOP_CONF_DIR, HADOOP_CLASSPATH, HADOOP_OPTS,
# HADOOP_CLIENT_OPTS, HADOOP_HEAPSIZE_MAX, HADOOP_ROOT_LOGGER, HADOOP_USER_NAME.
set -eu

export HADOOP_HOME="@HOME@"
dist="@DIST@"
me=$(basename "$0")
java="${JAVA_HOME:-@JAVA@}/bin/java"

if [ "${1:-}" = --config ]; then
    HADOOP_CONF_DIR=$2
    shift 2
fi
export HADOOP_CONF_DIR="${HADOOP_CONF_DIR:-$HADOOP_HOME/etc/hadoop}"

usage() {
    case $me in
        hadoop) words="fs jar version classpath conf key CLASS" ;;
        hdfs) words="dfs dfsadmin fsck getconf groups balancer ec storagepolicies cacheadmin crypto
            lsSnapshottableDir snapshotDiff oiv oev debug mover version classpath CLASS" ;;
        yarn) words="application applicationattempt container node logs queue cluster rmadmin top
            jar version classpath CLASS" ;;
        mapred) words="job queue streaming version classpath CLASS" ;;
    esac
    echo "usage: $me [--config DIR] COMMAND [ARGS]; COMMAND is one of:" $words >&2
    exit "$1"
}

word=${1:-}
[ $# -gt 0 ] && shift
verb=
case "$me $word" in
    *" " | *" --help" | *" -h" | *" help") [ -z "$word" ] && usage 2; usage 0 ;;
    *" version") main=org.apache.hadoop.util.VersionInfo ;;
    *" classpath")
        echo "$HADOOP_CONF_DIR:$(cat "$dist/classpath"):$dist/web${HADOOP_CLASSPATH:+:$HADOOP_CLASSPATH}"
        exit 0 ;;
    "hadoop fs" | "hadoop dfs" | "hdfs dfs") main=org.apache.hadoop.fs.FsShell ;;
    "hadoop jar" | "yarn jar") main=org.apache.hadoop.util.RunJar ;;
    "hadoop conf") main=org.apache.hadoop.util.ConfTest ;;
    "hadoop key") main=org.apache.hadoop.crypto.key.KeyShell ;;
    "hdfs dfsadmin") main=org.apache.hadoop.hdfs.tools.DFSAdmin ;;
    "hdfs fsck") main=org.apache.hadoop.hdfs.tools.DFSck ;;
    "hdfs getconf") main=org.apache.hadoop.hdfs.tools.GetConf ;;
    "hdfs groups") main=org.apache.hadoop.hdfs.tools.GetGroups ;;
    "hdfs balancer") main=org.apache.hadoop.hdfs.server.balancer.Balancer ;;
    "hdfs mover") main=org.apache.hadoop.hdfs.server.mover.Mover ;;
    "hdfs ec") main=org.apache.hadoop.hdfs.tools.ECAdmin ;;
    "hdfs storagepolicies") main=org.apache.hadoop.hdfs.tools.StoragePolicyAdmin ;;
    "hdfs cacheadmin") main=org.apache.hadoop.hdfs.tools.CacheAdmin ;;
    "hdfs crypto") main=org.apache.hadoop.hdfs.tools.CryptoAdmin ;;
    "hdfs lsSnapshottableDir") main=org.apache.hadoop.hdfs.tools.snapshot.LsSnapshottableDir ;;
    "hdfs snapshotDiff") main=org.apache.hadoop.hdfs.tools.snapshot.SnapshotDiff ;;
    "hdfs oiv") main=org.apache.hadoop.hdfs.tools.offlineImageViewer.OfflineImageViewerPB ;;
    "hdfs oev") main=org.apache.hadoop.hdfs.tools.offlineEditsViewer.OfflineEditsViewer ;;
    "hdfs debug") main=org.apache.hadoop.hdfs.tools.DebugAdmin ;;
    "yarn application" | "yarn app" | "yarn applicationattempt" | "yarn container")
        main=org.apache.hadoop.yarn.client.cli.ApplicationCLI verb=$word ;;
    "yarn node") main=org.apache.hadoop.yarn.client.cli.NodeCLI ;;
    "yarn logs") main=org.apache.hadoop.yarn.client.cli.LogsCLI ;;
    "yarn queue") main=org.apache.hadoop.yarn.client.cli.QueueCLI ;;
    "yarn cluster") main=org.apache.hadoop.yarn.client.cli.ClusterCLI ;;
    "yarn rmadmin") main=org.apache.hadoop.yarn.client.cli.RMAdminCLI ;;
    "yarn top") main=org.apache.hadoop.yarn.client.cli.TopCLI ;;
    "mapred job") main=org.apache.hadoop.mapred.JobClient ;;
    "mapred queue") main=org.apache.hadoop.mapred.JobQueueClient ;;
    "mapred streaming") main=org.apache.hadoop.util.RunJar
        verb=$(echo "$HADOOP_HOME"/share/hadoop/tools/lib/hadoop-streaming-*.jar) ;;
    *.*) main=$word ;;
    *) echo "$me: unknown command '$word'" >&2; usage 2 ;;
esac

# The jars come first (hadoop.jar names them all), and folders last: a JVM can use its archive of
# loaded classes (classes.py makes both) only then. No jar has a configuration file that would win.
export CLASSPATH="$dist/hadoop.jar:$HADOOP_CONF_DIR:$dist/web${HADOOP_CLASSPATH:+:$HADOOP_CLASSPATH}"
archive=
[ -f "@ARCHIVE@" ] && archive=-XX:SharedArchiveFile=@ARCHIVE@

# shellcheck disable=SC2086 # options are words
exec "$java" @OPTIONS@ $archive -Xmx"${HADOOP_HEAPSIZE_MAX:-512m}" \
    -Dhadoop.home.dir="$HADOOP_HOME" -Dhadoop.root.logger="${HADOOP_ROOT_LOGGER:-INFO,console}" \
    ${HADOOP_OPTS:-} ${HADOOP_CLIENT_OPTS:-} "$main" $verb "$@"
