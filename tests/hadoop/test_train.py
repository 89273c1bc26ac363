"""`mrmodel train` on the cluster: a job per round, sums as bytes, the same bits whatever dies."""

import json
import os
import signal

import numpy as np
import pytest

from mrmodel import storage as st

from . import running
from .running import mrmodel, started, until

pytestmark = [pytest.mark.hadoop, pytest.mark.usefixtures("cluster")]

MB = 1 << 20
ROWS = 12_000
WIDTH = 100_000  # of a model with three times as many numbers
MODEL = running.path_of("learner.py:Net")


@pytest.fixture(scope="module")
def root(cluster):
    root = f"{cluster.namenode}/tmp/mrmodel-test-train-{os.getpid()}"
    yield root
    st.storage_for(root).delete(root)


@pytest.fixture(scope="module")
def data(root):
    """Lines on HDFS, in four blocks."""
    x = np.random.default_rng(3).random(ROWS)
    rows = [
        {"x": float(x[n]), "truth": float(np.sin(5 * x[n])), "pad": "." * 210} for n in range(ROWS)
    ]
    lines = running.json_lines(rows)
    assert 3 * MB < len(lines) < 4 * MB
    running.write_file(f"{root}/in.jsonl", lines, block_size=MB)
    return f"{root}/in.jsonl"


def words(data, output, *options, notes=None, **args):
    args |= {"notes": str(notes)} if notes else {}
    arguments = ["--model-args", json.dumps(args)] if args else []
    return ["train", MODEL, data, "-o", output, "-r", "hadoop", "--shard-size", "1MB",
            "--rounds", "2", "--json", *arguments, *options]  # fmt: skip


def train(*arguments, **keywords):
    done = mrmodel(*words(*arguments, **keywords))
    assert done.code == 0, done.err
    return done


def weights(output, number):
    return st.read_bytes(f"{output}/round-{number:06d}/weights.safetensors")


@pytest.fixture(scope="module")
def undisturbed(data, root):
    done = train(data, f"{root}/whole")
    assert done.err.count("round ") == 2
    return f"{root}/whole"


def test_rounds_learn(undisturbed):
    lines = metrics(undisturbed)
    assert [line["round"] for line in lines] == [1, 2]
    assert {line["rows"] for line in lines} == {ROWS}
    assert lines[1]["loss"] < lines[0]["loss"]
    assert running.names(undisturbed) == [
        "_mrmodel", "latest", "metrics.jsonl", "round-000001", "round-000002", "tensorboard",
    ]  # fmt: skip
    assert running.names(running.staging(undisturbed)) is None


def test_sums_travel_as_bytes(undisturbed, cluster, root):
    """A bucket, a buffer and a tally per shard: the numbers' own bytes and little more."""
    (application, *_) = applications(cluster, "whole")
    tasks = running.counters(cluster, application)["TaskCounter"]
    parameters = 4 * (64 + 64 + 64 + 1)
    assert tasks["REDUCE_INPUT_RECORDS"] == 4 * 3
    assert tasks["MAP_OUTPUT_BYTES"] <= 4 * (parameters + 300)


def test_each_node_fetches_the_weights_once(undisturbed, cluster):
    """Hadoop's distributed cache brings them: tasks find a file in their folder."""
    (application, *_) = applications(cluster, "whole")
    found = running.configuration(cluster, application)
    assert "/weights.safetensors#round.safetensors" in found["mapreduce.job.cache.files"]


def test_a_killed_mapper_changes_no_bit(undisturbed, data, root, cluster, tmp_path):
    train(data, f"{root}/killed", notes=tmp_path)
    assert (tmp_path / "dead").exists()
    failed = [
        running.counters(cluster, application)["JobCounter"].get("NUM_FAILED_MAPS", 0)
        for application in applications(cluster, "killed")
    ]
    assert sum(failed) >= 1
    for number in (1, 2):
        assert weights(f"{root}/killed", number) == weights(undisturbed, number)


def test_a_killed_driver_goes_on_to_the_same_bits(undisturbed, data, root, cluster):
    output = f"{root}/resumed"
    with started(*words(data, output)) as driver:
        until(lambda: "round-000001" in (running.names(output) or []), what="the first round")
        driver.send_signal(signal.SIGKILL)
    for application in applications(cluster, "resumed"):
        cluster.run("yarn", "application", "-kill", application, timeout=60)
    done = train(data, output, "--resume")
    assert "resuming after round 1" in done.err
    assert weights(output, 2) == weights(undisturbed, 2)
    assert running.names(running.staging(output)) is None


def test_ctrl_c_keeps_the_complete_rounds(data, root, cluster):
    output = f"{root}/interrupted"
    with started(*words(data, output)) as driver:
        until(lambda: "round-000001" in (running.names(output) or []), what="the first round")
        driver.send_signal(signal.SIGINT)
        _, err = driver.communicate(timeout=60)
    assert driver.returncode == 130, err
    assert "interrupted; rounds up to 1 are in" in err
    assert "Traceback" not in err
    assert running.names(running.staging(output)) is None


def applications(cluster, name):
    """The applications of training that was to write the folder called `name`, oldest first."""
    found = (cluster.rm("cluster/apps")["apps"] or {"app": []})["app"]
    return sorted(app["id"] for app in found if app["name"] == f"mrmodel train {name}")


LOCAL = ["--sync", "local", "--inner-steps", "6", "--batch-size", "16"]


@pytest.fixture(scope="module")
def local(data, root):
    """Local steps of a model whose weights are much more than what is said beside them."""
    train(data, f"{root}/local", *LOCAL, width=WIDTH)
    return f"{root}/local"


def test_local_steps_come_to_the_same_bits_with_a_killed_mapper(local, data, root, tmp_path):
    """The inner optimisers' state, too: the second round begins with it."""
    train(data, f"{root}/local-killed", *LOCAL, notes=tmp_path, width=WIDTH)
    assert (tmp_path / "dead").exists()
    for number in (1, 2):
        assert weights(f"{root}/local-killed", number) == weights(local, number)
    assert [line["rows"] for line in metrics(local)] == [4 * 6 * 16] * 2


def test_hadoop_counts_the_bytes_of_the_numbers_alone(local, cluster):
    assert_bytes(cluster, local, 4)


def test_compressed_bytes_and_a_name_that_no_list_can_hold(data, root, cluster):
    """Tasks read the weights themselves where the distributed cache cannot name them."""
    output = f"{root}/deltas, with # and ü"
    options = [*LOCAL, "--delta-dtype", "int8", "--rounds", "1"]
    train(data, output, *options, width=WIDTH)
    assert_bytes(cluster, output, 1)


def assert_bytes(cluster, output, nbytes):
    """Of each number `nbytes` travel, and little more."""
    application, *_ = applications(cluster, st.basename(output))
    tasks = running.counters(cluster, application)["TaskCounter"]
    raw = 4 * nbytes * (3 * WIDTH + 1)
    assert raw < tasks["MAP_OUTPUT_BYTES"] < 1.05 * raw
    assert tasks["REDUCE_SHUFFLE_BYTES"] < 1.05 * raw
    assert raw < metrics(output)[0]["bytes"] < 1.05 * raw


def metrics(output):
    """What a run wrote of its rounds."""
    return [json.loads(line) for line in st.read_bytes(f"{output}/metrics.jsonl").splitlines()]
