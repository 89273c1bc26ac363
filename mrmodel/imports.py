"""Imports that cost less. torch makes half a million objects, which live as long as the process."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import without looking for garbage: Python would look, time and again, at all that came in so
    far. What is there then is not looked at any more, at the end of the process either, which is a
    third of what importing torch costs.

    Only for processes of our own: garbage of earlier work would stay for ever.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def quick_end() -> None:
    """Let this process, which is about to end, do so without looking for garbage first. Functions
    of `atexit` run, and files are flushed, as ever."""
    gc.freeze()
