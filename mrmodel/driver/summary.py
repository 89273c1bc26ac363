"""The end of a job in a few lines that people can read."""

from __future__ import annotations

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from mrmodel.driver.progress import duration
from mrmodel.driver.run import Run
from mrmodel.tasks.clock import PHASES

_SHOWN_ERRORS = 3
_MESSAGE = 100


def show(run: Run, console: Console) -> None:
    """Print the summary of `run`."""
    console.print(Group(_facts(run), *_errors(run)), soft_wrap=True)


def _facts(run: Run) -> Table:
    table = Table.grid(padding=(0, 2))
    rows, seconds = run.rows, run.seconds
    table.add_row("rows", f"{rows['in']:,} in = {rows['ok']:,} ok + {rows['bad']:,} bad")
    table.add_row("time", f"{duration(seconds['total'])} ({run.runner}), {_rate(run)}")
    phases = ", ".join(f"{name} {seconds[name]:.1f}" for name in ("start", *PHASES))
    table.add_row("seconds", f"{phases} (summed over tasks, but start)")
    table.add_row("forward share", f"{run.forward_share:.0%} of task time after load")
    if run.kept:
        table.add_row("resumed", f"{run.kept} shards were finished before")
    table.add_row("output", Text(run.output))
    return table


def _rate(run: Run) -> str:
    return f"{run.rows_per_second:,.0f} rows/s"


def _errors(run: Run) -> list[Text]:
    lines = [
        Text(f"  {count:,} × {name}: {_short(example)}")
        for name, count, example in run.errors[:_SHOWN_ERRORS]
    ]
    return (
        [Text(f"most common errors of the bad rows ({run.output}/_bad):"), *lines] if lines else []
    )


def _short(text: str) -> str:
    line = text.strip().splitlines()[0] if text.strip() else ""
    return line if len(line) <= _MESSAGE else line[: _MESSAGE - 1] + "…"
