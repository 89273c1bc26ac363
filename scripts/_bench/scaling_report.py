"""What `scripts/bench scaling` has measured, as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mrmodel.driver.forecast import Cluster, Rates, Work, forecast

from .errors import BenchError
from .report import markdown
from .scaling import Run, Shape
from .scaling_axes import Axis
from .scaling_fit import Line, Planner, line

GOAL = 0.15
BEGIN, END = "<!-- scripts/bench scaling -->", "<!-- /scripts/bench scaling -->"
COLUMNS = (
    "rows/s", "wall s", "start s", "work s", "end s", "CPU s", "peak memory MB", "others' cores",
    "off the line",
)  # fmt: skip
# a job on paper: splits of about 128 MB, files of a gigabyte, 2 million parameters
PAPER = Shape(rows=1_000_000, columns=30, width=1_024)
TASKS_PER_NODE, WAVES, SHARDS_PER_FILE = 8, 10, 8
NODES = (1, 10, 100, 1_000)


@dataclass(frozen=True)
class Results:
    """What was measured with `runner`: medians of the `runs` along its `axes`, those `held` out,
    and the `planner`, None where there is none, and then `why`."""

    runner: str
    axes: Sequence[Axis]
    runs: Sequence[Run]
    held: Sequence[Run]
    planner: Planner | None
    why: str = ""

    def along(self, axis: Axis) -> list[Run]:
        return [run for shape in axis.shapes for run in self.runs if run.shape == shape]


def tell(results: Results) -> str:
    """All tables of a runner."""
    parts = [axis_section(axis, results.along(axis), results.runner) for axis in results.axes]
    if results.planner is None:
        return "\n\n".join([*parts, f"No planner: {results.why}."])
    planner = results.planner
    return "\n\n".join(
        [
            *parts,
            f"### {results.runner}: a planner\n\nFitted on {planner.runs} jobs.",
            rates_table(planner),
            held_table(planner, results.held),
            verdict(planner, results.held),
            f"### {results.runner}: on paper",
            paper_table(planner.rates(PAPER)),
        ]
    )


def axis_section(axis: Axis, runs: Sequence[Run], runner: str) -> str:
    """A table of the runs along `axis`, and whether they lie on a straight line."""
    amounts = [axis.amount(run) for run in runs]
    head = f"### {runner}: {axis.name}"
    try:
        walls = line(amounts, [run.wall for run in runs])
        memory = line(amounts, [run.memory for run in runs])
    except BenchError:
        rows = [_row(axis, run, None) for run in runs]
        return "\n\n".join([head, markdown([_header(axis), *rows]), _faster(axis, runs)]).strip()
    rows = [_row(axis, run, run.wall / walls.at(axis.amount(run)) - 1) for run in runs]
    told = f"Time: {_told(axis, walls, runs, seconds)}\n\n"
    told += f"Memory: {_told(axis, memory, runs, megabytes)}"
    return "\n\n".join([head, markdown([_header(axis), *rows]), told])


def _header(axis: Axis) -> list[str]:
    return [_amounts(axis), *COLUMNS]


def _amounts(axis: Axis) -> str:
    return {"model": "parameters"}.get(axis.name, axis.name)


def _label(axis: Axis, run: Run) -> str:
    amounts = {
        "rows": run.shape.rows,
        "columns": run.shape.columns,
        "model": run.shape.parameters,
        "tasks": run.shape.workers,
    }
    return f"{amounts.get(axis.name, run.shape.files):,}"


def _row(axis: Axis, run: Run, off: float | None) -> list[str]:
    return [
        _label(axis, run),
        f"{run.shape.rows / run.wall:,.0f}",
        *(f"{value:.2f}" for value in (run.wall, run.start, run.work, run.end)),
        f"{run.cpu:.1f}",
        f"{run.memory / 1e6:,.0f}",
        f"{run.others:.2f}",
        "–" if off is None else f"{off:+.1%}",
    ]


def _told(axis: Axis, found: Line, runs: Sequence[Run], spell: Callable[[float], str]) -> str:
    kind = "a straight line" if found.is_straight else "NOT a straight line"
    each = f"{spell(found.base)} and {spell(found.slope)} {axis.unit}"
    where = f"{_label(axis, runs[found.where])} {_amounts(axis)}"
    return f"{kind}, {each}; the farthest is {found.worst:+.1%} off, {where}."


def _faster(axis: Axis, runs: Sequence[Run]) -> str:
    """Of tasks at once, how much faster the work is than with one."""
    alone = [run for run in runs if run.slots == 1]
    if axis.name != "tasks" or not alone:
        return ""
    told = [f"{run.shape.workers}: {alone[0].work / run.work:.2f} times" for run in runs]
    return f"Work is as fast as with one task at once: {', '.join(told)}."


def seconds(value: float) -> str:
    """``1.2 s``, ``3.4 ms``, ``5.6 µs`` or ``7.8 ns``."""
    for factor, unit in ((1, "s"), (1e3, "ms"), (1e6, "µs")):
        if abs(value) * factor >= 0.1 or not value:
            return f"{_digits(value * factor)} {unit}"
    return f"{_digits(value * 1e9)} ns"


def megabytes(value: float) -> str:
    """Bytes as ``1.2 MB``, ``3.4 KB`` or ``56 bytes``."""
    for size, unit in ((1e6, "MB"), (1e3, "KB")):
        if abs(value) >= size:
            return f"{_digits(value / size)} {unit}"
    return f"{round(value)} bytes"


def _digits(value: float) -> str:
    """Three of them."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def rates_table(planner: Planner) -> str:
    """What each thing takes."""
    rows = [["part", "of each", "takes"]]
    for part, terms in planner.seconds.items():
        rows += [[part, _NAMES[name], seconds(value)] for name, value in terms.items()]
    return markdown(rows)


