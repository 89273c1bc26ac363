"""What this process may use of its machine: cores and memory."""

from __future__ import annotations

import math
import os
from pathlib import Path

import psutil

_PROC = Path("/proc/self/cgroup")
_CGROUPS = Path("/sys/fs/cgroup")
# of a container, as it sees itself: versions 2 and 1
_MEMORY_LIMITS = ("memory.max", "memory/memory.limit_in_bytes")


def cores() -> int:
    """The cores of this process: of the machine's, those that it may run on, and no more than its
    container gets the time of (as ``docker run --cpus 2`` says)."""
    try:
        own = len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        return os.cpu_count() or 1
    quota = _quota(_PROC, _CGROUPS)
    return own if quota is None else max(1, min(own, math.ceil(quota)))


def free_memory() -> int:
    """Bytes that this process and its children may still take, as far as can be told."""
    available, limit = psutil.virtual_memory().available, memory_limit()
    return available if limit is None else min(available, limit)


def memory_limit() -> int | None:
    """Bytes that the container this runs in may have; None where there is no limit."""
    for name in _MEMORY_LIMITS:
        text = _read(_CGROUPS / name)
        if text:
            return int(text) if text.isdigit() and int(text) < 1 << 60 else None
    return None


def _quota(proc: Path, cgroups: Path) -> float | None:
    """Cores that the control group of this process, or one above it, may keep busy; None where
    nobody says."""
    found = [_share(limit) for limit in _limits(proc, cgroups)]
    return min((share for share in found if share is not None), default=None)


def _limits(proc: Path, cgroups: Path) -> list[str]:
    """What the kernel says of each group, as ``QUOTA PERIOD``."""
    first = cgroups / "cpu"  # version 1
    texts = [f"{_read(first / 'cpu.cfs_quota_us')} {_read(first / 'cpu.cfs_period_us')}"]
    for line in _read(proc).splitlines():
        number, _, path = line.split(":", 2)
        if number == "0":  # version 2
            group = cgroups / path.strip("/")
            texts += [_read(g / "cpu.max") for g in (group, *group.parents)]
    return texts


def _share(limit: str) -> float | None:
    numbers = limit.split()
    if len(numbers) != 2 or not all(number.isdigit() for number in numbers):
        return None  # "max", -1 or nothing: no limit
    quota, period = map(int, numbers)
    return quota / period if quota and period else None


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
