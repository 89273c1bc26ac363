"""What a task tells the world while it runs: Hadoop's counters and status, a progress file.

Hadoop Streaming reads lines with a known prefix from stderr. The prefix is ours (it is set with
``stream.stderr.reporter.prefix``), so that a library that happens to print ``reporter:`` changes
nothing; mrjob's own runners know only ``reporter:`` and get that.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import IO

from mrmodel.tasks.context import TaskContext
from mrmodel.tasks.spec import TaskSpec

HADOOP_PREFIX = "mrmodel-reporter:"
GROUP = "mrmodel"
COUNTERS = (
    "rows in",
    "rows ok",
    "rows bad",
    "rows predicted",  # before they are written: progress, where a window takes long
    "bytes read",
    "forward milliseconds",
)


class Reporter:
    """Counts what the task did and passes it on, at most every `interval` seconds."""

    def __init__(
        self,
        prefix: str,
        progress_file: Path | None = None,
        interval: float = 2.0,
        stream: IO[bytes] | None = None,
    ):
        self.totals = dict.fromkeys(COUNTERS, 0)
        self._sent = dict.fromkeys(COUNTERS, 0)
        self._prefix = prefix
        self._progress_file = progress_file
        self._interval = interval
        self._stream = stream or sys.stderr.buffer
        self._last = 0.0
        self._lock = threading.Lock()

    def count(self, **amounts: float) -> None:
        """Add to counters (``rows_in=5``) and pass them on when it is time."""
        with self._lock:
            for name, amount in amounts.items():
                self.totals[name.replace("_", " ")] += amount
            due = time.monotonic() - self._last >= self._interval
        if due:
            self.flush()

    def flush(self) -> None:
        """Pass on what has been counted since the last time."""
        with self._lock:
            self._last = time.monotonic()
            for name in COUNTERS:
                amount = int(self.totals[name]) - self._sent[name]
                self._sent[name] += amount
                if amount:
                    self._send(f"counter:{GROUP},{name},{amount}")
            self._write_progress()

    def status(self, text: str) -> None:
        """Set the task's status; on Hadoop this also says that the task is alive."""
        with self._lock:
            self._send(f"status:{' '.join(text.splitlines())}")

    def _send(self, line: str) -> None:
        # one write call per line: other threads print to the same stderr
        self._stream.write(f"{self._prefix}{line}\n".encode("utf-8", "backslashreplace"))
        self._stream.flush()

    def _write_progress(self) -> None:
        if self._progress_file is None:
            return
        temporary = self._progress_file.with_suffix(".tmp")
        temporary.write_text(json.dumps({k: int(v) for k, v in self.totals.items()}))
        os.replace(temporary, self._progress_file)


def new_reporter(spec: TaskSpec, context: TaskContext, stream: IO[bytes] | None = None) -> Reporter:
    """The reporter that fits where this task runs; it writes to `stream` (stderr)."""
    if context.is_hadoop:
        # after an end of line: the model may have written half a line to stderr, and Hadoop
        # knows the prefix at the beginning of a line only
        return Reporter(f"\n{HADOOP_PREFIX}", interval=5.0)
    file = Path(spec.progress) / f"{context.attempt}.json" if spec.progress else None
    return Reporter("reporter:", progress_file=file, interval=0.5, stream=stream)
