"""With how many threads a task predicts."""

import pyarrow.parquet as pq
import pytest
import torch

from mrmodel import storage
from mrmodel.tasks.sizing import BatchSizer
from mrmodel.tasks.threads import TURNS, ThreadTrial
from tests.driver import helpers


def found(most, speed):
    """What the trial comes to where a batch of cost 10 runs at `speed` of its threads, and the
    threads that were set on the way."""
    used = [most]
    trial = ThreadTrial(most, used.append)
    for _ in range(100):
        trial.record(10.0, 10.0 / speed(used[-1]))
    assert trial.settled
    assert used[-1] == trial.threads
    return trial.threads, used


@pytest.mark.parametrize(
    ("most", "speed", "expected"),
    [
        (8, lambda n: n, 8),
        (8, lambda n: min(n, 4), 4),
        (8, lambda n: 1.0, 1),
        (8, lambda n: 1 / n, 1),
        (6, lambda n: min(n, 3), 3),
        (1, lambda n: n, 1),
        (2, lambda n: 1 + 0.02 * n, 1),  # two are faster by 2 %: one leaves a core to others
        (2, lambda n: 1 + 0.1 * n, 2),
    ],
)
def test_fewer_threads_are_taken_where_they_are_as_fast(most, speed, expected):
    assert found(most, speed)[0] == expected


def test_the_two_take_turns():
    used = found(4, lambda n: n)[1]
    assert used == [4, *[2, 4] * (TURNS - 1), 2, 4]


def test_one_slow_batch_decides_nothing():
    used = [2]
    trial = ThreadTrial(2, used.append)
    for number in range(2 * TURNS):
        trial.record(10.0, 50.0 if number == 2 else 10.0 / used[-1])
    assert trial.settled
    assert trial.threads == 2


def test_the_trial_begins_when_the_size_of_batches_is_found():
    told = []
    sizer = BatchSizer("auto", afterwards=lambda cost, seconds: told.append(cost))
    while not sizer.settled:
        sizer.record(sizer.rows, 1.0)
    assert not told
    sizer.record(7.0, 1.0)
    assert told == [7.0]


MODEL = """
    class Model(mrmodel.Predictor):
        inputs = ["x"]

        def load(self, weights, device):
            pass

        def predict(self, batch):
            threads = torch.get_num_threads()
            time.sleep(0.01 if threads == 1 else 0.03)
            return {"y": batch["x"], "threads": [threads] * len(batch["x"])}
"""


@pytest.fixture
def threads():
    """Those of the tests' own process are put back."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("asked", "expected"), [(None, 1), (4, 4)])
def test_a_job_that_is_faster_with_one_thread(tmp_path, monkeypatch, threads, asked, expected):
    monkeypatch.setattr("mrmodel.tasks.context.cores", lambda: 4)
    data = helpers.parquet(tmp_path / "in.parquet", range(240))
    ref = helpers.model(tmp_path, MODEL)
    run = helpers.run(ref, data, tmp_path / "out", batch_size=8, threads=asked)
    used = [row["threads"] for row in pq.read_table(run.output).to_pylist()]
    assert used[0] == 4
    assert used[-1] == expected
    (record,) = storage.read_json(f"{run.output}/_mrmodel/run.json")["shards"]
    assert record["threads"] == expected
