"""up and down."""

import getpass
import shutil
import time
from pathlib import Path

from . import classes, configuration, daemons, distribution, java, probes, processes
from .errors import ClusterError

READY_SECONDS = 120
STOP_SECONDS = 15
TAIL_LINES = 25
TAIL_WIDTH = 400  # the class path is a line of its own


def up(cluster, say):
    """Start all of it and wait until it is ready; on any failure stop what was started."""
    began = time.monotonic()
    fresh = not cluster.data.exists()
    _clean(cluster)
    _prepare(cluster, say)
    try:
        _start(cluster, say)
    except BaseException:  # Ctrl-C too: nothing half-started may stay
        stop(cluster, say)
        if fresh:
            remove_data(cluster)
        raise
    say(f"ready in {time.monotonic() - began:.1f} s")
    classes.keep(cluster, say)


def is_up(cluster):
    return bool(cluster.daemons) and all(map(daemons.alive, cluster.daemons))


def stop(cluster, say):
    """Stop the daemons, then whatever else carries the cluster's mark.

    A NodeManager ends its containers when it is asked to stop. Those of one that was killed, and
    daemons that the state has lost, are found by the mark.
    """
    running = [d for d in cluster.daemons if daemons.alive(d)]
    if running:
        say(f"stopping {len(running)} daemons")
    killed = processes.stop([(d.pid, d.started) for d in running], STOP_SECONDS)
    left = processes.marked(cluster.mark)
    if left:
        say(f"ending {len(left)} processes that outlived their node")
        killed += processes.stop(left, 2)
    cluster.daemons = []
    if cluster.path.exists():
        cluster.save()
    return killed


def remove_data(cluster):
    """HDFS, containers' folders and the configuration; the daemons' logs stay to be read."""
    shutil.rmtree(cluster.data, ignore_errors=True)
    shutil.rmtree(cluster.home, ignore_errors=True)
    (cluster.path / "state.json").unlink(missing_ok=True)


def _clean(cluster):
    """After a crash or a reboot: end what is left of the old run before starting the new one."""
    if cluster.daemons or processes.marked(cluster.mark):
        stop(cluster, lambda line: None)
    shutil.rmtree(cluster.logs, ignore_errors=True)


def _prepare(cluster, say):
    cluster.java_home = java.find_home()
    configuration.check_hosts(cluster)
    cluster.dist = str(distribution.ensure(say))
    configuration.choose_ports(cluster)
    cluster.logs.mkdir(parents=True)
    for host in cluster.hosts:
        cluster.node_folder(host).mkdir(parents=True, exist_ok=True)
    distribution.lay_out(cluster)
    configuration.write(cluster)
    cluster.save()


def _start(cluster, say):
    """In the order that wastes nothing: the processor is the bottleneck of a start.

    The NameNode comes first, with the ResourceManager, which is the slowest; the history server
    comes once HDFS takes files, or it would sleep ten seconds before it looks again.
    """
    say(f"starting HDFS and YARN with {cluster.nodes} nodes on ports from {cluster.base_port}")
    _start_kinds(cluster, "resourcemanager")
    if not (cluster.data / "namenode" / "current" / "VERSION").exists():
        daemons.format_namenode(cluster)
    _start_kinds(cluster, "namenode")
    _wait(cluster, say, lambda: probes.no_answer(cluster))
    _start_kinds(cluster, "datanode", "nodemanager")
    _wait(cluster, say, lambda: probes.safe_mode(cluster))
    _wait(cluster, say, lambda: _unmade_folders(cluster))
    _start_kinds(cluster, "historyserver")
    _wait(cluster, say, lambda: probes.waiting_for(cluster))


def _start_kinds(cluster, *kinds):
    for daemon in daemons.all_of(cluster):
        if daemons.kind_of(daemon) in kinds:
            daemons.start(cluster, daemon)
            cluster.daemons.append(daemon)
            cluster.save()


def _wait(cluster, say, waits):
    """Until `waits()` ({daemon kind: words}) is empty; a daemon that ends meanwhile is the news."""
    deadline = time.monotonic() + READY_SECONDS
    said = None
    while left := waits():
        _check_alive(cluster)
        words = ", ".join(f"{kind}: {state}" for kind, state in left.items())
        if time.monotonic() > deadline:
            raise ClusterError(_not_ready(cluster, left, words))
        if words != said:
            say(f"waiting for {words}")
            said = words
        time.sleep(0.3)


def _check_alive(cluster):
    for daemon in cluster.daemons:
        if not daemons.alive(daemon):
            raise ClusterError(f"{daemon.name} ended; {daemon.log} ends with:\n{tail(daemon)}")


def _not_ready(cluster, waits, words):
    guilty = [d for d in cluster.daemons if daemons.kind_of(d) in waits]
    ends = "\n".join(f"{d.log} ends with:\n{tail(d)}" for d in guilty)
    return f"not ready after {READY_SECONDS} s ({words})\n{ends}"


def tail(daemon):
    lines = Path(daemon.log).read_text(errors="replace").splitlines()
    return "\n".join("    " + line[:TAIL_WIDTH] for line in lines[-TAIL_LINES:])


def _unmade_folders(cluster):
    """Make /tmp for all, as on any cluster, and a home for who started it; {} when done.

    Made before the history server makes its own, closed to all but itself. The NameNode's page
    answers a moment before its files can be changed, hence tried again.
    """
    user = getpass.getuser()
    folders = {
        "/tmp": "1777",
        "/tmp/hadoop-yarn": "755",
        "/tmp/hadoop-yarn/staging": "1777",
        "/tmp/hadoop-yarn/staging/history": "755",
        "/user": "755",
        f"/user/{user}": "755",
    }
    made = all(probes.make_folder(cluster, path, mode, user) for path, mode in folders.items())
    return {} if made else {"namenode": "takes no files yet"}
