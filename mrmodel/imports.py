"""Imports, and ends of processes, that cost less. torch makes half a million objects, which live as
long as the process."""

from __future__ import annotations

import atexit
import gc
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import without looking for garbage: Python would look, time and again, at all that came in so
    far. What is there then is not looked at any more, at the end of the process either, which is a
    third of what importing torch costs.

    Only for processes of our own: garbage of earlier work would stay for ever, and torch's threads
    wait in another way (see `let_threads_sleep`).
    """
    gc.disable()
    let_threads_sleep()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def end_process(code: int) -> NoReturn:
    """End this process, which must be one of our own, as multiprocessing's do: threads are waited
    for, functions of `atexit` run and files are flushed. An interpreter's own end would then take
    all modules apart, which is another fifth of a second with torch."""
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # closed, or nobody reads
            stream.flush()
    os._exit(code)


def let_threads_sleep() -> None:
    """Let OpenMP's threads sleep, almost at once, where they wait for each other; to be called
    before torch is imported. They would look again and again, for milliseconds, and take the cores
    from those that read, decode and write meanwhile, or from whoever else is on the machine."""
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        # GNU's OpenMP, which comes with torch, looks so often first: some microseconds
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
