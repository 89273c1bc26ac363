"""Which errors are a row's fault, and which are not."""

import errno

import numpy as np
import pyarrow as pa
import pytest
import torch

from mrmodel.errors import JobError
from mrmodel.models.adapters import ModuleAdapter
from mrmodel.tasks.clock import Clock
from mrmodel.tasks.forward import Failure, Forward, Success
from mrmodel.tasks.memory import is_out_of_memory
from mrmodel.tasks.sizing import BatchSizer

WINDOW = pa.RecordBatch.from_pydict({"x": [float(n) for n in range(64)]})


class Limited:
    """Has memory for so many rows."""

    def __init__(self, most, error):
        self.most, self.error, self.tried = most, error, []

    def predict(self, batch):
        self.tried.append(len(batch["x"]))
        if len(batch["x"]) > self.most:
            raise self.error
        return {"y": batch["x"]}


def forward(predictor, sizer=None):
    return Forward(predictor, ["x"], sizer or BatchSizer("64"), Clock(), lambda rows, seconds: None)


def run(predictor, sizer=None, rows=64):
    found = forward(predictor, sizer)
    indices = np.arange(rows)
    return found.run(WINDOW, indices, found.prepare(WINDOW.slice(0, rows)), float(rows))


OUT_OF_MEMORY = [
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("CUDA error: out of memory"),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
    pa.ArrowMemoryError("malloc of size 1 failed"),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda error: type(error).__name__)
def test_out_of_memory_halves_the_batch_and_no_row_is_bad(error):
    predictor, sizer = Limited(10, error), BatchSizer("64")
    results = run(predictor, sizer)
    assert all(isinstance(result, Success) for result in results)
    assert np.concatenate([r.indices for r in results]).tolist() == list(range(64))
    assert sizer.rows == 8
    assert max(predictor.tried[predictor.tried.index(8) :]) <= 32


def test_a_real_lack_of_memory():
    class Greedy(Limited):
        def predict(self, batch):
            if len(batch["x"]) > self.most:
                torch.empty(1 << 60, dtype=torch.uint8)
            return {"y": batch["x"]}

    assert len(run(Greedy(32, None))) == 2


@pytest.mark.parametrize(
    "error",
    [ValueError("out of range"), RuntimeError("shape mismatch"), OSError(errno.ENOENT, "none")],
)
def test_what_is_not_a_lack_of_memory(error):
    assert not is_out_of_memory(error)


def test_memory_for_not_even_one_row_fails_the_job():
    with pytest.raises(JobError, match="a batch of a single row.*--memory"):
        run(Limited(0, MemoryError("no")))


def test_a_lost_device_fails_the_task_and_no_row():
    """After a device-side assert every call fails: the rows are not to blame."""
    with pytest.raises(JobError, match="the device failed"):
        run(Limited(10, RuntimeError("CUDA error: device-side assert triggered")))


def test_the_rows_that_fail_stand_alone():
    class Odd:
        def predict(self, batch):
            if (batch["x"] == 13).any():
                raise KeyError("thirteen")
            return {"y": batch["x"]}

    results = run(Odd())
    (failure,) = [result for result in results if isinstance(result, Failure)]
    assert (failure.index, type(failure.error)) == (13, KeyError)
    good = np.concatenate([r.indices for r in results if isinstance(r, Success)])
    assert sorted(good.tolist()) == [n for n in range(64) if n != 13]
    for result in results:
        if isinstance(result, Success):
            assert result.outputs["y"].to_pylist() == result.indices.tolist()


def test_no_gradients_are_kept():
    class Module:
        def predict(self, batch):
            assert torch.is_inference_mode_enabled()
            return {"y": torch.nn.Linear(1, 1)(torch.ones(len(batch["x"]), 1))}

    assert len(run(Module())) == 1


def test_failed_batches_count_for_no_rate():
    sizer = BatchSizer("auto")
    run(Limited(0, ValueError("no")), sizer, rows=16)
    assert not sizer.settled


class InPlace(torch.nn.Module):
    def forward(self, x):
        return x.add_(1)[:, 0]


@pytest.mark.parametrize("columns", [["a"], ["a", "b"]])
def test_a_module_that_works_in_place_leaves_arrows_memory_alone(columns):
    """Kept columns, and rows that are tried once more, are read from it."""
    batch = pa.RecordBatch.from_pydict({name: np.ones(3, np.float32) for name in columns})
    predictor = ModuleAdapter(InPlace(), columns, "cpu")
    found = Forward(predictor, columns, BatchSizer("3"), Clock(), lambda rows, seconds: None)
    (success,) = found.run(batch, np.arange(3), found.prepare(batch), None)
    assert success.outputs.column(0).to_pylist() == [2.0] * 3
    assert [column.to_pylist() for column in batch.columns] == [[1.0] * 3] * len(columns)
