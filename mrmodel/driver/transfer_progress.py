"""A copy's progress for people: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import threading
import time

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from mrmodel.driver.transfer import File, Plan, Watcher
from mrmodel.units import format_size

LINE_EVERY = 10.0


class TransferProgress(Watcher):
    """Shows a transfer on `console` (stderr by default)."""

    def __init__(self, console: Console | None = None):
        self._console = console or Console(stderr=True, highlight=False)
        self._lock = threading.Lock()
        self._files = self._size = 0
        self._plan = Plan(())
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._next = time.monotonic() + LINE_EVERY

    def begin(self, plan: Plan) -> None:
        self._plan = plan
        if self._console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                DownloadColumn(),
                TransferSpeedColumn(),
                TimeRemainingColumn(),
                console=self._console,
                transient=True,
            )
            self._task = self._bar.add_task(self._text(), total=plan.size)
            self._bar.start()

    def advance(self, size: int) -> None:
        with self._lock:
            self._size += size
            if self._bar:
                self._bar.update(self._task, advance=size)
            elif time.monotonic() >= self._next:
                self._next = time.monotonic() + LINE_EVERY
                sizes = f"{format_size(self._size)} of {format_size(self._plan.size)}"
                self._console.print(f"mrmodel: {self._text()}, {sizes}", soft_wrap=True)

    def done(self, file: File, skipped: bool) -> None:
        with self._lock:
            self._files += 1
            if self._bar:
                self._bar.update(self._task, description=self._text())

    def end(self) -> None:
        if self._bar:
            self._bar.stop()

    def _text(self) -> str:
        return f"{self._files:,}/{len(self._plan.files):,} files"
