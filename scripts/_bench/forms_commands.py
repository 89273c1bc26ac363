"""scripts/bench forms."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from mrmodel.machine import cores

from . import agree, forms
from .options import positive, say, some_of, turns, work_folder
from .report import by_system, machine
from .systems import Measured, Setting, baseline_of
from .workloads import WORKLOADS, write_data

WARM_UP_ROWS = 500

EXAMPLES = """\
examples:
  scripts/bench forms                                  MiniLM: bfloat16, int8, --compile, auto
  scripts/bench forms --model tabular --runner local
  scripts/bench forms --forms bfloat16,compile --rows 40000

Every form runs once per repeat, next to float32 and the bare loop, every second repeat backwards.
A package that --compile needs is made in a small run beforehand, whose seconds are told.

Exit codes: 0 measured, 1 a run failed, 2 wrong usage.
"""


def add_forms(commands: Any) -> None:
    """Add the command to `commands`."""
    parser = commands.add_parser(
        "forms",
        help="bfloat16, int8, --compile and --dtype auto: gain, and difference in output",
        description="The forms a model may run in: how fast they are, and what they change.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    known = tuple(forms.FORMS)
    add("--model", choices=sorted(WORKLOADS), default="embed", help="default: embed")
    add("--forms", type=some_of(known), default=known, help="default: all; float32 always runs")
    add("--runner", choices=("inline", "local"), default="inline", help="default: inline")
    add("--rows", type=positive, help="default: as many as take half a minute")
    add("--repeat", type=positive, default=3, help="runs of each form (default 3)")
    add("--cores", type=positive, default=cores(), help="default: all")
    add("--work", type=Path, metavar="DIR", help="keep rows and outputs here (default: removed)")
    add("--json", type=Path, metavar="FILE", help="write every run's figures")
    parser.set_defaults(run=run_forms)


def run_forms(options: argparse.Namespace) -> int:
    """Measure, and tell."""
    names = [baseline_of(options.runner), *dict.fromkeys((forms.PLAIN, *options.forms))]
    with work_folder(options.work) as folder:
        setting = _setting(options, folder)
        made = _warm_up(names, options.runner, setting)
        runs = _interleaved(names, options, setting)
        last = {run.system: run for run in runs}
        tables = {name: agree.read_output(run.output) for name, run in last.items()}
        reference = tables.pop(names[0])
        distances = {name: forms.distance(reference, found) for name, found in tables.items()}
        told = [forms.taken(run) for name, run in last.items() if name == "auto"]
    if options.json:
        _write(options.json, runs, distances)
    head = (
        f"forms of {options.model}, {options.runner}: {setting.data.rows:,} rows, {options.cores} "
        f"cores, {options.repeat} repeats (medians)"
    )
    print("\n\n".join([head, machine(), forms.table(runs, distances), *told, *made]))
    return 0


def _setting(options: argparse.Namespace, folder: Path) -> Setting:
    workload = WORKLOADS[options.model]
    rows, cores = options.rows or workload.rows, options.cores
    data = write_data(workload, rows, cores, folder / "in")
    weights, batch = workload.weights(folder), workload.batch_size
    return Setting(workload, data, weights, batch, cores, folder, own_batches=True)


def _warm_up(names: Sequence[str], runner: str, setting: Setting) -> list[str]:
    """A small run of each, that does not count; how long those took that compile."""
    rows = min(WARM_UP_ROWS, setting.data.rows)
    few = write_data(setting.workload, rows, setting.cores, setting.folder / "warm-up")
    made = []
    for name in names:
        found = forms.run(name, runner, replace(setting, data=few))
        say(f"{name}, {rows:,} rows: {found.wall:.1f} s")
        if name.startswith("compile"):
            made.append(f"{name}: {found.wall:.1f} s for the first {rows:,} rows")
    return made


def _interleaved(
    names: Sequence[str], options: argparse.Namespace, setting: Setting
) -> list[Measured]:
    runs = []
    for repeat, name in turns(names, options.repeat):
        found = forms.run(name, options.runner, setting)
        say(f"{repeat + 1}/{options.repeat} {name}: {found.wall:.1f} s")
        runs.append(found)
    return [run for name in names for run in by_system(runs)[name]]


def _write(path: Path, runs: Sequence[Measured], distances: dict[str, forms.Distance]) -> None:
    figures = {
        "machine": machine(),
        "runs": [asdict(run) for run in runs],
        "distances": {name: asdict(found) for name, found in distances.items()},
    }
    path.write_text(json.dumps(figures, indent=2) + "\n")
