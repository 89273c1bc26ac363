"""One real cluster for all tests of a session: `def test_x(cluster): ...`.

MRMODEL_TEST_CLUSTER names the folder of a running cluster to use instead (quick repeats):

    MRMODEL_CLUSTER_DIR=/tmp/dev scripts/cluster up
    MRMODEL_TEST_CLUSTER=/tmp/dev pytest -m hadoop
"""

import json
import os
import shutil
import subprocess
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "cluster"
NAMES = ("HADOOP_HOME", "HADOOP_CONF_DIR", "JAVA_HOME", "PATH")


@dataclass(frozen=True)
class Cluster:
    """A running cluster. Its variables are in os.environ for the whole session, too."""

    folder: Path
    env: dict[str, str]  # os.environ with HADOOP_HOME, HADOOP_CONF_DIR, JAVA_HOME and PATH
    namenode: str  # hdfs://host:port
    rm_url: str  # http://host:port
    history_url: str  # http://host:port
    nodes: int

    def run(self, *command, **options):
        """Run a command (`hdfs dfs -ls /`) to its end; fail with what it said if it fails."""
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, **options)
        assert done.returncode == 0, f"{command}: exit {done.returncode}\n{done.stderr}"
        return done.stdout

    def rm(self, path):
        """JSON of the ResourceManager's REST interface: rm('cluster/apps')."""
        return get_json(f"{self.rm_url}/ws/v1/{path}")

    def history(self, path):
        """JSON of the history server's REST interface: history('jobs/job_1_2/counters')."""
        return get_json(f"{self.history_url}/ws/v1/history/mapreduce/{path}")


def get_json(url):
    with urllib.request.urlopen(url, timeout=10) as reply:
        return json.load(reply)


def run_script(folder, *arguments):
    """scripts/cluster for the cluster in `folder`."""
    env = {**os.environ, "MRMODEL_CLUSTER_DIR": str(folder)}
    return subprocess.run(
        [SCRIPT, *arguments], env=env, capture_output=True, text=True, timeout=900
    )


def describe(folder):
    """The running cluster in `folder`, as tests see it."""
    exported = run_script(folder, "env")
    assert exported.returncode == 0, exported.stderr
    shown = subprocess.run(
        ["sh", "-c", f"{exported.stdout}\nenv -0"], capture_output=True, text=True, check=True
    )
    env = dict(pair.split("=", 1) for pair in shown.stdout.split("\0") if pair)
    state = json.loads((folder / "state.json").read_text())
    pages = {daemon["name"]: daemon["url"] for daemon in state["daemons"]}
    namenode = f"hdfs://127.0.0.1:{state['base_port']}"  # the first port of the block
    resource_manager, history = pages["resourcemanager"], pages["historyserver"]
    return Cluster(folder, env, namenode, resource_manager, history, state["nodes"])


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """A cluster of three nodes, started once and stopped at the end whatever happens."""
    named = os.environ.get("MRMODEL_TEST_CLUSTER")
    folder = Path(named) if named else tmp_path_factory.mktemp("cluster")
    if not named:
        _need_java()
    try:
        if not named:
            started = run_script(folder, "up", "--nodes", "3")
            assert started.returncode == 0, started.stderr
        running = describe(folder)
        with pytest.MonkeyPatch.context() as patch:
            for name in NAMES:
                patch.setenv(name, running.env[name])
            yield running
    finally:
        if not named:
            run_script(folder, "down")


def _need_java():
    if not (os.environ.get("JAVA_HOME") or shutil.which("java")):
        pytest.skip("needs Java (JAVA_HOME or `java` on PATH)")
