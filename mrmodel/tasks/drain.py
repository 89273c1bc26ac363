"""Take in what Hadoop sends on stdin, at the pace of the work, and drop it.

Hadoop reads the split itself and sends it to the task, which has read it already by its own means.
Taking it in proportion to the rows that are finished makes YARN show true progress, keeps
speculative execution meaningful, and a task that hangs stops taking, which Hadoop notices.
"""

from __future__ import annotations

import os
import threading

CHUNK = 1 << 20


class Drain:
    """Drops bytes of the file descriptor `fd` up to a share of `length`, in a thread."""

    def __init__(self, fd: int, length: int):
        self._fd = fd
        self._length = length
        self._allowed = 0.0
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="drain", daemon=True)
        self._thread.start()

    def advance(self, share: float) -> None:
        """The work is done up to `share` (0..1)."""
        self._allow(share * self._length)

    def finish(self) -> None:
        """Take the rest, so that Hadoop does not see a broken pipe."""
        self._allow(float("inf"))
        self._thread.join()

    def _allow(self, nbytes: float) -> None:
        with self._changed:
            self._allowed = max(self._allowed, nbytes)
            self._changed.notify()

    def _run(self) -> None:
        taken = 0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: taken <= self._allowed)  # noqa: B023
            chunk = os.read(self._fd, CHUNK)
            if not chunk:
                return
            taken += len(chunk)
