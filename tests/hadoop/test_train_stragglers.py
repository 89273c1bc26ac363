"""`mrmodel train --sync local --min-shards` on the cluster: a round that ends before its last
shard, and another that waits for it."""

import gzip
import json
import os

import pytest
import safetensors.torch

from mrmodel import storage as st

from . import running
from .running import mrmodel

pytestmark = [pytest.mark.hadoop, pytest.mark.usefixtures("cluster")]

ROWS = {1: 30, 2: 20, 3: 10, 4: 40}  # x → rows of the file in which it is all there is
STEPS = 250  # seconds, for the shard that is slow


@pytest.fixture
def root(cluster):
    root = f"{cluster.namenode}/tmp/mrmodel-test-stragglers-{os.getpid()}"
    for x, rows in ROWS.items():
        lines = running.json_lines([{"x": float(x)}] * rows)
        running.write_file(f"{root}/in/{x}.jsonl.gz", gzip.compress(lines))
    yield root
    st.storage_for(root).delete(root)


def step_of(files):
    """How far the shards of `files` go, on average over their rows."""
    total = sum(ROWS[x] * STEPS * 0.01 * x for x in files)
    return total / sum(ROWS[x] for x in files)


def test_a_round_goes_on_without_the_slowest_shard(root, tmp_path):
    """But not without the one that was killed and came again; the next has to wait for it."""
    done = mrmodel(
        "train", running.path_of("straggler.py:Slope"), f"{root}/in", "-o", f"{root}/ck", "-r",
        "hadoop", "--shard-size", "1", "--json", "--sync", "local", "--min-shards", "3/4",
        "--rounds", "2", "--inner-steps", STEPS, "--outer-lr", "1", "--outer-momentum", "0",
        "--dtype", "float64", "--model-args", json.dumps({"notes": str(tmp_path)}),
    )  # fmt: skip
    assert done.code == 0, done.err
    first, second = done.summary["history"]
    slow = f"{root}/in/4.jsonl.gz from byte 0"
    assert first["late_shards"] == [slow] and slow not in second["late_shards"]
    assert first["phases"]["map"] < STEPS
    assert f"round 1 goes on without 1 of 4 shards: {slow}" in done.err
    assert (tmp_path / "dead").exists()
    there = [
        set(ROWS) - {number_of(name) for name in one["late_shards"]} for one in (first, second)
    ]
    assert [one["rows"] for one in (first, second)] == [
        STEPS * sum(ROWS[x] for x in files) for files in there
    ]
    assert slope(root, 1) == pytest.approx(-step_of(there[0]), rel=1e-12)
    assert slope(root, 2) == pytest.approx(-step_of(there[0]) - step_of(there[1]), rel=1e-12)


def number_of(shard):
    """1 of HDFS/in/1.jsonl.gz from byte 0."""
    return int(st.basename(shard).partition(".")[0])


def slope(root, number):
    data = st.read_bytes(f"{root}/ck/round-{number:06d}/weights.safetensors")
    return safetensors.torch.load(data)["slope"].item()
