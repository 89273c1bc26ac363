"""Progress for people: a bar on a terminal, a plain line every 30 s elsewhere. On stderr."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from mrmodel.driver.predict import Watcher
from mrmodel.runners.base import Launcher, Snapshot
from mrmodel.shards.plan import Plan
from mrmodel.units import duration

LINE_EVERY = 30.0
LOOK_EVERY = 1.0


class ProgressWatcher(Watcher):
    """Shows a job on `console` (stderr by default)."""

    def __init__(self, console: Console | None = None):
        self._console = console or Console(stderr=True, highlight=False)

    def say(self, message: str) -> None:
        self._console.print(f"mrmodel: {message}", soft_wrap=True, markup=False)

    @contextmanager
    def watch(self, launcher: Launcher, plan: Plan, shards: int, passes: int = 1) -> Iterator[None]:
        """Look at the launcher in a thread while the tasks run."""
        stop = threading.Event()
        view = _Bar(self._console) if self._console.is_terminal else _Lines(self._console)
        gauge = Gauge(shards, plan.rows and plan.rows * passes)
        thread = threading.Thread(
            target=_look, args=(launcher, gauge, view, stop), name="progress", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


class Gauge:
    """Turns snapshots into what people want to know: rate, share done, time left."""

    def __init__(self, shards: int, rows: int | None):
        self.shards = shards
        self.rows = rows
        self._begun: float | None = None
        self._first = Snapshot()

    def text(self, snapshot: Snapshot, now: float) -> str:
        """``12/40 shards, 3 running, 81,000 rows, 1,200 rows/s, 2 bad, 1m 40s left``."""
        rate = self._rate(snapshot, now)
        parts = [f"{snapshot.done}/{self.shards} shards"]
        if snapshot.running:
            parts.append(f"{snapshot.running} running")
        parts.append(f"{snapshot.rows:,} rows")
        if rate:
            parts.append(f"{rate:,.0f} rows/s")
        parts.append(f"{snapshot.bad:,} bad")
        left = self._left(snapshot, rate)
        if left is not None:
            parts.append(f"{duration(left)} left")
        return ", ".join(parts)

    def share(self, snapshot: Snapshot) -> float:
        """How much is done, 0..1."""
        by_shards = snapshot.done / self.shards if self.shards else 1.0
        by_rows = snapshot.rows / self.rows if self.rows else 0.0
        return min(1.0, max(by_shards, by_rows))

    def _rate(self, snapshot: Snapshot, now: float) -> float:
        """Rows per second since the first rows came."""
        if self._begun is None:
            if snapshot.rows:
                self._begun, self._first = now, snapshot
            return 0.0
        return (snapshot.rows - self._first.rows) / max(now - self._begun, 1e-9)

    def _left(self, snapshot: Snapshot, rate: float) -> float | None:
        if self.rows and rate:
            return max(0.0, (self.rows - snapshot.rows) / rate)
        return None


class _Lines:
    """A line every LINE_EVERY seconds."""

    def __init__(self, console: Console):
        self._console = console
        self._next_line = time.monotonic() + LINE_EVERY
        self._next_look = self._next_line - LINE_EVERY / 2

    def tell(self, text: str) -> None:
        self._console.print(f"mrmodel: {text}", soft_wrap=True, markup=False)

    def show(self, gauge: Gauge, launcher: Launcher) -> None:
        """Look twice for every line: the first look is where the rate begins. More of them would
        cost an application master some of a core."""
        now = time.monotonic()
        if now < self._next_look:
            return
        text = gauge.text(launcher.snapshot(), now)
        self._next_look = now + LINE_EVERY / 2
        if now >= self._next_line:
            self._next_line = now + LINE_EVERY
            self.tell(text)

    def close(self) -> None:
        pass


class _Bar:
    """A bar that is redrawn in place."""

    def __init__(self, console: Console):
        self._progress = Progress(
            SpinnerColumn(),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._task = self._progress.add_task("starting", total=1.0)
        self._progress.start()

    def tell(self, text: str) -> None:
        self._progress.console.print(f"mrmodel: {text}", markup=False)

    def show(self, gauge: Gauge, launcher: Launcher) -> None:
        snapshot = launcher.snapshot()
        text = gauge.text(snapshot, time.monotonic())
        self._progress.update(self._task, completed=gauge.share(snapshot), description=text)

    def close(self) -> None:
        self._progress.stop()


def _look(launcher: Launcher, gauge: Gauge, view: _Lines | _Bar, stop: threading.Event) -> None:
    page = None
    try:
        while not stop.wait(LOOK_EVERY):
            try:
                if launcher.page() != page:
                    page = launcher.page()
                    view.tell(f"job page {page}")
                view.show(gauge, launcher)
            except Exception:  # noqa: BLE001
                continue  # looking may fail where working does not; the next look may succeed
    finally:
        view.close()
