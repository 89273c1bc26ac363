"""`mrmodel evaluate` on the cluster: states as bytes through Hadoop's own shuffle."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from mrmodel import storage as st

from . import running
from .running import mrmodel

pytestmark = [pytest.mark.hadoop, pytest.mark.usefixtures("cluster")]

MB = 1 << 20
ROWS = 20_000
ALL = ROWS + 3  # of a small file
MODEL = running.path_of("measured.py:Line")
SQUARES = f"{running.MODELS}/measured.py:Squares"


@pytest.fixture(scope="module")
def root(cluster):
    root = f"{cluster.namenode}/tmp/mrmodel-test-evaluate-{os.getpid()}"
    yield root
    st.storage_for(root).delete(root)


@pytest.fixture(scope="module")
def data(root, tmp_path_factory):
    """The same folder on HDFS and here: lines in four blocks, and a small file. Predictions of
    both may be two applications; what is reduced must be one."""
    random = np.random.default_rng(3)
    x, noise = random.random(ROWS), random.normal(size=ROWS) / 9
    rows = [
        {"x": float(x[n]), "truth": float(x[n] / 3 + noise[n]), "g": "ab"[n % 2], "pad": "." * 120}
        for n in range(ROWS)
    ]
    lines = running.json_lines(rows)
    assert 3 * MB < len(lines) < 4 * MB
    few = [{"x": x, "truth": x * x, "g": "c", "pad": ""} for x in (0.1, 0.4, 0.8)]
    small = running.json_lines(few)
    here = tmp_path_factory.mktemp("data")
    for name, content in (("large.jsonl", lines), ("small é.jsonl", small)):
        running.write_file(f"{root}/in/{name}", content, block_size=MB)
        (here / name).write_bytes(content)
    return f"{root}/in", here


def evaluate(data, *options, notes=None):
    """The command with --json; with `notes`, a map and a reduce attempt die."""
    arguments = ["--model-args", json.dumps({"notes": str(notes)})] if notes else []
    squares = f"{SQUARES}:notes={notes}" if notes else SQUARES
    done = mrmodel(
        "evaluate", MODEL, data, "--label", "truth", "--group-by", "g", "--shard-size", "1MB",
        "--batch-size", "500", "--json", "--metric", "mean_squared_error",
        "--metric", "pearson_corr_coef", "--metric", squares, *arguments, *options,
    )  # fmt: skip
    assert done.code == 0, done.err
    return done.summary


@pytest.fixture(scope="module")
def undisturbed(data, root):
    return evaluate(data[0], "-r", "hadoop", "--reducers", "2", "-o", f"{root}/out")


def test_measures_are_those_of_one_process(undisturbed, data):
    expected = evaluate(data[1])
    assert undisturbed["rows"] == expected["rows"] == {"in": ALL, "ok": ALL, "bad": 0}
    assert undisturbed["metrics"] == pytest.approx(expected["metrics"], rel=1e-5)
    for found, here in zip(undisturbed["groups"], expected["groups"], strict=True):
        assert (found["group"], found["rows"]) == (here["group"], here["rows"])
        assert found["metrics"] == pytest.approx(here["metrics"], rel=1e-5)


def test_the_output_is_complete(undisturbed, root):
    assert running.names(f"{root}/out") == ["_SUCCESS", "_mrmodel", "part-00000.parquet"]
    (overall, *groups) = running.run_json(f"{root}/out")["measures"]
    assert (overall["shards"], overall["rows"]) == (5, ALL)
    assert [(g["group"], g["rows"]) for g in groups] == [
        ("a", ROWS // 2), ("b", ROWS // 2), ("c", 3),
    ]  # fmt: skip
    assert running.names(running.staging(f"{root}/out")) is None


def test_states_travel_as_bytes(undisturbed, root, cluster):
    """Three groups of four shards and two of another, to two reducers, and little more than their
    tensors."""
    (application,) = running.run_json(f"{root}/out")["applications"]
    counters = running.counters(cluster, application)
    tasks = counters["TaskCounter"]
    assert tasks["REDUCE_INPUT_RECORDS"] == 3 * 4 + 2
    assert tasks["REDUCE_INPUT_GROUPS"] == 3 * 4 + 2  # the key names the shard, too
    # more where the machine is so busy that Hadoop tries one again beside it
    assert counters["JobCounter"]["TOTAL_LAUNCHED_REDUCES"] >= 2
    assert tasks["REDUCE_SHUFFLE_BYTES"] <= 1.05 * tasks["MAP_OUTPUT_BYTES"] + 1000
    assert counters["mrmodel"]["rows ok"] == ALL


def test_killed_attempts_change_no_bit(undisturbed, data, root, cluster, tmp_path):
    found = evaluate(
        data[0], "-r", "hadoop", "--reducers", "2", "-o", f"{root}/killed", notes=tmp_path
    )
    assert {path.name for path in Path(tmp_path).iterdir()} == {"map died", "reduce died"}
    (application,) = running.run_json(f"{root}/killed")["applications"]
    failed = running.counters(cluster, application)["JobCounter"]
    assert failed["NUM_FAILED_MAPS"] >= 1
    assert failed["NUM_FAILED_REDUCES"] >= 1
    assert figures(found) == figures(undisturbed)


def figures(told):
    """All numbers, without the metrics' names."""
    return [list(one["metrics"].values()) for one in [told, *told["groups"]]]


def test_a_metric_that_fails_ends_the_job_with_its_words(data, root):
    done = mrmodel(
        "evaluate", MODEL, data[0], "--label", "truth", "-r", "hadoop", "-o", f"{root}/failed",
        "--metric", "accuracy:task=multiclass,num_classes=3", "--shard-size", "1MB",
    )  # fmt: skip
    assert done.code == 1
    assert (
        "Error: --metric accuracy:task=multiclass,num_classes=3: the labels are float" in done.err
    )
    assert running.names(f"{root}/failed") is None
