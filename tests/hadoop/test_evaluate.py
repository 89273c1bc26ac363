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
MODEL = running.path_of("measured.py:Line")
SQUARES = f"{running.MODELS}/measured.py:Squares"


@pytest.fixture(scope="module")
def root(cluster):
    root = f"{cluster.namenode}/tmp/mrmodel-test-evaluate-{os.getpid()}"
    yield root
    st.storage_for(root).delete(root)


@pytest.fixture(scope="module")
def data(root, tmp_path_factory):
    """The same lines on HDFS, in four blocks, and here."""
    random = np.random.default_rng(3)
    x, noise = random.random(ROWS), random.normal(size=ROWS) / 9
    rows = [
        {"x": float(x[n]), "truth": float(x[n] / 3 + noise[n]), "g": "ab"[n % 2], "pad": "." * 120}
        for n in range(ROWS)
    ]
    lines = running.json_lines(rows)
    assert 3 * MB < len(lines) < 4 * MB
    running.write_file(f"{root}/in.jsonl", lines, block_size=MB)
    here = tmp_path_factory.mktemp("data") / "in.jsonl"
    here.write_bytes(lines)
    return f"{root}/in.jsonl", here


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
    assert undisturbed["rows"] == expected["rows"] == {"in": ROWS, "ok": ROWS, "bad": 0}
    assert undisturbed["metrics"] == pytest.approx(expected["metrics"], rel=1e-5)
    for found, here in zip(undisturbed["groups"], expected["groups"], strict=True):
        assert (found["group"], found["rows"]) == (here["group"], here["rows"])
        assert found["metrics"] == pytest.approx(here["metrics"], rel=1e-5)


def test_the_output_is_complete(undisturbed, root):
    assert running.names(f"{root}/out") == ["_SUCCESS", "_mrmodel", "part-00000.parquet"]
    (overall, *groups) = running.run_json(f"{root}/out")["measures"]
    assert (overall["shards"], overall["rows"]) == (4, ROWS)
    assert [g["group"] for g in groups] == ["a", "b"]
    assert running.names(running.staging(f"{root}/out")) is None


def test_states_travel_as_bytes(undisturbed, root, cluster):
    """Three groups of four shards, to two reducers, and little more than their tensors."""
    (application,) = running.run_json(f"{root}/out")["applications"]
    counters = running.counters(cluster, application)
    tasks = counters["TaskCounter"]
    assert tasks["REDUCE_INPUT_RECORDS"] == 3 * 4
    assert tasks["REDUCE_INPUT_GROUPS"] == 3 * 4  # the key names the shard, too
    assert counters["JobCounter"]["TOTAL_LAUNCHED_REDUCES"] == 2
    assert tasks["REDUCE_SHUFFLE_BYTES"] <= 1.05 * tasks["MAP_OUTPUT_BYTES"] + 1000
    assert counters["mrmodel"]["rows ok"] == ROWS


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


def test_small_and_large_files_are_one_application(data, root, cluster):
    """Predictions of both may be two; what is reduced must not."""
    running.write_file(f"{root}/mixed/large.jsonl", st.read_bytes(data[0]), block_size=MB)
    running.write_file(f"{root}/mixed/small é.jsonl", running.json_lines(
        [{"x": 1.0, "truth": 1.0, "g": "c", "pad": ""}]))  # fmt: skip
    told = evaluate(f"{root}/mixed", "-r", "hadoop", "-o", f"{root}/mixed-out")
    assert len(running.run_json(f"{root}/mixed-out")["applications"]) == 1
    assert [(g["group"], g["rows"]) for g in told["groups"]] == [
        ("a", ROWS // 2), ("b", ROWS // 2), ("c", 1),
    ]  # fmt: skip


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
