"""up and down."""

import getpass
import shutil
import time
from pathlib import Path

from . import configuration, daemons, distribution, java, probes, processes
from .errors import ClusterError

READY_SECONDS = 120
STOP_SECONDS = 15
TAIL_LINES = 25


def up(cluster, say):
    """Start all of it and wait until it is ready; on any failure stop what was started."""
    began = time.monotonic()
    _clean(cluster)
    _prepare(cluster, say)
    try:
        _start(cluster, say)
        _wait_until_ready(cluster, say)
        _make_folders(cluster)
    except BaseException:  # Ctrl-C too: nothing half-started may stay
        stop(cluster, say)
        raise
    say(f"ready in {time.monotonic() - began:.1f} s")


def is_up(cluster):
    return bool(cluster.daemons) and all(map(daemons.alive, cluster.daemons))


def stop(cluster, say):
    """Stop the daemons, then whatever else carries the cluster's mark: containers, lost daemons.

    NodeManagers and the masters go first: a NodeManager that stops kills its containers.
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
    """YARN starts while the NameNode is formatted: it does not need HDFS before the first job."""
    say(f"starting HDFS and YARN with {cluster.nodes} nodes on ports from {cluster.base_port}")
    cluster.daemons = daemons.all_of(cluster)
    early = [d for d in cluster.daemons if daemons.kind_of(d) in ("resourcemanager", "nodemanager")]
    late = [d for d in cluster.daemons if d not in early]
    for daemon in early:
        _start_one(cluster, daemon)
    if not (cluster.data / "namenode" / "current" / "VERSION").exists():
        daemons.format_namenode(cluster)
    for daemon in late:
        _start_one(cluster, daemon)


def _start_one(cluster, daemon):
    daemons.start(cluster, daemon)
    cluster.save()


def _wait_until_ready(cluster, say):
    deadline = time.monotonic() + READY_SECONDS
    said = None
    while True:
        waits = probes.waiting_for(cluster)
        _check_alive(cluster)
        if not waits:
            return
        words = ", ".join(f"{name}: {state}" for name, state in waits.items())
        if time.monotonic() > deadline:
            raise ClusterError(_not_ready(cluster, waits, words))
        if words != said:
            say(f"waiting for {words}")
            said = words
        time.sleep(0.2)


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
    return "\n".join("    " + line for line in lines[-TAIL_LINES:])


def _make_folders(cluster):
    """/tmp for all, as on any cluster, and a home for who started it."""
    user = getpass.getuser()
    folders = [("/tmp", "1777"), ("/tmp/hadoop-yarn", "755"), ("/tmp/hadoop-yarn/staging", "1777")]
    for path, mode in [*folders, ("/user", "755"), (f"/user/{user}", "755")]:
        probes.make_folder(cluster, path, mode, user)
