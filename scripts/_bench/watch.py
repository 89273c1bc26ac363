"""What a command costs: wall time, CPU time, memory of its whole process tree, other load."""

from __future__ import annotations

import os
import resource
import subprocess
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import psutil

INTERVAL = 0.5
_MORE = 1.01  # times the memory seen before
_STILL_STARTING = 5.0  # seconds in which a process may become another program
CONTAINER = "CONTAINER_ID"  # in the environment of what YARN runs


@dataclass(frozen=True)
class Cost:
    """`began` and `ended` on time.time()'s clock; `cpu` seconds and peak `memory` bytes (pages that
    processes share counted once) of all processes; `others`: how many cores were busy with
    something else meanwhile. `cpu` is what the system counted for those that were waited for,
    or, if that is more, what was seen of all: some programs leave processes to themselves."""

    began: float
    ended: float
    cpu: float
    memory: int
    others: float
    outputs: tuple[str, ...]

    @property
    def wall(self) -> float:
        return self.ended - self.began


class CommandFailed(Exception):
    """A command that was to be measured failed; the message holds its last words."""


def run(
    commands: list[list[str]],
    env: dict[str, str],
    folder: Path,
    containers: bool = False,
    limit: int | None = None,
    patience: float | None = None,
    interval: float = INTERVAL,
) -> tuple[Cost, Watch]:
    """Run `commands` side by side to their end. With `containers`, YARN's are watched too (see
    `Watch.containers`); with `limit`, they are killed once they have so many bytes, with
    `patience`, after so many seconds. They are looked at every `interval` seconds.

    Raises CommandFailed.
    """
    busy, began = _busy_seconds(), time.time()
    processes = [start(command, env, folder / f"run-{i}") for i, command in enumerate(commands)]
    pids = [process.pid for process in processes]
    watch = Watch(pids, containers, limit, patience, interval)
    try:
        with watch:
            usages = [_wait(process) for process in processes]
    except BaseException:  # an interrupt: nothing goes on without us
        kill(_trees([psutil.Process(p.pid) for p in processes if p.returncode is None]))
        raise
    ended = time.time()
    outputs = [(folder / f"run-{i}.out").read_text() for i in range(len(commands))]
    for number, process in enumerate(processes):
        if process.returncode:
            words = (folder / f"run-{number}.err").read_text()[-2000:]
            why = f" ({watch.killed})" if watch.killed else ""
            code = process.returncode
            raise CommandFailed(f"{commands[number]}: exit code {code}{why}\n{words}")
    cpu = max(watch.cpu, sum(usage.ru_utime + usage.ru_stime for usage in usages))
    memory = max(watch.peak, *(_own_peak(usage) for usage in usages))
    others = max(0.0, _busy_seconds() - busy - cpu) / (ended - began)
    return Cost(began, ended, cpu, memory, others, tuple(outputs)), watch


def start(command: list[str], env: dict[str, str], log: Path) -> subprocess.Popen:
    """Start `command`, with its output in `log`.out and `log`.err."""
    with open(f"{log}.out", "wb") as out, open(f"{log}.err", "wb") as err:
        return subprocess.Popen(command, stdout=out, stderr=err, stdin=subprocess.DEVNULL, env=env)


def _own_peak(usage: resource.struct_rusage) -> int:
    """The most that a process had, also between two looks of ours; 0 where it cannot be told: a
    child begins as a copy of us, and Linux counts that as its peak."""
    peak = usage.ru_maxrss
    return peak * 1024 if peak > resource.getrusage(resource.RUSAGE_SELF).ru_maxrss else 0