_NAMES = {
    "job": "job",
    "file": "file",
    "footer": "file and column",
    "crowd": "task more that shares a core",
    "load": "wave (model loaded)",
    "wave": "further wave",
    "row": "row",
    "value": "row and column",
    "window": "window and column",
    "unit": "row and number between layers",
    "flop": "row and operation",
    "chunk": "file and column",
    "shard": "shard",
}


def held_table(planner: Planner, runs: Sequence[Run]) -> str:
    """Jobs that the fit has not seen: predicted and measured."""
    rows = [["held out", "tasks", "predicted s", "measured s", "predicted ÷ measured"]]
    for run in runs:
        shape, predicted = run.shape, planner.predict(run).seconds
        name = (
            f"{shape.rows:,} rows, {shape.files:,} files, {shape.columns} columns, "
            f"{shape.parameters:,} parameters, {run.shards} shards"
        )
        numbers = [f"{predicted:.2f}", f"{run.wall:.2f}", f"{predicted / run.wall:.3f}"]
        rows.append([name, str(run.tasks), *numbers])
    return markdown(rows)


def verdict(planner: Planner, runs: Sequence[Run]) -> str:
    """Whether every held-out run was predicted within 15 %."""
    off = [planner.predict(run).seconds / run.wall - 1 for run in runs]
    worst = max(off, key=abs)
    said = "reached" if abs(worst) <= GOAL else "NOT reached"
    return f"Goal, within {GOAL:.0%} of each: {said}; the worst is {worst:+.1%}."


def paper_table(rates: Rates) -> str:
    """More nodes for more rows, then more nodes for the same rows."""
    rows = [
        ["", "nodes", "tasks", "files", "start s", "work s", "end s", "all s", "slots used by rows"]
    ]
    most = NODES[-1] * TASKS_PER_NODE * WAVES
    for name, tasks_on in (
        (f"{WAVES} tasks for each slot", lambda nodes: nodes * TASKS_PER_NODE * WAVES),
        ("the same tasks", lambda nodes: most),
    ):
        rows += [_paper_row(name, rates, nodes, tasks_on(nodes)) for nodes in NODES]
    return markdown(rows)


def _paper_row(name: str, rates: Rates, nodes: int, tasks: int) -> list[str]:
    files = -(-tasks // SHARDS_PER_FILE)
    work = Work(tasks * PAPER.rows, files, tasks, tasks)
    found = forecast(rates, work, Cluster(nodes, TASKS_PER_NODE))
    useful = work.rows * rates.row / found.slots / found.seconds
    counts = [f"{nodes:,}", f"{tasks:,}", f"{files:,}"]
    parts = (found.start, found.work, found.end, found.seconds)
    return [name, *counts, *(f"{value:,.1f}" for value in parts), f"{useful:.0%}"]


def put_into(file: Path, text: str) -> None:
    """Write `text` to `file`: between the marks where it has these, else as all of it.

    Raises BenchError for a file without marks that is not ours to write over.
    """
    old = file.read_text() if file.exists() else ""
    if old and not (BEGIN in old and END in old):
        raise BenchError(f"{file}: expected a new file, or one with the lines {BEGIN} and {END}")
    before, _, rest = old.partition(BEGIN)
    after = rest.partition(END)[2] or "\n"
    file.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


def figures(found: Mapping[str, Results]) -> dict[str, object]:
    """What the tables are made from, for JSON: the rates of each planner, and how far it is from
    each job that it has not seen."""
    return {
        runner: {
            "rates": results.planner and dict(results.planner.seconds),
            "held_out": results.planner
            and [results.planner.predict(run).seconds / run.wall for run in results.held],
        }
        for runner, results in found.items()
    }
