"""Where the seconds until the first batch go."""

import os
import subprocess
import sys
import time

import pytest

from mrmodel.driver.startup import parts
from mrmodel.tasks.clock import born
from tests.driver.helpers import model, parquet, run


def record(first_batch, born=15.0, begun=17.0, load=0.5):
    return {"born": born, "begun": begun, "seconds": {"load": load}, "first_batch": first_batch}


def test_parts_follow_one_another_until_the_earliest_batch():
    marks = {"plan": 10.5, "upload": 10.75, "submit": 12.0, "application": 14.0}
    found = parts(10.0, marks, [record(30.0, born=20.0), record(18.0), record(None)])
    assert found == {
        "plan": 0.5, "upload": 0.25, "submit": 1.25, "application": 2.0, "process": 1.0,
        "imports": 2.0, "weights": 0.5, "batch": 0.5,
    }  # fmt: skip
    assert sum(found.values()) == 18.0 - 10.0


def test_what_a_runner_does_not_have_is_left_out():
    found = parts(10.0, {"plan": 11.0}, [record(18.0, born=9.0, begun=13.0)])
    assert found == {"plan": 1.0, "imports": 2.0, "weights": 0.5, "batch": 4.5}


def test_no_batch_no_parts():
    assert parts(10.0, {"plan": 11.0}, [record(None)]) == {}


@pytest.mark.parametrize("runner", ["inline", "local"])
def test_the_parts_of_a_run(tmp_path, runner):
    data = parquet(tmp_path / "a.parquet", range(50))
    begun = time.time()
    found = run(model(tmp_path), data, tmp_path / "out", runner=runner)
    assert ("process" in found.startup) == (runner == "local")
    assert {"plan", "imports", "batch"} - found.startup.keys() <= {"imports"}
    assert 0 < sum(found.startup.values()) <= time.time() - begun


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="needs Linux's /proc")
def test_when_a_process_began():
    before = time.time()
    code = "from mrmodel.tasks.clock import born; print(born())"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert before - 0.05 <= float(told.stdout) <= time.time()
    assert born() < before
