"""Runs become medians, ratios and a table."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from statistics import median

import psutil

from mrmodel.machine import cores

from .systems import Measured, baseline_of

PACKAGES = ("torch", "pyarrow", "numpy", "transformers", "tokenizers", "mrjob")
GOALS = {"inline": ("steady", 0.97), "hadoop": ("wall", 0.90)}
COLUMNS = (
    "system", "wall s", "start s", "steady s", "end s", "rows/s", "rows/s steady",
    "forward share", "CPU s", "peak memory MB", "others' cores", "max abs diff",
)  # fmt: skip


def by_system(runs: Sequence[Measured]) -> dict[str, list[Measured]]:
    """The runs of each system, in the order of the repeats."""
    found: dict[str, list[Measured]] = {}
    for run in runs:
        found.setdefault(run.system, []).append(run)
    return found


def ratios(runs: Sequence[Measured], runner: str, figure: str) -> list[float]:
    """Speed of `runner` as a share of its bare loop's, repeat by repeat: above 1 is faster.
    `figure` is ``wall``, ``steady`` or ``cpu``."""
    systems = by_system(runs)
    pairs = zip(systems[baseline_of(runner)], systems[runner], strict=True)
    return [getattr(bare, figure) / getattr(ours, figure) for bare, ours in pairs]


def table(runs: Sequence[Measured], differences: dict[str, float]) -> str:
    """Medians per system, as a Markdown table."""
    rows = [_row(name, found, differences) for name, found in by_system(runs).items()]
    return markdown([list(COLUMNS), *rows])


def _row(name: str, runs: list[Measured], differences: dict[str, float]) -> list[str]:
    def middle(value) -> float:
        return median(value(run) for run in runs)

    return [
        name,
        f"{middle(lambda r: r.wall):.2f}",
        f"{middle(lambda r: r.start):.2f}",
        f"{middle(lambda r: r.steady):.2f}",
        f"{middle(lambda r: r.end):.2f}",
        f"{middle(lambda r: r.rows / r.wall):,.0f}",
        f"{middle(lambda r: r.rows / r.steady):,.0f}",
        f"{middle(lambda r: r.forward_share):.3f}",
        f"{middle(lambda r: r.cpu):.1f}",
        f"{middle(lambda r: r.memory) / 1e6:,.0f}",
        f"{middle(lambda r: r.others):.2f}",
        f"{differences[name]:.1e}" if name in differences else "–",
    ]


def ratio_table(runs: Sequence[Measured]) -> str:
    """Each runner against its bare loop: median (least to greatest) of the repeats."""
    header = ["runner ÷ bare loop", "steady state", "all costs", "CPU time", "goal"]
    rows = []
    for name in by_system(runs):
        if not name.startswith("bare"):
            cells = [spread(ratios(runs, name, f)) for f in ("steady", "wall", "cpu")]
            rows.append([f"{name} ÷ {baseline_of(name)}", *cells, _goal(runs, name)])
    return markdown([header, *rows])


def spread(values: Sequence[float]) -> str:
    """Median (least to greatest)."""
    return f"{median(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def _goal(runs: Sequence[Measured], runner: str) -> str:
    if runner not in GOALS:
        return "–"
    figure, least = GOALS[runner]
    reached = "reached" if median(ratios(runs, runner, figure)) >= least else "not reached"
    name = "steady state" if figure == "steady" else "all costs, 10 minutes or more"
    return f"≥ {least} {name}: {reached}"


def phase_table(runs: Sequence[Measured]) -> str:
    """Where task seconds go: medians of the seconds per phase, summed over tasks. In mrmodel
    read, prepare and write run beside forward."""
    names = ("read", "prepare", "forward", "write")
    rows = [
        [system, *(f"{median(run.seconds[name] for run in found):.2f}" for name in names)]
        for system, found in by_system(runs).items()
    ]
    return markdown([["task seconds", *names], *rows])


def machine() -> str:
    """The versions and the machine, for the head of a report."""
    found = [f"Python {platform.python_version()}"]
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    memory = psutil.virtual_memory().total / (1 << 30)
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"{', '.join(found)}\n{_processor()}, {cores()} cores, {memory:.0f} GB; load average {load}"
    )


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            names = [line.partition(":")[2].strip() for line in lines if "model name" in line]
    except OSError:
        names = []
    return names[0] if names else platform.machine()


def markdown(rows: list[list[str]]) -> str:
    """`rows`, the header first, as a Markdown table."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
