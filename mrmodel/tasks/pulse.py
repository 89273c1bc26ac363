"""Alive or hung? A thread that speaks for the task as long as its work moves on.

On Hadoop a silent task is killed after ``mapreduce.task.timeout``, so a long forward pass or a
slow load must say that it is alive; but a task that hangs must not. The pulse therefore beats only
while the last ``beat()`` of the working threads is younger than `limit` seconds. After that it
writes every thread's stack to stderr and ends the process: Hadoop (or the user) then tries again.
"""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
import time
from collections.abc import Callable

import psutil

from mrmodel.errors import JobError
from mrmodel.tasks.reporter import Reporter
from mrmodel.tasks.spec import TaskSpec
from mrmodel.tasks.staging import Staging

HUNG_EXIT_CODE = 75  # EX_TEMPFAIL: try again


class Pulse:
    """Use as a context manager around a task's work."""

    def __init__(
        self,
        limit: float,
        on_beat: Callable[[str], None],
        on_hung: Callable[[str], None],
        driver_pid: int | None = None,
        interval: float = 10.0,
        patience: float = 30.0,
    ):
        self._limit = limit
        self._on_beat = on_beat
        self._on_hung = on_hung
        self._driver_pid = driver_pid
        self._interval = interval
        self._patience = patience
        self._doing = "starting"
        self._last = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)

    def beat(self, doing: str) -> None:
        """The work moved on; `doing` is what comes next, for people."""
        self._doing = doing
        self._last = time.monotonic()

    def __enter__(self) -> Pulse:
        self.beat("starting")
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        next_status = 0.0
        while not self._stop.wait(min(1.0, self._interval)):
            self._end_if_orphaned()
            if time.monotonic() - self._last > self._limit:
                self._end_hung()
            if time.monotonic() >= next_status:
                self._on_beat(self._doing)
                next_status = time.monotonic() + self._interval

    def _end_if_orphaned(self) -> None:
        """A task on the driver's machine has nobody to work for once the driver was killed."""
        if self._driver_pid is not None and not _is_running(self._driver_pid):
            os._exit(HUNG_EXIT_CODE)

    def _end_hung(self) -> None:
        message = f"nothing moved for {self._limit:g} s, last while {self._doing}"
        # what hangs may be the storage to which `on_hung` writes: it gets its time, not more
        telling = threading.Thread(target=self._on_hung, args=(message,), daemon=True)
        try:
            faulthandler.dump_traceback(file=sys.__stderr__, all_threads=True)
            print(f"mrmodel: the task hung: {message}", file=sys.__stderr__, flush=True)
            telling.start()
            telling.join(self._patience)
        finally:
            # a task inside the driver's process is the job: it failed
            os._exit(1 if self._driver_pid == os.getpid() else HUNG_EXIT_CODE)


def pulse_of(spec: TaskSpec, staging: Staging, attempt: str, reporter: Reporter) -> Pulse:
    """The pulse of the attempt: beats are statuses, and a hang leaves last words in `staging`."""
    return Pulse(
        spec.batch_timeout,
        on_beat=reporter.status,
        on_hung=lambda text: staging.report_error(
            attempt, JobError(f"the task hung: {text} (see --batch-timeout)")
        ),
        driver_pid=spec.driver_pid,
    )


def _is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
