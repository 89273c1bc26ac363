"""Processes that run a predictor's ``prepare``, for one that is Python through and through.

A tokeniser or decoder of a library lets go of Python's lock, and overlaps the forward pass in a
thread. Code that never does takes turns with it, unless it runs in processes of its own. They are
forks of the task, made when the model is loaded and before anything has been computed.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import pyarrow as pa
import torch

from mrmodel.errors import JobError
from mrmodel.tasks.clock import Clock

START_LIMIT = 60.0  # seconds
LOOK_EVERY = 1.0  # seconds

# what forks run, and where they meet: set just before they are made
_prepare: Callable[[pa.RecordBatch], Any] | None = None
_meeting: Any = None


class Preparers:
    """`workers` processes that call `prepare` with record batches, whose `inputs` are sent."""

    def __init__(
        self, prepare: Callable[[pa.RecordBatch], Any], inputs: list[str], workers: int
    ) -> None:
        global _prepare, _meeting
        self.workers = workers
        self._inputs = inputs
        context = multiprocessing.get_context("fork")
        _prepare, _meeting = prepare, context.Barrier(workers)
        self._pool = ProcessPoolExecutor(workers, context, _begin, (os.getpid(),))
        # a pool makes its processes as work comes: with this, all are there now
        for met in [self._pool.submit(_meet) for _ in range(workers)]:
            met.result(START_LIMIT)

    def ask(self, rows: pa.RecordBatch, clock: Clock) -> Callable[[], Any]:
        """Have `rows` prepared; what is returned waits for them, and adds the seconds that they
        took to `clock`. It raises what ``prepare`` raises, JobError where a process was killed."""
        sent = rows.select(self._inputs)
        asked = self._pool.submit(_run, sent.schema, sent.serialize().to_pybytes())

        def wait() -> Any:
            try:
                prepared, seconds = pickle.loads(asked.result())
            except BrokenProcessPool as error:
                raise JobError(
                    "a process that prepares rows ended: killed for its memory, or by hand; fewer "
                    "--prepare-workers, or more --memory"
                ) from error
            clock.add("prepare", seconds)
            return prepared

        return wait

    def close(self) -> None:
        """End the processes. What was asked for and has not begun is not done."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def _begin(parent: int) -> None:
    torch.set_num_threads(1)  # OpenMP's threads do not live on in forks
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """End this process when its task was killed: nobody else would."""
    while os.getppid() == parent:
        time.sleep(LOOK_EVERY)
    os._exit(1)


def _meet() -> None:
    _meeting.wait(START_LIMIT)


def _run(schema: pa.Schema, data: bytes) -> bytes:
    """Rows prepared, and the seconds that took. As bytes: tensors would go by way of shared memory
    that has to be looked after."""
    assert _prepare is not None
    begun = time.perf_counter()
    prepared = _prepare(pa.ipc.read_record_batch(pa.py_buffer(data), schema))
    return pickle.dumps((prepared, time.perf_counter() - begun), pickle.HIGHEST_PROTOCOL)
