"""Container logs of one application, wherever they are at the moment."""

import re
import subprocess
import sys
import time
from pathlib import Path

from . import probes
from .errors import ClusterError

AGGREGATION_SECONDS = 20
FINISHED = ("FINISHED", "FAILED", "KILLED")


def show(cluster, asked, out=sys.stdout):
    """Print the logs: from the nodes while it runs, from HDFS (`yarn logs`) afterwards."""
    name = _resolve(cluster, asked)
    if _aggregated(cluster, name):
        return subprocess.run(
            [cluster.home / "bin" / "yarn", "logs", "-applicationId", name],
            stdout=out,
            env=_quiet(cluster),
        ).returncode
    files = local_files(cluster, name)
    if not files:
        raise ClusterError(f"no logs of {name}: not on the nodes, not in HDFS (/tmp/logs)")
    for path in files:
        _print(path, out)
    return 0


def local_files(cluster, name):
    """Log files that are still on the nodes."""
    return sorted(cluster.data.glob(f"nodes/*/containers/{name}/container_*/*"))


def _resolve(cluster, asked):
    """application_1_2 itself, the application of job_1_2, or the latest one for `last`."""
    if asked == "last":
        known = sorted(probes.applications(cluster), key=lambda app: app["startedTime"])
        if not known:
            raise ClusterError("no application has run on this cluster")
        return known[-1]["id"]
    found = re.fullmatch(r"(?:application|job)_(\d+_\d+)", asked)
    if not found:
        raise ClusterError(
            f"expected application_..., job_... or 'last' but received {asked!r}; "
            "`yarn application -list -appStates ALL` lists them"
        )
    return f"application_{found[1]}"


def _aggregated(cluster, name):
    """Wait a little for the nodes to bring a finished application's logs to HDFS."""
    deadline = time.monotonic() + AGGREGATION_SECONDS
    while time.monotonic() < deadline:
        app = probes.application(cluster, name)
        if not app:
            return not local_files(cluster, name)
        if app["state"] not in FINISHED:
            return False
        if app.get("logAggregationStatus") in ("SUCCEEDED", "FAILED", "TIME_OUT", "DISABLED"):
            return app["logAggregationStatus"] == "SUCCEEDED"
        time.sleep(0.5)
    return False


def _print(path, out):
    node, container = path.parts[-5], path.parts[-2]
    out.write(f"===== {container} on {node}: {path.name} ({path.stat().st_size} bytes)\n")
    with open(path, errors="replace") as file:
        for line in file:
            out.write(line)
    out.write("\n")


def _quiet(cluster):
    return {
        "HADOOP_CONF_DIR": str(cluster.conf),
        "HADOOP_ROOT_LOGGER": "WARN,console",
        "JAVA_HOME": cluster.java_home,
        "LANG": "C.UTF-8",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(Path.home()),
    }
