"""Processes that prepare rows."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from mrmodel.errors import JobError
from mrmodel.tasks.clock import Clock
from mrmodel.tasks.preparers import Preparers
from tests.driver import helpers

ROWS = pa.RecordBatch.from_pydict({"x": [1.0, 2.0, 3.0], "other": ["a", "b", "c"]})


@pytest.fixture
def preparers():
    made = []

    def make(prepare, workers=2, inputs=("x",)):
        made.append(Preparers(prepare, list(inputs), workers))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_rows_are_prepared_in_other_processes(preparers):
    def prepare(rows):
        time.sleep(0.05)
        tensor = torch.as_tensor(rows.column("x").to_numpy()).to(torch.bfloat16)
        return {"x": tensor * 2, "names": rows.schema.names, "pid": os.getpid()}

    pool, clock = preparers(prepare), Clock()
    asked = [pool.ask(ROWS.slice(n % 3, 1), clock) for n in range(8)]
    found = [wait() for wait in asked]
    assert [one["x"].tolist() for one in found] == [[2.0 + 2 * (n % 3)] for n in range(8)]
    assert all(one["names"] == ["x"] for one in found)  # what it does not read stays here
    assert os.getpid() not in {one["pid"] for one in found}
    assert len({one["pid"] for one in found}) == 2
    assert clock.seconds["prepare"] >= 8 * 0.05


def test_what_prepare_raises_is_raised_and_the_process_goes_on(preparers):
    def prepare(rows):
        if rows.num_rows == 1:
            raise ValueError("too few")
        return rows.num_rows

    pool, clock = preparers(prepare, workers=1), Clock()
    with pytest.raises(ValueError, match="too few"):
        pool.ask(ROWS.slice(0, 1), clock)()
    assert pool.ask(ROWS, clock)() == 3


def test_a_process_that_is_killed_is_told_of(preparers):
    def prepare(rows):
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(JobError, match="--prepare-workers"):
        preparers(prepare).ask(ROWS, Clock())()


KILLED = """
import time, sys, pyarrow as pa
from mrmodel.tasks.preparers import Preparers
pool = Preparers(lambda rows: None, ["x"], 2)
print(*pool._pool._processes, flush=True)
time.sleep(60)
"""


def test_processes_end_with_a_task_that_is_killed():
    task = subprocess.Popen([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, text=True)
    pids = [int(pid) for pid in task.stdout.readline().split()]
    assert len(pids) == 2
    task.kill()
    task.wait()
    _, alive = psutil.wait_procs([psutil.Process(p) for p in pids if psutil.pid_exists(p)], 20)
    assert not alive


MODEL = """
    class Model(mrmodel.Predictor):
        inputs = ["x"]

        def load(self, weights, device):
            pass

        def prepare(self, batch):
            if (np.asarray(batch["x"]) == 7).any():
                raise ValueError("seven")
            return {"x": torch.as_tensor(batch["x"]), "pid": [os.getpid()] * len(batch["x"])}

        def predict(self, batch):
            return {"y": batch["x"] * 2, "pid": batch["pid"]}
"""
SIZE = """
        def size(self, batch):
            return 100.0 - np.asarray(batch["x"])
"""


@pytest.mark.parametrize("code", [MODEL, MODEL + SIZE], ids=["batches", "windows"])
@pytest.mark.parametrize("runner", ["inline", "local"])
def test_a_job_that_prepares_in_processes(tmp_path, code, runner):
    data = helpers.parquet(tmp_path / "in.parquet", range(1, 41))
    ref = helpers.model(tmp_path, code)
    run = helpers.run(
        ref, data, tmp_path / "out", runner=runner, batch_size=8, prepare_workers=2, max_bad="1"
    )
    found = pq.read_table(run.output).to_pydict()
    assert sorted(found["y"]) == [2 * x for x in range(1, 41) if x != 7]
    assert (run.rows["ok"], run.rows["bad"]) == (39, 1)
    if runner == "inline" and code == MODEL:  # what is halved is prepared in the task
        assert len(set(found["pid"]) - {os.getpid()}) in (1, 2)
