"""What the person gets when it cannot work on a real cluster: one line that names the thing and
the remedy, the exit code of the contract, nothing half-written."""

import os
import re
import shutil
import signal
from pathlib import Path

import pytest

from mrmodel import storage as st

from . import running
from .running import mrmodel, on_hadoop, started, the_application, until

pytestmark = [pytest.mark.hadoop, pytest.mark.usefixtures("cluster")]

# one attempt is enough to see how it fails
ONCE = ["--jobconf", "mapreduce.map.maxattempts=1"]


@pytest.fixture(scope="module")
def root(cluster):
    root = f"{cluster.namenode}/tmp/mrmodel-test-bad-{os.getpid()}"
    rows = [{"id": number, "x": float(number)} for number in range(100)]
    running.write_file(f"{root}/in.jsonl", running.json_lines(rows))
    yield root
    st.storage_for(root).delete(root)


@pytest.fixture
def output(root, request):
    return f"{root}/{request.node.name}-{os.getpid()}"


def assert_fails(done, code, *words):
    """One line with all `words`, and the exit code."""
    assert done.code == code, done.err
    (line,) = [line for line in done.err.splitlines() if line.startswith("Error: ")]
    for word in words:
        assert word in line
    assert done.out == ""


def assert_nothing(output):
    assert running.names(output) is None
    assert running.names(running.staging(output)) is None


# nothing runs


def test_local_input(root, output, cluster, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"x": 1}\n')
    done = on_hadoop("doubler.py:Doubler", tmp_path / "in.jsonl", output)
    assert_fails(done, 2, str(tmp_path), f"mrmodel data put {tmp_path}")
    assert_nothing(output)
    assert not running.applications(cluster, output)


def test_local_output(root, tmp_path):
    done = on_hadoop("doubler.py:Doubler", f"{root}/in.jsonl", tmp_path / "out")
    assert_fails(done, 2, "hdfs://", str(tmp_path / "out"))
    assert list(tmp_path.iterdir()) == []


def test_no_permission_on_output(root, cluster):
    output = f"{cluster.namenode}/user/mrmodel-test-{os.getpid()}"
    done = on_hadoop("doubler.py:Doubler", f"{root}/in.jsonl", output, HADOOP_USER_NAME="somebody")
    assert_fails(done, 2, output, "as user somebody", "Permission denied")
    assert_nothing(output)
    assert not running.applications(cluster, output)


def test_no_permission_on_input(root, output, cluster):
    secret = f"{root}/secret.jsonl"
    running.write_file(secret, b'{"x": 1}\n')
    cluster.run("hdfs", "dfs", "-chmod", "600", secret, timeout=60)
    done = on_hadoop("doubler.py:Doubler", secret, output, HADOOP_USER_NAME="somebody")
    assert_fails(done, 2, secret, "no permission to read it")
    assert_nothing(output)


def test_more_memory_than_any_node_has(root, output):
    done = on_hadoop("doubler.py:Doubler", f"{root}/in.jsonl", output, "--memory", "1TB")
    assert_fails(done, 2, "--memory")
    assert_nothing(output)


@pytest.fixture
def dead_conf(cluster, tmp_path):
    """Copies the configuration with another port, on which nothing listens, for a setting."""

    def copy(file, name):
        folder = tmp_path / "conf"
        shutil.copytree(cluster.env["HADOOP_CONF_DIR"], folder)
        text = (folder / file).read_text()
        setting = rf"(<name>{re.escape(name)}</name>\s*<value>[^<]*):\d+"
        changed, count = re.subn(setting, r"\1:1", text)
        assert count == 1
        (folder / file).write_text(changed)
        return {"HADOOP_CONF_DIR": str(folder)}

    return copy


