"""The command line of scripts/bench."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

from mrmodel import storage
from mrmodel.errors import MrmodelError
from mrmodel.machine import cores

from . import agree, report, systems
from .equality_commands import add_equal
from .errors import BenchError
from .fixed_commands import add_fixed
from .forms_commands import add_forms
from .language_commands import add_language
from .options import hdfs_folder, positive, say, some_of, turns, work_folder
from .profile_commands import add_profile
from .rival_commands import add_rivals
from .scaling_commands import add_scaling
from .startup_commands import add_startup
from .train_commands import add_train
from .watch import CommandFailed
from .workloads import WORKLOADS, write_data

TOLERANCE = 1e-5
WARM_UP_ROWS = 500

EXAMPLES = """\
examples:
  scripts/bench predict                                     MiniLM, inline and local, 3 repeats
  scripts/bench predict --model tabular --repeat 5          what mrmodel itself costs per row
  scripts/bench predict --runners hadoop --rows 80000       a job of about ten minutes on YARN
  scripts/bench predict --rows 500 --repeat 1 --json r.json a first look, and the raw figures
  scripts/bench train                                       torchrun, rounds, and adding up
  scripts/bench fixed                                       small jobs against bare Streaming
  scripts/bench forms                                       bfloat16, int8, --compile, auto
  scripts/bench startup                                     a hundred rows, the start taken apart
  scripts/bench rivals                                      Spark, Ray, Beam, Dask and others
  scripts/bench scaling                                     how cost grows with rows, files, ...
  scripts/bench language --device cuda --runner inline      local steps against synchronous ones

hadoop needs a cluster: eval "$(scripts/cluster env)".

Each runner is held against the bare loop on the same cores: inline against one process that has
all of them as threads, local and hadoop against one process of one thread per core. Repeats are
interleaved, every second one backwards; ratios are taken inside a repeat, then their median.

Exit codes: 0 all outputs agree, 1 they do not or a run failed, 2 wrong usage.
"""


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except (CommandFailed, MrmodelError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="How near mrmodel comes to the bare torch loop.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    predict = commands.add_parser(
        "predict",
        help="the bare loop against mrmodel predict on each runner",
        description="The bare torch loop against mrmodel predict on the same rows.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = predict.add_argument
    add("--model", choices=sorted(WORKLOADS), default="embed", help="default: embed")
    add("--rows", type=positive, help="default: as many as take half a minute")
    runners = some_of(systems.RUNNERS)
    add("--runners", type=runners, default=("inline", "local"), help="default: inline,local")
    add("--repeat", type=positive, default=3, help="runs of each system (default 3)")
    add("--batch-size", type=positive, help="rows per forward pass, for all (default: the model's)")
    add("--cores", type=positive, default=cores(), help="default: all")
    add("--hdfs", metavar="URI", help="folder for rows and outputs (default: /tmp on the cluster)")
    add("--work", type=Path, metavar="DIR", help="keep rows and outputs here (default: removed)")
    add("--json", type=Path, metavar="FILE", help="write every run's figures")
    predict.set_defaults(run=run_predict)
    add_train(commands)
    add_fixed(commands)
    add_forms(commands)
    add_profile(commands)
    add_startup(commands)
    add_equal(commands)
    add_language(commands)
    add_rivals(commands)
    add_scaling(commands)
    return parser


def run_predict(options: argparse.Namespace) -> int:
    with work_folder(options.work) as folder:
        setting = _setting(options, folder)
        try:
            runs = _interleaved(options, setting)
            differences = _differences(runs)
        finally:
            if setting.hdfs:
                storage.storage_for(setting.hdfs).delete(setting.hdfs)
    if options.json:
        options.json.write_text(json.dumps([asdict(run) for run in runs], indent=2) + "\n")
    print(_told(options, setting, runs, differences))
    wrong = {name: value for name, value in differences.items() if not value <= TOLERANCE}
    for name, value in wrong.items():
        print(f"bench: the output of {name} differs by {value:.1e}", file=sys.stderr)
    return 1 if wrong else 0


def _setting(options: argparse.Namespace, folder: Path) -> systems.Setting:
    workload = WORKLOADS[options.model]
    weights = workload.weights(folder)
    hdfs = hdfs_folder(options.hdfs) if "hadoop" in options.runners else None
    data = write_data(workload, options.rows or workload.rows, options.cores, folder / "in")
    if hdfs:
        say(f"putting {data.nbytes / 1e6:,.0f} MB on {hdfs}")
        systems.upload(data, storage.join(hdfs, "in"))
    batch_size = options.batch_size or workload.batch_size
    return systems.Setting(workload, data, weights, batch_size, options.cores, folder, hdfs)


def _interleaved(options: argparse.Namespace, setting: systems.Setting) -> list[systems.Measured]:
    """Every system once per repeat, a runner next to its bare loop where that is possible."""
    names: list[str] = []
    for runner in options.runners:
        names += [name for name in (systems.baseline_of(runner), runner) if name not in names]
    _warm_up(setting)
    runs = []
    for repeat, name in turns(names, options.repeat):
        measured = systems.measure(name, setting)
        say(
            f"{repeat + 1}/{options.repeat} {name}: {measured.wall:.1f} s, of which "
            f"{measured.steady:.1f} s steady"
        )
        runs.append(measured)
    place = {name: number for number, name in enumerate(names)}
    return sorted(runs, key=lambda run: place[run.system])


def _warm_up(setting: systems.Setting) -> None:
    """Read the libraries from the disk once, so that nobody has to be the first."""
    rows = min(WARM_UP_ROWS, setting.data.rows)
    data = write_data(setting.workload, rows, setting.cores, setting.folder / "warm-up")
    systems.measure("bare-processes", replace(setting, data=data))


def _differences(runs: list[systems.Measured]) -> dict[str, float]:
    """The largest difference of each system's last output to that of the first bare loop."""
    outputs = {run.system: run.output for run in runs}
    reference = agree.read_output(outputs[runs[0].system])
    others = [name for name in outputs if name != runs[0].system]
    return {name: agree.difference(reference, agree.read_output(outputs[name])) for name in others}


def _told(
    options: argparse.Namespace,
    setting: systems.Setting,
    runs: list[systems.Measured],
    differences: dict[str, float],
) -> str:
    head = (
        f"{options.model}: {setting.data.rows:,} rows, batch size {setting.batch_size}, "
        f"{setting.cores} cores, {options.repeat} repeats (medians)"
    )
    parts = [head, report.machine(), report.table(runs, differences)]
    return "\n\n".join([*parts, report.ratio_table(runs), report.phase_table(runs)])
