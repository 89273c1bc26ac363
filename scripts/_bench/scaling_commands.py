"""scripts/bench scaling."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mrmodel import storage
from mrmodel.machine import cores

from . import scaling_axes, scaling_report
from .errors import BenchError
from .options import hdfs_folder, positive, say, some_of, turns, work_folder
from .report import machine
from .scaling import Place, Run, Shape, measure, medians, put_rows
from .scaling_fit import fit
from .scaling_report import Results
from .systems import RUNNERS

EXAMPLES = """\
examples:
  scripts/bench scaling                                      inline and local, about 10 minutes
  scripts/bench scaling --markdown docs/scaling.md           put its tables there, between marks
  scripts/bench scaling --runners hadoop --repeat 1          needs a cluster
  scripts/bench scaling --axes rows,files --size 0.1 --json r.json

Rows, files, columns, the model's size, shards, and tasks at once (of local) grow one by one; then
some jobs that differ in several things, all for the fit of a planner, which needs every axis; then
jobs that the fit does not see. Repeats are interleaved, every second one backwards; medians are
told.

Exit codes: 0 measured, whatever the goals; 1 a run failed; 2 wrong usage.
"""


def add_scaling(commands: Any) -> None:
    """Add the command to `commands`."""
    parser = commands.add_parser(
        "scaling",
        help="how time and memory grow with rows, files, columns, tasks and the model",
        description="How the cost of mrmodel predict grows, and how well a planner foretells it.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    runners, names = some_of(RUNNERS), scaling_axes.NAMES
    add("--runners", type=runners, default=("inline", "local"), help="default: inline,local")
    add("--axes", type=some_of(names), default=names, help=f"default: {','.join(names)}")
    add("--repeat", type=positive, default=3, help="runs of each job (default 3)")
    add("--size", type=float, default=1.0, metavar="X", help="times the usual rows and files")
    add("--cores", type=positive, default=cores(), help="default: all")
    add("--hdfs", metavar="URI", help="folder for rows and outputs (default: /tmp on the cluster)")
    add("--work", type=Path, metavar="DIR", help="keep rows and outputs here (default: removed)")
    add("--json", type=Path, metavar="FILE", help="write every run's figures")
    add("--figures", type=Path, metavar="FILE", help="what --json wrote: tell it again (with the "
        "same --axes, --size and --cores)")  # fmt: skip
    add("--markdown", type=Path, metavar="FILE", help="write the tables, too; into a file that has "
        f"the lines {scaling_report.BEGIN} and {scaling_report.END}, between these")  # fmt: skip
    parser.set_defaults(run=run_scaling)


def run_scaling(options: argparse.Namespace) -> int:
    """Measure, or read what was measured, and tell."""
    setting, runs = _read(options) if options.figures else (_setting(options), _all(options))
    found = {runner: _results(options, runner, runs) for runner in options.runners}
    if options.json:
        told = {"setting": setting, "runs": [asdict(run) for run in runs]}
        told |= scaling_report.figures(found)
        options.json.write_text(json.dumps(told, indent=2) + "\n")
    text = "\n\n".join([setting, *(scaling_report.tell(results) for results in found.values())])
    if options.markdown:
        scaling_report.put_into(options.markdown, text)
    print(text)
    return 0


def _setting(options: argparse.Namespace) -> str:
    return f"{machine()}; {options.cores} cores, {options.repeat} repeats (medians)"


def _read(options: argparse.Namespace) -> tuple[str, list[Run]]:
    """What an earlier run of this command wrote for --json. Raises BenchError where it has no runs
    of one of the runners."""
    told = json.loads(options.figures.read_text())
    runs = [
        Run(**{"cores": options.cores, **run, "shape": Shape(**run["shape"])})
        for run in told["runs"]
    ]
    missing = set(options.runners) - {run.runner for run in runs}
    if missing:
        raise BenchError(f"{options.figures}: expected runs with {', '.join(sorted(missing))}")
    return told["setting"], runs


def _all(options: argparse.Namespace) -> list[Run]:
    with work_folder(options.work) as folder:
        places = [_place(runner, options, folder.resolve()) for runner in options.runners]
        try:
            return [run for place in places for run in _measured(options, place)]
        finally:
            for place in places:
                if place.hdfs:
                    storage.storage_for(place.hdfs).delete(place.hdfs)


def _place(runner: str, options: argparse.Namespace, folder: Path) -> Place:
    hdfs = hdfs_folder(options.hdfs) if runner == "hadoop" else None
    return Place(runner, options.cores, folder, hdfs)


def _axes(options: argparse.Namespace, runner: str) -> list[scaling_axes.Axis]:
    found = scaling_axes.axes(runner, options.cores, options.size)
    return [axis for axis in found if axis.name in options.axes]


def _all_axes(options: argparse.Namespace) -> bool:
    return set(options.axes) == set(scaling_axes.NAMES)


def _more(options: argparse.Namespace, runner: str) -> tuple[list[Shape], list[Shape]]:
    """The jobs for the fit alone, and those held out; none where there will be no fit."""
    if not _all_axes(options):
        return [], []
    sized = (runner, options.cores, options.size)
    return scaling_axes.mixed(*sized), scaling_axes.held_out(*sized)


def _measured(options: argparse.Namespace, place: Place) -> list[Run]:
    along = [shape for axis in _axes(options, place.runner) for shape in axis.shapes]
    mixed, held = _more(options, place.runner)
    shapes = list(dict.fromkeys([*along, *mixed, *held]))
    say(f"{place.runner}: writing rows for {len(shapes)} jobs")
    put_rows(shapes, place)
    measure(shapes[0], place)  # whoever is first reads the libraries from the disk
    runs = []
    for repeat, shape in turns(shapes, options.repeat):
        run = measure(shape, place, repeat)
        say(f"{repeat + 1}/{options.repeat} {place.runner}, {shape.data}, {run.wall:.1f} s")
        runs.append(run)
    return runs


def _results(options: argparse.Namespace, runner: str, runs: Sequence[Run]) -> Results:
    axes = _axes(options, runner)
    mixed, held = _more(options, runner)
    found = medians([run for run in runs if run.runner == runner])
    seen = [run for run in found if run.shape not in held]
    unseen = [run for run in found if run.shape in held]
    planner, why = None, f"it needs all axes ({', '.join(scaling_axes.NAMES)})"
    if mixed:
        try:
            planner, why = fit(seen), ""
        except BenchError as error:
            why = str(error)
    return Results(runner, axes, seen, unseen, planner, why)
