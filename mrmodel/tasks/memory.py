"""Memory that ran out: how that is told from other failures, and what a step says of it."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from mrmodel.errors import JobError

_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error`, or what it came of, says that memory ran out, on the CPU or on a GPU."""
    if error.__cause__ is not None and is_out_of_memory(error.__cause__):
        return True
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    return isinstance(error, RuntimeError) and any(
        mark in str(error).lower() for mark in _OUT_OF_MEMORY
    )


def free_cached_memory() -> None:
    """Give back what torch keeps of a GPU's memory for later."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@contextmanager
def room_for_step(rows: int) -> Iterator[None]:
    """Raise JobError where memory runs out in a step of an optimiser on `rows` rows: smaller ones
    would be other steps."""
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise JobError(
            f"out of memory in a step on {rows} rows: expected the model, its optimiser and the "
            f"batch to fit; use a smaller --batch-size, or give the task more memory (--memory) "
            f"({error})"
        ) from error
