"""Runs of training become tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from .adding import Added
from .report import markdown, spread
from .training import BY_HAND, Trained

GOAL = 0.95  # of torchrun's steady rows/s
COLUMNS = (
    "system", "wall s", "first epoch s", "steady s", "end s", "rows/s steady", "stepping share",
    "CPU s", "others' cores",
)  # fmt: skip


def by_system(runs: Sequence[Trained]) -> dict[str, list[Trained]]:
    """The runs of each system in the order of the repeats, torchrun first."""
    found: dict[str, list[Trained]] = {BY_HAND: []}
    for run in runs:
        found.setdefault(run.system, []).append(run)
    return found


def ratios(runs: Sequence[Trained], system: str, figure: str) -> list[float]:
    """The speed of `system` as a share of torchrun's, repeat by repeat. `figure` is ``steady``,
    ``wall`` or ``cpu``."""
    systems = by_system(runs)
    pairs = zip(systems[BY_HAND], systems[system], strict=True)
    return [getattr(bare, figure) / getattr(ours, figure) for bare, ours in pairs]


def gang_tables(runs: Sequence[Trained], same: dict[str, bool]) -> str:
    """Medians of each system, and what it reaches of torchrun; `same` says whose weights are."""
    rows = [_row(name, found) for name, found in by_system(runs).items()]
    header = ["allreduce ÷ torchrun", "steady rows/s", "all costs", "CPU time", "goal", "weights"]
    ours = [_ratio_row(runs, name, same[name]) for name in same]
    return "\n\n".join([markdown([list(COLUMNS), *rows]), markdown([header, *ours])])


def _row(name: str, runs: list[Trained]) -> list[str]:
    def middle(value: Callable[[Trained], float]) -> float:
        return median(value(run) for run in runs)

    return [
        name,
        f"{middle(lambda r: r.wall):.2f}",
        f"{middle(lambda r: r.first):.2f}",
        f"{middle(lambda r: r.steady):.2f}",
        f"{middle(lambda r: r.end):.2f}",
        f"{middle(lambda r: r.rows_per_second):,.0f}",
        f"{middle(lambda r: r.stepping / r.steady):.3f}",
        f"{middle(lambda r: r.cpu):.1f}",
        f"{middle(lambda r: r.others):.2f}",
    ]


def _ratio_row(runs: Sequence[Trained], name: str, same: bool) -> list[str]:
    cells = [spread(ratios(runs, name, figure)) for figure in ("steady", "wall", "cpu")]
    reached = "reached" if median(ratios(runs, name, "steady")) >= GOAL else "not reached"
    goal = f"≥ {GOAL} steady: {reached}"
    return [f"{name} ÷ {BY_HAND}", *cells, goal, "the same bits" if same else "differ"]


def phase_table(lines: dict[str, list[dict[str, Any]]]) -> str:
    """Seconds per round by phase: medians of the rounds of each runner, then of its tasks."""
    kinds = {"phases": "a round", "task_seconds": "tasks' seconds"}
    return "\n\n".join(_phases_of(lines, kind, name) for kind, name in kinds.items())


def _phases_of(lines: dict[str, list[dict[str, Any]]], kind: str, name: str) -> str:
    known = dict.fromkeys(p for found in lines.values() for line in found for p in line[kind])
    rows = []
    for runner, found in lines.items():
        seconds = [line[kind] for line in found]
        total = median(sum(one.values()) for one in seconds)
        each = [median(one.get(phase, 0.0) for one in seconds) for phase in known]
        rows.append([runner, f"{total:.2f}", *(f"{value:.3f}" for value in each)])
    return markdown([[name, "sum", *known], *rows])


def adding_table(runs: Sequence[Added]) -> str:
    """GB of buckets per second, added up and copied; ratios inside a repeat."""
    rows = []
    for shards in dict.fromkeys(run.shards for run in runs):
        found = [run for run in runs if run.shards == shards]
        rows.append(
            [
                f"{shards} buckets of {found[0].nbytes / shards / (1 << 20):.3g} MiB",
                f"{median(run.nbytes / run.add for run in found) / 1e9:.2f}",
                f"{median(run.nbytes / run.copy for run in found) / 1e9:.2f}",
                spread([run.copy / run.add for run in found]),
            ]
        )
    return markdown([["a reducer", "adds GB/s", "copy GB/s", "adding ÷ copying"], *rows])
