"""jobs/mr_array_sum.py against numpy, on the runners that need no cluster."""

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

JOB = Path(__file__).parents[2] / "jobs" / "mr_array_sum.py"


def numpy_sum(size, chunk, seed):
    """The same array, made and added up in one process."""
    starts = range(0, size, chunk)
    return math.fsum(
        np.random.default_rng([seed, row // chunk, column // chunk])
        .random((min(chunk, size - row), min(chunk, size - column)))
        .sum()
        for row in starts
        for column in starts
    )


def run_job(*args):
    """The job's output lines as a dict."""
    command = [sys.executable, str(JOB), "--no-conf", "--quiet", *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(map(json.loads, line.split("\t")) for line in done.stdout.splitlines())


@pytest.mark.parametrize("runner", ["inline", "local"])
def test_sum_is_numpys(runner):
    found = run_job("-r", runner, "--size", 1000, "--chunk", 100, "--seed", 7)
    assert found["elements"] == 1000 * 1000
    assert found["sum"] == pytest.approx(numpy_sum(1000, 100, seed=7), rel=1e-12)


def test_chunks_at_the_edges_are_cut():
    found = run_job("--size", 250, "--chunk", 100)
    assert found["elements"] == 250 * 250
    assert found["sum"] == pytest.approx(numpy_sum(250, 100, seed=0), rel=1e-12)


def test_seed_changes_the_array():
    assert run_job("--size", 10, "--seed", 1)["sum"] != run_job("--size", 10, "--seed", 2)["sum"]


def test_input_file_names_the_chunks(tmp_path):
    chunks = tmp_path / "chunks.txt"
    chunks.write_text("0 0\n2 1\n")
    found = run_job("--size", 300, "--chunk", 100, chunks)
    wanted = [
        np.random.default_rng([0, *index]).random((100, 100)).sum() for index in [(0, 0), (2, 1)]
    ]
    assert found == {"sum": pytest.approx(sum(wanted), rel=1e-12), "elements": 20_000}


def test_ten_thousand_squared_in_chunks_of_a_thousand():
    found = run_job()
    assert found["elements"] == 10_000 * 10_000
    assert found["sum"] == pytest.approx(numpy_sum(10_000, 1_000, seed=0), rel=1e-12)
