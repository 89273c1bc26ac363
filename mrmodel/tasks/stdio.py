"""Keep the task's stdin and stdout for itself.

Whatever a library prints on stdout would become a record of the job's output, and whatever it
reads from stdin would be missing from the manifest.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def stdout_to_stderr() -> Iterator[int]:
    """Everything printed on stdout, by Python or by C code, goes to stderr; the file descriptor
    given is the real stdout."""
    sys.stdout.flush()
    saved = os.dup(1)
    os.dup2(2, 1)
    try:
        yield saved
    finally:
        sys.stdout.flush()
        os.dup2(saved, 1)
        os.close(saved)


def take_stdin() -> int:
    """A private copy of stdin's file descriptor; others find stdin empty from now on."""
    private = os.dup(0)
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    return private
