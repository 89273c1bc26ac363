"""The forward pass over a batch, and what happens when it fails.

A failing batch is halved until the rows that cause it stand alone: they become bad rows, their
neighbours are predicted. Running out of memory is nobody's fault: the batch is halved and the
smaller size is kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from mrmodel.errors import JobError, MrmodelError
from mrmodel.models.channels import put_back
from mrmodel.tasks.clock import Clock
from mrmodel.tasks.memory import free_cached_memory, is_out_of_memory
from mrmodel.tasks.sizing import BatchSizer
from mrmodel.tensors.columns import to_batch
from mrmodel.tensors.outputs import to_arrow

# after these the CUDA context is unusable: every later row would fail too
_DEVICE_IS_LOST = ("device-side assert", "CUDA error", "unspecified launch failure")


@dataclass(frozen=True)
class Failure:
    """The row at `index` (in the window) raised `error`."""

    index: int
    error: Exception


@dataclass(frozen=True)
class Success:
    """`outputs` for the rows at `indices` (in the window), row-aligned."""

    indices: np.ndarray
    outputs: pa.RecordBatch


Result = Failure | Success


def preparer(predictor: Any, inputs: list[str]) -> Callable[[pa.RecordBatch], Any]:
    """What makes of rows what `predictor` takes: its ``prepare``, given the columns `inputs`, or
    these columns."""
    prepare = getattr(predictor, "prepare", None)
    writable = not getattr(predictor, "only_reads", False)

    def prepared(rows: pa.RecordBatch) -> Any:
        columns = to_batch(rows, inputs, writable)
        return prepare(columns) if prepare else columns

    return prepared


class Forward:
    """Runs a predictor over rows of windows. `inputs` names the columns it reads."""

    def __init__(
        self,
        predictor: Any,
        inputs: list[str],
        sizer: BatchSizer,
        clock: Clock,
        on_batch: Callable[[int, float], None],
    ):
        self._predictor = predictor
        self._sizer = sizer
        self._clock = clock
        self._on_batch = on_batch
        self._prepare = preparer(predictor, inputs)

    def prepare(self, batch: pa.RecordBatch) -> Any:
        """`batch` as predict takes it."""
        return self._prepare(batch)

    def run(
        self, window: pa.RecordBatch, indices: np.ndarray, prepared: Any, cost: float | None
    ) -> list[Result]:
        """Predict the rows at `indices` of `window`; `prepared` is these rows, prepared (None:
        preparing them failed, or was not tried). `cost` is what they cost, for the sizer; None
        where it has nothing to learn from them."""
        try:
            return [Success(indices, self._predict(window, indices, prepared, cost))]
        except MrmodelError:
            raise
        except Exception as error:  # noqa: BLE001 the user's code may raise anything
            if put_back(error):
                return self.run(window, indices, None, None)
            return self._after_failure(window, indices, error)

    def _predict(
        self, window: pa.RecordBatch, indices: np.ndarray, prepared: Any, cost: float | None
    ) -> pa.RecordBatch:
        if prepared is None:
            with self._clock.phase("prepare"):
                prepared = self.prepare(window.take(pa.array(indices)))
        begun = time.perf_counter()
        with torch.inference_mode():
            outputs = to_arrow(self._predictor.predict(prepared), len(indices))
        seconds = time.perf_counter() - begun
        self._clock.add("forward", seconds)
        if cost is not None:
            self._sizer.record(cost, seconds)
        self._on_batch(len(indices), seconds)
        return outputs

    def _after_failure(
        self, window: pa.RecordBatch, indices: np.ndarray, error: Exception
    ) -> list[Result]:
        no_memory = is_out_of_memory(error)
        if no_memory:
            self._make_room(len(indices), error)
        elif any(mark in str(error) for mark in _DEVICE_IS_LOST):
            raise JobError(f"the device failed, the task must start again: {error}") from error
        if len(indices) == 1:
            return [Failure(int(indices[0]), error)]
        middle = len(indices) // 2
        halves = indices[:middle], indices[middle:]
        return [r for half in halves for r in self.run(window, half, None, None)]

    def _make_room(self, rows: int, error: Exception) -> None:
        if rows == 1:
            raise JobError(
                "out of memory on a batch of a single row: expected the model and one row to fit; "
                f"give the task more memory (--memory) or use a smaller model ({error})"
            ) from error
        self._sizer.shrink(rows)
        free_cached_memory()
