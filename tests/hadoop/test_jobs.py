"""The jobs that people copy, on a real cluster: what they find inline, over the same files.

tests/jobs compares what they find inline with numpy and scikit-learn.
"""

import json
import os
import sys
from contextlib import contextmanager

import numpy as np
import pytest
import safetensors.torch
from sklearn.datasets import load_digits

from mrmodel import storage as st
from tests.jobs.test_mr_gradients import csv_lines, results, run_job, write_parts
from tests.jobs.test_mr_nearest import json_lines
from tests.jobs.test_mr_train import DATA, GRADIENT

from .test_mr_array_sum import finished_jobs

pytestmark = pytest.mark.hadoop

ROWS = 60


@pytest.fixture(scope="module")
def root(cluster):
    root = f"{cluster.namenode}/tmp/mrmodel-test-jobs-{os.getpid()}"
    yield root
    st.storage_for(root).delete(root)


@pytest.fixture(scope="module")
def digits():
    """Few rows, with the three columns that differ most and a label of 0 or 1."""
    found = load_digits()
    inputs = found.data[:ROWS, np.argsort(found.data.var(0))[-3:]]
    return np.column_stack([inputs / 16, found.target[:ROWS] % 2])


@pytest.fixture
def places(root, tmp_path):
    """places(lines) → runner's options and folder, inline and on the cluster."""

    def put(lines):
        here, there = write_parts(tmp_path / "in", lines), f"{root}/{tmp_path.name}"
        for path in here.iterdir():
            st.write_bytes(f"{there}/{path.name}", path.read_bytes())
        return {
            "inline": ["-r", "inline", here],
            "hadoop": ["-r", "hadoop", "--python-bin", sys.executable, there],
        }

    return put


@contextmanager
def ran_there(cluster, jobs):
    """Fails unless so many jobs succeed on the cluster meanwhile."""
    before = finished_jobs(cluster)
    yield
    assert len(finished_jobs(cluster).keys() - before.keys()) == jobs


def both(cluster, name, places, *options):
    """What a job of one round finds inline, and on the cluster."""
    with ran_there(cluster, jobs=1):
        return [dict(results(name, *options, *place)) for place in places.values()]


def both_states(cluster, name, places, option, start, *options, rounds):
    """The state that a job of several rounds leaves inline, and on the cluster."""
    found = []
    with ran_there(cluster, jobs=rounds):
        for place in places.values():
            np.savetxt(start.parent / "state.csv", np.loadtxt(start, delimiter=","), delimiter=",")
            run_job(name, *options, option, start.parent / "state.csv", *place)
            found.append(np.loadtxt(start.parent / "state.csv", delimiter=","))
    return found


def test_gradients(cluster, places, digits, tmp_path):
    (tmp_path / "weights.json").write_text("[0.5, -1.0, 2.0, 0.25]")
    weights = ["--weights", tmp_path / "weights.json"]
    inline, there = both(cluster, "mr_gradients.py", places(csv_lines(digits)), *weights)
    assert there["sum"]["rows"] == inline["sum"]["rows"] == ROWS
    assert there["sum"]["loss"] == pytest.approx(inline["sum"]["loss"], rel=1e-12)
    assert there["sum"]["gradient"] == pytest.approx(inline["sum"]["gradient"], rel=1e-9)


def test_kmeans(cluster, places, digits, tmp_path):
    np.savetxt(tmp_path / "start.csv", digits[:3], delimiter=",")
    name, start = "mr_kmeans.py", tmp_path / "start.csv"
    options = ["--rounds", 2, "--tolerance", -1]
    inline, there = both_states(
        cluster, name, places(csv_lines(digits)), "--centres", start, *options, rounds=2
    )
    assert not np.allclose(inline, digits[:3], atol=0.01)
    np.testing.assert_allclose(there, inline, rtol=1e-12)


def test_logistic(cluster, places, digits, tmp_path):
    np.savetxt(tmp_path / "start.csv", np.zeros(4))
    name, start = "mr_logistic.py", tmp_path / "start.csv"
    inline, there = both_states(
        cluster, name, places(csv_lines(digits)), "--weights", start, "--tolerance", 100, rounds=1
    )
    assert abs(inline).min() > 1e-3
    np.testing.assert_allclose(there, inline, rtol=1e-9)


def test_nearest(cluster, places, digits, tmp_path):
    queries = tmp_path / "queries.jsonl"
    queries.write_text("\n".join(json_lines("ab", digits[:2])))
    found = places(json_lines(range(ROWS), digits))
    inline, there = both(cluster, "mr_nearest.py", found, "--k", 5, "--queries", queries)
    assert list(map(len, there.values())) == [5, 5]
    assert there == inline


def test_statistics(cluster, places, digits):
    rows = [{"x": x if x else None, "y": y} for _, x, y, _ in digits.tolist()]
    inline, there = both(cluster, "mr_statistics.py", places([*map(json.dumps, rows)]))
    assert set(there) == set(inline) == {"x", "y"}
    for column, wanted in inline.items():
        assert wanted["count"] + wanted["nulls"] == ROWS
        assert there[column].pop("quantiles") == pytest.approx(wanted.pop("quantiles"))
        assert there[column] == pytest.approx(wanted)


def test_training(cluster, root, tmp_path):
    """Of the same shard in both places: dropout depends on what it is called."""
    st.write_bytes(f"{root}/train/digits.parquet", DATA.read_bytes())
    options = [f"--{name.replace('_', '-')}={value}" for name, value in GRADIENT.items()]
    there = ["-r", "hadoop", "--python-bin", sys.executable, f"{root}/train"]
    places = {str(tmp_path): ["-r", "inline", f"{root}/train"], root: there}
    with ran_there(cluster, jobs=GRADIENT["rounds"]):
        for place, arguments in places.items():
            run_job("mr_train.py", *options, *arguments, "--output-dir", f"{place}/checkpoints")
    path = "checkpoints/round-000002/weights.safetensors"
    inline, found = (safetensors.torch.load(st.read_bytes(f"{place}/{path}")) for place in places)
    for name, wanted in inline.items():
        np.testing.assert_allclose(found[name], wanted, rtol=1e-4, atol=1e-6)
