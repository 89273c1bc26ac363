"""`mrmodel predict --group-by` on the cluster: a row per group, the same whatever dies."""

import json
import os

import numpy as np
import pytest

from mrmodel import storage as st

from . import running
from .running import on_hadoop

pytestmark = [pytest.mark.hadoop, pytest.mark.usefixtures("cluster")]

MB = 1 << 20
ROWS = 12_000
DOCUMENTS = 500


def test_a_killed_mapper_changes_no_bit_of_the_means(cluster, tmp_path):
    root = f"{cluster.namenode}/tmp/mrmodel-test-aggregate-{os.getpid()}"
    try:
        whole = means(root, "whole")
        assert whole == means(root, "killed", notes=tmp_path)
        assert (tmp_path / "dead").exists()
    finally:
        st.storage_for(root).delete(root)
    x = numbers()
    for row in whole:
        own = x[row["doc"] :: DOCUMENTS]
        assert row["rows"] == len(own)
        assert row["score"] == pytest.approx(own.mean() / 3, rel=1e-12)


def numbers():
    return np.random.default_rng(5).random(ROWS)


def means(root, name, notes=None):
    """The rows of all documents, of lines in four blocks."""
    if not st.exists(f"{root}/in.jsonl"):
        rows = [
            {"doc": n % DOCUMENTS, "x": float(x), "pad": "." * 210} for n, x in enumerate(numbers())
        ]
        running.write_file(f"{root}/in.jsonl", running.json_lines(rows), block_size=MB)
    arguments = ["--model-args", json.dumps({"notes": str(notes)})] if notes else []
    options = ["--group-by", "doc", "--aggregate", "mean", "--reducers", "2", *arguments]
    done = on_hadoop(
        "windows.py:Score", f"{root}/in.jsonl", f"{root}/{name}", "--shard-size", "1MB", *options
    )
    assert done.code == 0, done.err
    assert done.summary["rows"] == {"in": ROWS, "ok": ROWS, "bad": 0}
    found = running.rows(f"{root}/{name}")
    assert sorted(row["doc"] for row in found) == list(range(DOCUMENTS))
    return sorted(found, key=lambda row: row["doc"])
