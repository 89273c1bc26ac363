"""Where the seconds of a round of training go."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

# of a pass, one after the other; the tasks' clocks say when one ends and the next begins
OF_A_PASS = ("start", "map", "shuffle", "reduce", "collect")


class Phases:
    """Seconds by phase, added up: those of the clock on the wall, and those of all tasks."""

    def __init__(self) -> None:
        self._wall: dict[str, float] = defaultdict(float)
        self._tasks: dict[str, float] = defaultdict(float)

    def add_pass(self, begun: float, told: Iterable[dict[str, Any]], ended: float) -> None:
        """A pass took from `begun` to `ended`; `told` is what its tasks said of themselves (see
        `Staging.report_seconds`)."""
        told = list(told)
        spans = [_span(told, kind) for kind in ("map", "reduce")]
        marks = [begun]
        for mark in (*spans[0], *spans[1], ended):
            # nodes' clocks may differ, and reducers may begin before the last mapper ends
            marks.append(min(max(marks[-1], mark or 0.0), ended))
        for name, (before, after) in zip(OF_A_PASS, pairwise(marks), strict=True):
            self._wall[name] += after - before
        for one in told:
            for name, seconds in one["seconds"].items():
                self._tasks[name] += seconds

    def line(self, seconds: float) -> dict[str, dict[str, float]]:
        """For metrics.jsonl, of a round that took `seconds`: what no phase has is the step."""
        wall = {**self._wall, "step": max(0.0, seconds - sum(self._wall.values()))}
        return {"phases": _rounded(wall), "task_seconds": _rounded(self._tasks)}


def _span(told: list[dict[str, Any]], kind: str) -> tuple[float | None, float | None]:
    """When the first task of `kind` began and the last one ended."""
    mine = [one for one in told if one["kind"] == kind]
    if not mine:
        return None, None
    return min(one["begun"] for one in mine), max(one["ended"] for one in mine)


def _rounded(seconds: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 6) for name, value in seconds.items()}
