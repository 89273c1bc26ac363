"""`mrmodel train --sync allreduce` on the cluster: tasks that train together, and who dies."""

import json
import os
import signal

import numpy as np
import pytest

from mrmodel import storage as st

from . import running
from .running import mrmodel, started, until

pytestmark = [pytest.mark.hadoop, pytest.mark.usefixtures("cluster")]

ROWS = 3_000
RUN = os.getpid()  # a cluster that is used again remembers the names of earlier runs


@pytest.fixture(scope="module")
def root(cluster):
    root = f"{cluster.namenode}/tmp/mrmodel-test-gang-{os.getpid()}"
    yield root
    st.storage_for(root).delete(root)


@pytest.fixture(scope="module")
def data(root):
    x = np.random.default_rng(3).random(ROWS)
    rows = [{"x": float(v), "truth": float(np.sin(5 * v))} for v in x]
    running.write_file(f"{root}/in.jsonl", running.json_lines(rows))
    return f"{root}/in.jsonl"


def words(data, output, *options, model="Net", **args):
    model = running.path_of(f"gang.py:{model}")
    return ["train", model, data, "-o", output, "-r", "hadoop", "--sync", "allreduce",
            "--workers", "3", "--epochs", "3", "--batch-size", "64", "--json",
            "--model-args", json.dumps(args), *options]  # fmt: skip


def weights(output, number=3):
    return st.read_bytes(f"{output}/round-{number:06d}/weights.safetensors")


@pytest.fixture(scope="module")
def undisturbed(data, root):
    done = mrmodel(*words(data, f"{root}/whole-{RUN}"))
    assert done.code == 0, done.err
    assert done.err.count(" rows/s, ") == 3
    assert {line["rows"] for line in done.summary["history"]} == {ROWS}
    return f"{root}/whole-{RUN}"


def test_one_application_writes_all_rounds(undisturbed, cluster):
    (application,) = applications(cluster, "whole")
    assert set(running.attempts(cluster, application).values()) == {"SUCCEEDED"}
    assert running.names(undisturbed) == [
        "_mrmodel", "latest", "metrics.jsonl", "round-000001", "round-000002", "round-000003",
        "tensorboard",
    ]  # fmt: skip
    assert running.names(running.staging(undisturbed)) is None


@pytest.mark.parametrize("member", [False, True])
def test_a_killed_member(undisturbed, data, root, cluster, tmp_path, member):
    """The process that trains, or the whole task: the same result, from the last checkpoint on."""
    output = f"{root}/killed-{member}-{RUN}"
    done = mrmodel(*words(data, output, notes=str(tmp_path), member=member))
    assert done.code == 0, done.err
    assert (tmp_path / "dead").exists()
    assert "the workers begin again; rounds up to 1 are in" in done.err
    assert weights(output) == weights(undisturbed)
    (application,) = applications(cluster, f"killed-{member}")
    states = list(running.attempts(cluster, application).values())
    assert states.count("FAILED") == member
    assert states.count("SUCCEEDED") == 3


def test_a_killed_driver(undisturbed, data, root, cluster, tmp_path):
    """Its gang goes on; a resumed run takes over from it, and comes to the same result."""
    output = f"{root}/resumed-{RUN}"
    again = words(data, output, "--resume", model="Gate", notes=str(tmp_path))
    with started(*words(data, output, model="Gate", notes=str(tmp_path))) as driver:
        until(lambda: "round-000001" in (running.names(output) or []), what="the first round")
        driver.send_signal(signal.SIGKILL)
    with started(*again) as driver:
        until(lambda: len(applications(cluster, "resumed")) == 2, what="the second application")
        (tmp_path / "open").touch()
        _, err = driver.communicate(timeout=running.JOB_SECONDS)
    assert driver.returncode == 0, err
    assert "resuming after round 1" in err
    assert weights(output) == weights(undisturbed)
    first, _ = applications(cluster, "resumed")
    until(lambda: cluster.rm(f"cluster/apps/{first}")["app"]["state"] in running.ENDED)
    done = mrmodel(*words(data, output, "--resume", model="Net"))
    assert done.code == 2 and "--resume: model, model args differ from what" in done.err


def test_more_workers_than_there_is_room_for(data, root, cluster):
    """Never: said before anything runs. Not now: said after the time that is given."""
    output = f"{root}/room-{RUN}"
    done = mrmodel(*words(data, output, "--workers", "30"))
    assert done.code == 2
    assert "workers of 1536 MB and 1 vcores must run at once, but the cluster holds" in done.err
    nodes = cluster.rm("cluster/nodes")["nodes"]["node"]
    sizes = [node["usedMemoryMB"] + node["availMemoryMB"] for node in nodes]
    places = sum(size // 1536 for size in sizes)
    small = ["--workers", str(places), "--jobconf", "mapreduce.job.queuename=small"]
    done = mrmodel(*words(data, output, *small))
    assert done.code == 2
    assert (
        f"but the cluster holds {sum(sizes) * 2 // 5 // 1536} of them in the queue small"
        in done.err
    )
    half = min(sizes) // 2
    # room for them alone, but not for the application master beside them
    size = ["--workers", str(2 * len(nodes)), "--memory", f"{half}MB", "--gang-timeout", "8"]
    done = mrmodel(*words(data, output, *size))
    assert done.code == 1, done.err
    assert " workers came in " in done.err and "needs room for all at once" in done.err
    assert "Traceback" not in done.err
    (application,) = applications(cluster, "room")
    until(lambda: cluster.rm(f"cluster/apps/{application}")["app"]["state"] in running.ENDED)


def applications(cluster, name):
    """The applications of training that was to write the folder called `name`, oldest first."""
    found = (cluster.rm("cluster/apps")["apps"] or {"app": []})["app"]
    return sorted(app["id"] for app in found if app["name"] == f"mrmodel train {name}-{RUN}")
