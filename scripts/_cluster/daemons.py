"""The daemons: what each is called, how it is started, where it is seen."""

import getpass
import os
import subprocess
from pathlib import Path

from . import classes, configuration, java, processes
from .errors import ClusterError
from .state import Daemon

HEAP = "-Xmx256m"  # a handful of nodes, some thousand files
CLASSES = {
    "namenode": "org.apache.hadoop.hdfs.server.namenode.NameNode",
    "datanode": "org.apache.hadoop.hdfs.server.datanode.DataNode",
    "resourcemanager": "org.apache.hadoop.yarn.server.resourcemanager.ResourceManager",
    "nodemanager": "org.apache.hadoop.yarn.server.nodemanager.NodeManager",
    "historyserver": "org.apache.hadoop.mapreduce.v2.hs.JobHistoryServer",
}
# of the daemons' environment, what containers inherit (yarn.nodemanager.env-whitelist) matters
CONTAINER_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def all_of(cluster):
    """The daemons of this cluster, not started."""
    ports = configuration.master_ports(cluster)

    def daemon(kind, host, port):
        name = kind if host == "127.0.0.1" else f"{kind}-{host.rpartition('.')[2]}"
        log = str(cluster.logs / f"{name}.log")
        return Daemon(name, host, f"http://{host}:{port}", log)

    masters = [
        daemon("namenode", "127.0.0.1", ports["NAMENODE_HTTP"]),
        daemon("resourcemanager", "127.0.0.1", ports["RESOURCEMANAGER_HTTP"]),
        daemon("historyserver", "127.0.0.1", ports["HISTORY_HTTP"]),
    ]
    nodes = [
        daemon(kind, host, configuration.node_ports(cluster, host)[f"{kind.upper()}_HTTP"])
        for host in cluster.hosts
        for kind in ("datanode", "nodemanager")
    ]
    return masters + nodes


def kind_of(daemon):
    return daemon.name.partition("-")[0]


def alive(daemon):
    return processes.alive(daemon.pid, daemon.started)


def start(cluster, daemon):
    """Start in a session of its own, so that neither Ctrl-C nor a closed terminal ends it."""
    with open(daemon.log, "ab") as log:
        process = subprocess.Popen(
            _command(cluster, daemon),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=_environment(cluster),
            cwd=cluster.data,
            start_new_session=True,
        )
    daemon.pid, daemon.started = process.pid, processes.start_time(process.pid) or 0


def format_namenode(cluster):
    command = [*_java(cluster, "namenode"), CLASSES["namenode"], "-format", "-nonInteractive"]
    done = subprocess.run(
        command, env=_environment(cluster), cwd=cluster.data, capture_output=True, text=True
    )
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise ClusterError(f"the NameNode could not be formatted; it said:\n{tail}")


def _command(cluster, daemon):
    command = [*_java(cluster, kind_of(daemon)), CLASSES[kind_of(daemon)]]
    if daemon.host != "127.0.0.1":
        command += ["-conf", str(configuration.node_file(cluster, daemon.host))]
    return command


def _java(cluster, kind):
    archive = classes.archive(cluster)
    return [
        f"{cluster.java_home}/bin/java",
        f"-Dproc_{kind}",
        HEAP,
        *java.OPTIONS,
        *([f"-XX:SharedArchiveFile={archive}"] if archive.exists() else []),
        f"-Dhadoop.home.dir={cluster.home}",
        f"-Dhadoop.log.dir={cluster.logs}",
        f"-Dyarn.log.dir={cluster.logs}",
    ]


def _environment(cluster):
    """Chosen, not inherited: a container must not depend on the shell that started the cluster."""
    name, _, value = cluster.mark.partition("=")
    zone = {"TZ": os.environ["TZ"]} if "TZ" in os.environ else {}
    return {
        name: value,
        "CLASSPATH": f"{classes.all_jars(cluster.dist)}:{cluster.conf}:{cluster.dist}/web",
        "HADOOP_CONF_DIR": str(cluster.conf),
        "HADOOP_HOME": str(cluster.home),
        "HOME": str(Path.home()),
        "JAVA_HOME": cluster.java_home,
        "LANG": "C.UTF-8",
        "PATH": f"{cluster.home}/bin:{cluster.java_home}/bin:{CONTAINER_PATH}",
        "USER": getpass.getuser(),
        **zone,
    }