def _wait(process: subprocess.Popen) -> resource.struct_rusage:
    """Wait for `process`; what it and those it waited for used."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage


def _busy_seconds() -> float:
    times = psutil.cpu_times()
    return sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0)


class Watch:
    """Samples memory and CPU time of the trees under `roots`, and of YARN's containers, in a
    thread; kills what is over `limit`, or takes longer than `patience`. `killed` says why."""

    def __init__(
        self,
        roots: list[int],
        containers: bool = False,
        limit: int | None = None,
        patience: float | None = None,
        interval: float = INTERVAL,
    ):
        self.peak = 0
        self.killed = ""
        self._resident = 0
        self._seen: dict[psutil.Process, float] = {}
        self._limit = limit
        self._patience = patience
        self._interval = interval
        self._began = time.monotonic()
        self._roots = [psutil.Process(pid) for pid in roots]
        self._yarn = YarnContainers() if containers else None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def cpu(self) -> float:
        """Seconds that all processes of the trees had used when they were last seen."""
        return sum(self._seen.values())

    def kill_rest(self) -> None:
        """Kill what was seen in the trees and still runs."""
        kill(list(self._seen))

    def containers(self, application: str) -> Usage:
        """What the containers of `application` used."""
        return self._yarn.of(application) if self._yarn else Usage()

    def _run(self) -> None:
        while not self._stop.wait(self._interval):
            tree = _trees(self._roots)
            self._look_at_memory(tree)
            for process in tree:
                self._seen[process] = max(self._seen.get(process, 0.0), _cpu_seconds(process))
            self.killed = self.killed or self._too_much()
            if self.killed:
                self.kill_rest()
            if self._yarn:
                self._yarn.look()

    def _look_at_memory(self, tree: list[psutil.Process]) -> None:
        """What is shared is told only where there is more than ever: that takes milliseconds for
        each process, from those that are measured."""
        resident = sum(map(_resident, tree))
        if resident > self._resident * _MORE:
            self._resident = resident
            self.peak = max(self.peak, sum(map(_proportional, tree)))

    def _too_much(self) -> str:
        if self._limit and self.peak > self._limit:
            return "more memory than it may have"
        if self._patience and time.monotonic() - self._began > self._patience:
            return f"longer than {self._patience:.0f} s"
        return ""


def _trees(roots: list[psutil.Process]) -> list[psutil.Process]:
    found = []
    for root in roots:
        try:
            found += [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            continue
    return found


def kill(processes: list[psutil.Process]) -> None:
    """Kill those of `processes` that still run."""
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue


def _resident(process: psutil.Process) -> int:
    try:
        return process.memory_info().rss
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0


def _proportional(process: psutil.Process) -> int:
    """Bytes of `process`; of a page that n processes share, the nth part."""
    try:
        return process.memory_full_info().pss
    except (psutil.NoSuchProcess, psutil.AccessDenied, AttributeError):
        return _resident(process)


def _cpu_seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0.0
    return times.user + times.system


@dataclass(frozen=True)
class Usage:
    """Of an application: `cpu` seconds, peak `memory` of all its containers together, and
    `largest`, the peak of the task that used most."""

    cpu: float = 0.0
    memory: int = 0
    largest: int = 0


class YarnContainers:
    """Memory and CPU of the containers on this machine, found by their environment. A
    container's processes are counted whole: the JVM and the Python it started."""

    def __init__(self) -> None:
        self._known: dict[psutil.Process, str | None] = {}
        self._cpu: dict[psutil.Process, float] = {}
        self._peaks: dict[str, int] = defaultdict(int)
        self._together: dict[str, int] = defaultdict(int)

    def look(self) -> None:
        now: dict[str, int] = defaultdict(int)
        for pid in psutil.pids():
            self._look_at(pid, now)
        for container, memory in now.items():
            self._peaks[container] = max(self._peaks[container], memory)
        for application in {_application(c) for c in now}:
            memory = sum(m for c, m in now.items() if _application(c) == application)
            self._together[application] = max(self._together[application], memory)

    def of(self, application: str) -> Usage:
        mine = [p for p, c in self._known.items() if c and _application(c) == application]
        peaks = [m for c, m in self._peaks.items() if _is_task(c, application)]
        cpu = sum(self._cpu.get(process, 0.0) for process in mine)
        return Usage(cpu, self._together.get(application, 0), max(peaks, default=0))

    def _look_at(self, pid: int, now: dict[str, int]) -> None:
        try:
            process = psutil.Process(pid)
            container = self._container(process)
            if container:
                now[container] += process.memory_info().rss
                times = process.cpu_times()
                self._cpu[process] = times.user + times.system
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            pass

    def _container(self, process: psutil.Process) -> str | None:
        known = self._known.get(process)
        young = time.time() - process.create_time() < _STILL_STARTING
        if process not in self._known or (young and not known):
            self._known[process] = known = process.environ().get(CONTAINER)
        return known


def _is_task(container: str, application: str) -> bool:
    """Of `application`, and not its master, which is the first container of an attempt."""
    return _application(container) == application and not container.endswith("_000001")


def _application(container: str) -> str:
    """container_e01_1700000000000_0001_01_000002 → application_1700000000000_0001."""
    words = [word for word in container.split("_")[1:] if not word.startswith("e")]
    return "application_" + "_".join(words[:2])
