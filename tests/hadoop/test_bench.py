"""scripts/bench fixed on the cluster: both jobs run, and take turns."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from .running import JOB_SECONDS

pytestmark = pytest.mark.hadoop
SCRIPT = Path(__file__).parents[2] / "scripts" / "bench"


def test_fixed(cluster, tmp_path):
    figures = tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, SCRIPT, "fixed", "--kinds", "round", "--maps", "1", "--rounds", "1",
         "--repeat", "1", "--rows", "100", "--json", figures],
        env={**os.environ, **cluster.env}, capture_output=True, text=True,
        timeout=3 * JOB_SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    jobs = json.loads(figures.read_text())
    assert [(job["kind"], job["is_bare"]) for job in jobs] == [
        ("round", True), ("round", False), ("round", True),
    ]  # fmt: skip
    assert all(job["seconds"] > 0 for job in jobs)
    assert "| round, seconds | start" in done.stdout
