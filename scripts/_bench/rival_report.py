"""Runs of the rivals become medians, ratios and tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from .faults import Fault
from .report import by_system, markdown, spread
from .rival_list import OURS
from .rival_runs import Run

COLUMNS = (
    "system", "wall s", "rows/s", f"ratio to {OURS}", "first row s", "CPU s", "peak memory MB",
    "others' cores", "lines", "max abs diff",
)  # fmt: skip
FAULT_COLUMNS = (
    "system", "fault", "exit code", "ended by itself", "s", "row named", "rows written",
    "of good rows",
)  # fmt: skip
WHY = 100  # letters of a reason; all of it is on stderr


@dataclass(frozen=True)
class Results:
    """`differences` to the reference's output, `lines` of user code and `missing` (systems that
    could not be installed, and why), by system."""

    runs: Sequence[Run]
    differences: Mapping[str, float]
    lines: Mapping[str, int]
    missing: Mapping[str, str]


def ratios(runs: Sequence[Run], system: str) -> list[float]:
    """Speed of `system` in mrmodel-local's, repeat by repeat: above 1 the rival is faster. Empty
    where one of the two has no run."""
    found = by_system([run for run in runs if not run.failure])
    ours = {run.repeat: run.wall for run in found.get(OURS, ())}
    return [ours[r.repeat] / r.wall for r in found.get(system, ()) if r.repeat in ours]


def table(results: Results) -> str:
    """Medians per system; those that failed, or are not installed, with the reason."""
    rows = [_row(name, runs, results) for name, runs in by_system(results.runs).items()]
    rows += [_reason(name, f"not installed: {why}") for name, why in results.missing.items()]
    return markdown([list(COLUMNS), *rows])


def _row(name: str, runs: list[Run], results: Results) -> list[str]:
    failures = [run.failure for run in runs if run.failure]
    if failures:
        return _reason(name, f"failed: {failures[0]}")

    def middle(value: Callable[[Run], float]) -> float:
        return median(value(run) for run in runs)

    return [
        name,
        f"{middle(lambda r: r.wall):.2f}",
        f"{middle(lambda r: r.rows / r.wall):,.0f}",
        _against_ours(name, ratios(results.runs, name)),
        f"{middle(lambda r: r.first):.2f}",
        f"{middle(lambda r: r.cpu):.1f}",
        f"{middle(lambda r: r.memory) / 1e6:,.0f}",
        f"{middle(lambda r: r.others):.2f}",
        str(results.lines[name]),
        f"{results.differences[name]:.1e}" if name in results.differences else "–",
    ]


def _reason(name: str, why: str) -> list[str]:
    short = why if len(why) <= WHY else f"{why[: WHY - 1]}…"
    return [name, *["–"] * (len(COLUMNS) - 2), short.replace("|", "/")]


def _against_ours(name: str, found: list[float]) -> str:
    if not found or name == OURS:
        return "–"
    return f"{spread(found)}: {'faster' if median(found) > 1 else 'slower'}"


def verdict(results: Results) -> str:
    """Who is faster than mrmodel, in a sentence."""
    names = [name for name in by_system(results.runs) if name != OURS]
    found = {name: ratios(results.runs, name) for name in names}
    faster = {name: median(r) for name, r in found.items() if r and median(r) > 1}
    if not any(found.values()):
        return f"{OURS} did not run: nothing is compared with it."
    if not faster:
        return f"None of them is faster than {OURS}."
    told = [f"{name} ({ratio:.2f} times)" for name, ratio in sorted(faster.items())]
    return f"Faster than {OURS}: {', '.join(told)}."


def fault_table(faults: Sequence[Fault]) -> str:
    """What each system makes of a bad row, and of a process that is killed."""
    return markdown([list(FAULT_COLUMNS), *(_fault_row(fault) for fault in faults)])


def _fault_row(fault: Fault) -> list[str]:
    return [
        fault.system,
        fault.kind,
        "–" if fault.code is None else str(fault.code),
        "yes" if fault.ended else "no",
        f"{fault.seconds:.1f}",
        fault.named,
        f"{fault.rows:,}",
        f"{fault.good:,}",
    ]


def versions_line(versions: Mapping[str, Mapping[str, str]]) -> str:
    """What each environment holds that matters for speed."""
    told = []
    for venv, packages in versions.items():
        named = [f"{name} {version}" for name, version in packages.items()]
        told.append(f"{venv}: {', '.join(named)}")
    return "\n".join(told)
