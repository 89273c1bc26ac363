"""`mrmodel doctor -r hadoop` against a cluster that is well, and against one made ill."""

import json
import subprocess
import sys

import pytest

from mrmodel import storage

pytestmark = pytest.mark.hadoop


def run_doctor(*arguments, **env):
    """(exit code, {check: {mark, found, remedy}}, what the task told)."""
    import os

    command = [sys.executable, "-m", "mrmodel", "doctor", "-r", "hadoop", "--json", *arguments]
    done = subprocess.run(
        command, env={**os.environ, **env}, capture_output=True, text=True, timeout=400
    )
    told = json.loads(done.stdout)
    assert told["exit_code"] == done.returncode, done.stderr
    return done.returncode, {check["check"]: check for check in told["checks"]}, told["task"]


def test_a_cluster_that_is_well_seen_from_a_node(cluster):
    code, checks, told = run_doctor("--deep", "--python", sys.executable)
    assert code == 0, checks
    assert {name for name, check in checks.items() if check["mark"] != "ok"} <= {
        "machine",  # a small or busy machine
        "temporary folder",
    }
    assert cluster.namenode in checks["hdfs"]["found"]
    assert f"{cluster.nodes} running" in checks["nodes"]["found"]
    assert "version 2" in checks["committer"]["found"]
    assert "not limited (the cluster's setting)" in checks["memory limits"]["found"]
    assert told["executable"] == sys.executable and told["container_mb"] == 1536
    assert told["input"]["uri"].startswith(cluster.namenode)
    assert left_behind(cluster) == []


def test_an_interpreter_that_the_nodes_lack(cluster):
    code, checks, told = run_doctor("--deep", "--python", "/nowhere/bin/python")
    assert code == 2 and told is None
    assert checks["one-task job"]["found"].startswith("the nodes have no /nowhere/bin/python")
    assert checks["task python"]["mark"] == "skip"
    assert left_behind(cluster) == []


def test_more_memory_than_a_node_has(cluster):
    code, checks, _ = run_doctor("--deep", "--memory", "1000GB")
    assert code == 2
    assert "the scheduler gives at most" in checks["task memory"]["found"]
    assert checks["one-task job"]["found"] == "needs task memory"


def test_a_user_without_a_home(cluster):
    code, checks, _ = run_doctor(HADOOP_USER_NAME="nobody_known")
    assert code == 2
    assert "nobody_known may not write" in checks["home folder"]["found"]
    assert "hdfs dfs -chown nobody_known" in checks["home folder"]["remedy"]
    assert checks["yarn"]["mark"] == "ok"


def test_a_cluster_that_is_down(cluster, tmp_path):
    for name in ("core-site.xml", "yarn-site.xml", "mapred-site.xml"):
        (tmp_path / name).write_text(
            "<configuration>"
            + prop("fs.defaultFS", "hdfs://127.0.0.1:1")
            + prop("yarn.resourcemanager.address", "127.0.0.1:1")
            + prop("mapreduce.framework.name", "yarn")
            + "</configuration>"
        )
    code, checks, _ = run_doctor("--deep", HADOOP_CONF_DIR=str(tmp_path))
    assert code == 4
    marks = {name: check["mark"] for name, check in checks.items()}
    assert marks["hdfs"] == marks["yarn"] == "FAIL" and marks["hadoop"] == "ok"
    assert checks["one-task job"]["found"] == "needs hdfs and yarn"


def prop(name, value):
    return f"<property><name>{name}</name><value>{value}</value></property>"


def left_behind(cluster):
    import getpass

    home = storage.join(cluster.namenode, "user", getpass.getuser())
    names = [entry.name for entry in storage.storage_for(home).ls(home)]
    return [name for name in names if name.startswith(".mrmodel-doctor")]