def test_hdfs_unreachable(dead_conf):
    done = on_hadoop(
        "doubler.py:Doubler", "hdfs:///in.jsonl", "hdfs:///out", timeout=60,
        **dead_conf("core-site.xml", "fs.defaultFS"),
    )  # fmt: skip
    assert_fails(done, 4, "127.0.0.1:1", "NameNode")


def test_resource_manager_unreachable(root, output, dead_conf):
    done = on_hadoop(
        "doubler.py:Doubler", f"{root}/in.jsonl", output, timeout=60,
        **dead_conf("yarn-site.xml", "yarn.resourcemanager.address"),
    )  # fmt: skip
    assert_fails(done, 4, "127.0.0.1:1", "ResourceManager")
    assert_nothing(output)


# the job fails


def test_model_that_fails_in_load(root, output, cluster):
    """The first attempt ends the job: the others would say the same."""
    done = on_hadoop("hopeless.py:FailsInLoad", f"{root}/in.jsonl", output)
    assert_fails(done, 2, "the model failed to load", "no token for padding", "hopeless.py")
    assert "in open_vocabulary" in done.err  # the person's own frames,
    assert "in load" in done.err
    assert "mrmodel/models/" not in done.err  # and not ours
    assert_nothing(output)
    assert the_application(cluster, output)["state"] == "KILLED"


def test_container_killed_for_memory(root, output):
    done = on_hadoop(
        "hopeless.py:Greedy", f"{root}/in.jsonl", output, *ONCE,
        "--model-args", '{"megabytes": 1500}', "--memory", "1GB",
    )  # fmt: skip
    assert_fails(done, 1, "memory", "of 1 GB", "--memory")
    assert_nothing(output)


def test_interpreter_missing_on_the_nodes(root, output):
    done = on_hadoop(
        "doubler.py:Doubler", f"{root}/in.jsonl", output, *ONCE, "--python", "/no/such/python3"
    )
    assert_fails(done, 1, "/no/such/python3", "--python")
    assert_nothing(output)


def test_interrupt(root, output, cluster):
    """Ctrl-C ends the application, too."""
    model = running.path_of("hopeless.py:Sleeps")
    with started("predict", model, f"{root}/in.jsonl", "-o", output, "-r", "hadoop") as driver:
        until(lambda: running_maps(cluster, output), what="a map that runs")
        driver.send_signal(signal.SIGINT)
        out, err = driver.communicate(timeout=60)
    assert driver.returncode == 130, err
    assert "Error: interrupted; nothing was written" in err
    assert "Traceback" not in err
    assert_nothing(output)
    assert the_application(cluster, output)["state"] == "KILLED"


def test_interrupt_before_anything_is_submitted(root, output, cluster):
    model = running.path_of("hopeless.py:Sleeps")
    with started("predict", model, f"{root}/in.jsonl", "-o", output, "-r", "hadoop") as driver:
        until(lambda: running.names(running.staging(output)), what="the staging folder")
        driver.send_signal(signal.SIGINT)
        out, err = driver.communicate(timeout=60)
    assert driver.returncode == 130, err
    assert "Error: interrupted; nothing was written" in err
    assert_nothing(output)
    apps = running.applications(cluster, output).values()
    assert {app["state"] for app in apps} <= {"KILLED"}


def running_maps(cluster, output):
    """The model's processes among those of the application's containers."""
    found = []
    for app in running.applications(cluster, output):
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                command = (entry / "cmdline").read_bytes()
                if b"--mapper" in command and app.encode() in (entry / "environ").read_bytes():
                    found.append(entry)
            except OSError:
                continue
    return found


def test_hadoop_not_set_up(root, output):
    done = mrmodel(
        "predict", running.path_of("doubler.py:Doubler"), f"{root}/in.jsonl", "-o", output,
        "-r", "hadoop", HADOOP_CONF_DIR="/no/such/folder", HADOOP_HOME="/no/such/home",
    )  # fmt: skip
    assert_fails(done, 2, "HADOOP_CONF_DIR", "/no/such/folder")
