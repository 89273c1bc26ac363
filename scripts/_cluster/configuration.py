"""Ports, and the configuration files made from hadoop-conf/."""

import getpass
import re
import socket
import zlib
from pathlib import Path
from xml.sax.saxutils import escape

from . import classes
from .errors import ClusterError
from .state import REPOSITORY

TEMPLATES = REPOSITORY / "hadoop-conf"

# Below the range from which the kernel hands out ports, so that no connection sits on one.
FIRST_PORT, LAST_PORT = 20000, 32000
MASTER_PORTS = [
    "NAMENODE_RPC",
    "NAMENODE_HTTP",
    "RESOURCEMANAGER_RPC",
    "RESOURCEMANAGER_SCHEDULER",
    "RESOURCEMANAGER_TRACKER",
    "RESOURCEMANAGER_ADMIN",
    "RESOURCEMANAGER_HTTP",
    "HISTORY_RPC",
    "HISTORY_ADMIN",
    "HISTORY_HTTP",
]
NODE_PORTS = [
    "DATANODE_DATA",
    "DATANODE_RPC",
    "DATANODE_HTTP",
    "NODEMANAGER_RPC",
    "NODEMANAGER_LOCALIZER",
    "NODEMANAGER_HTTP",
    "NODEMANAGER_SHUFFLE",
]


def master_ports(cluster):
    return {name: cluster.base_port + i for i, name in enumerate(MASTER_PORTS)}


def node_ports(cluster, host):
    first = cluster.base_port + len(MASTER_PORTS) + cluster.hosts.index(host) * len(NODE_PORTS)
    return {name: first + i for i, name in enumerate(NODE_PORTS)}


def choose_ports(cluster):
    """Keep the ports of last time (paths in people's scripts name them), or find a free block.

    The search starts at a place that depends on the folder, so that two clusters that start at
    the same moment do not choose the same block.
    """
    size = len(MASTER_PORTS) + len(NODE_PORTS) * cluster.nodes
    blocks = [FIRST_PORT + i * size for i in range((LAST_PORT - FIRST_PORT) // size)]
    start = zlib.crc32(cluster.folder.encode()) % len(blocks)
    candidates = [cluster.base_port] if cluster.base_port else []
    for base in candidates + blocks[start:] + blocks[:start]:
        if all(_free(port) for port in range(base, base + size)):
            cluster.base_port = base
            return
    raise ClusterError(f"no {size} free ports in a row between {FIRST_PORT} and {LAST_PORT}")


def _free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True


def check_hosts(cluster):
    """Nodes are addresses 127.0.0.x, and Hadoop asks for the machine's own name."""
    try:
        with socket.socket() as probe:
            probe.bind((cluster.hosts[-1], 0))
    except OSError as error:
        raise ClusterError(
            f"expected to listen on {cluster.hosts[-1]} but {error}; the cluster needs Linux, "
            "where all of 127.0.0.0/8 is this machine"
        ) from error
    try:
        socket.gethostbyname(socket.gethostname())
    except OSError as error:
        raise ClusterError(
            f"this machine's name {socket.gethostname()!r} does not resolve ({error}); add "
            f"'127.0.0.1 {socket.gethostname()}' to /etc/hosts"
        ) from error


def write(cluster):
    """etc/hadoop for all, etc/nodes/HOST.xml for each node."""
    values = _values(cluster)
    for template in TEMPLATES.iterdir():
        if template.suffix in (".xml", ".properties") and template.name != "node.xml":
            _render(template, values, cluster.conf / template.name)
    for host in cluster.hosts:
        own = {"HOST": host, "NODE_DIR": cluster.node_folder(host), **node_ports(cluster, host)}
        _render(TEMPLATES / "node.xml", {**values, **own}, node_file(cluster, host))


def node_file(cluster, host):
    return cluster.home / "etc" / "nodes" / f"{host}.xml"


def _values(cluster):
    return {
        "DATA": cluster.data,
        "JVM": classes.options(cluster),
        "LIB": Path(cluster.dist) / "lib",
        "MARK": cluster.mark,
        "NODES": cluster.nodes,
        "NODE_MEMORY": cluster.memory,
        "NODE_VCORES": cluster.vcores,
        "REPLICATION": min(2, cluster.nodes),
        "USER": getpass.getuser(),
        **master_ports(cluster),
    }


def _render(template, values, target):
    def value(match):
        if match[1] not in values:
            raise ClusterError(f"{template}: nothing known for @{match[1]}@")
        return escape(str(values[match[1]]))

    target.write_text(re.sub(r"@([A-Z_]+)@", value, template.read_text()))
