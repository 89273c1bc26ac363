"""The end of a job in a few lines that people can read."""

from __future__ import annotations

from mrmodel.driver.run import Run
from mrmodel.tasks.clock import PHASES
from mrmodel.units import duration

_SHOWN_ERRORS = 3
_MESSAGE = 100


def lines(run: Run) -> list[str]:
    """The summary of `run`, line by line."""
    rows, seconds = run.rows, run.seconds
    phases = ", ".join(f"{name} {seconds[name]:.1f}" for name in PHASES)
    facts = {
        "rows": f"{rows['in']:,} in = {rows['ok']:,} ok + {rows['bad']:,} bad",
        "time": f"{_precise(seconds['total'])} on {run.runner}, {run.rows_per_second:,.0f} rows/s",
        "seconds": f"start {seconds['start']:.1f}; summed over tasks: {phases}",
        "forward share": f"{run.forward_share:.0%} of task time after load",
        "compiled": _compiled(run.model.get("calls")),
        "resumed": f"{run.kept} shards were finished before" if run.kept else "",
        "output": run.output,
    }
    shown = [f"{name:<15}{text}" for name, text in facts.items() if text]
    return shown + _errors(run)


def _compiled(calls: dict[str, int] | None) -> str:
    if calls is None:
        return ""
    total = sum(calls.values())
    share = f"{calls['compiled'] / total:.0%} of {total:,} calls" if total else "not used"
    return f"{share}; the others ran the model as it is" if calls["as_it_is"] else share


def _precise(seconds: float) -> str:
    return f"{seconds:.1f}s" if seconds < 60 else duration(seconds)


def _errors(run: Run) -> list[str]:
    if not run.errors:
        return []
    shown = [
        f"  {count:,} × {name}: {_short(example)}"
        for name, count, example in run.errors[:_SHOWN_ERRORS]
    ]
    return [f"bad rows are in {run.output}/_bad; the most common errors:", *shown]


def _short(text: str) -> str:
    line = text.strip().splitlines()[0] if text.strip() else ""
    return line if len(line) <= _MESSAGE else line[: _MESSAGE - 1] + "…"
