"""The command line of scripts/bench."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from mrmodel import storage
from mrmodel.errors import MrmodelError

from . import agree, language, language_report, report, systems
from .errors import BenchError
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
        description="How near mrmodel comes to the bare torch loop, and local training to "
        "synchronous.",
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
    add("--rows", type=_positive, help="default: as many as take half a minute")
    add("--runners", type=_runners, default=("inline", "local"), help="default: inline,local")
    add("--repeat", type=_positive, default=3, help="runs of each system (default 3)")
    add(
        "--batch-size", type=_positive, help="rows per forward pass, for all (default: the model's)"
    )
    add("--cores", type=_positive, default=len(os.sched_getaffinity(0)), help="default: all")
    add("--hdfs", metavar="URI", help="folder for rows and outputs (default: /tmp on the cluster)")
    add("--work", type=Path, metavar="DIR", help="keep rows and outputs here (default: removed)")
    add("--json", type=Path, metavar="FILE", help="write every run's figures")
    predict.set_defaults(run=run_predict)
    _add_language(commands)
    return parser


def _add_language(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "language",
        help="a language model by mrmodel train --sync local and --sync allreduce",
        description="A small GPT on this machine's documentation: steps of each shard, averaged in "
        "rounds (DiLoCo), against synchronous training on the same tokens.",
    )
    add = parser.add_argument
    add("--bytes", type=_positive, default=9_000_000, help="text to collect (default 9 MB)")
    add("--text", type=Path, metavar="DIR", help="what examples/language/collect.py has written")
    add("--context", type=_positive, default=128, help="bytes of a window (default 128)")
    add("--width", type=_positive, default=256, help="of the model (default 256)")
    add("--layers", type=_positive, default=4, help="(default 4)")
    add("--heads", type=_positive, default=4, help="(default 4)")
    add("--shards", type=_positive, default=8, help="(default 8)")
    add("--batch-size", type=_positive, default=16, help="windows of a shard's step (default 16)")
    add("--inner-steps", type=_positive, default=125, help="steps of a round (default 125)")
    add("--rounds", type=_positive, default=32, help="(default 32)")
    add("--lr", type=float, default=2e-3, help="after warm-up, of both (default 0.002)")
    add("--warmup", type=_positive, default=200, metavar="STEPS", help="(default 200)")
    add("--clip", type=float, default=1.0, metavar="NORM", help="of gradients (default 1)")
    add("--outer-lr", type=float, default=0.7, help="(default 0.7)")
    add("--outer-momentum", type=float, default=0.9, help="(default 0.9)")
    add("--workers", type=_positive, default=1, help="that train synchronously (default 1)")
    add("--runner", choices=("inline", "local"), default="local", help="of rounds (default local)")
    add("--device", default="cpu", help="auto, cpu or cuda (default cpu)")
    add("--threads", type=_positive, help="torch threads of a task (default: mrmodel's)")
    add("--seed", type=int, default=0)
    add("--work", type=Path, metavar="DIR", help="keep text and checkpoints (default: removed)")
    add("--json", type=Path, metavar="FILE", help="write the figures")
    add("--figures", type=Path, metavar="FILE", help="train nothing: tell what --json has written")
    add("--svg", type=Path, metavar="FILE", help="plot both curves (needs matplotlib)")
    parser.set_defaults(run=run_language)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 1 but received {text}")
    return value


def _runners(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    unknown = [name for name in names if name not in systems.RUNNERS]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"expected some of {', '.join(systems.RUNNERS)} but received {unknown[0]!r}"
        )
    return names


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


def run_language(options: argparse.Namespace) -> int:
    if options.svg and not language_report.can_plot():
        raise BenchError("--svg needs matplotlib: pip install -e .[bench], or --json alone")
    if options.figures:
        results = language.Results.read(options.figures)
    else:
        with work_folder(options.work) as folder:
            results = language.compare(options, folder.absolute())
    if options.svg:
        language_report.plot(results, options.svg)
    parts = [language_report.told(results), report.machine(), language_report.table(results)]
    print("\n\n".join(parts if not options.figures else parts[::2]))
    return 0


@contextmanager
def work_folder(named: Path | None):
    if named:
        named.mkdir(parents=True, exist_ok=True)
        yield named
        return
    with tempfile.TemporaryDirectory(prefix="mrmodel-bench-") as folder:
        yield Path(folder)


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


def hdfs_folder(named: str | None) -> str:
    from mrmodel.runners.hadoop_conf import HadoopConf

    if named:
        return storage.join(named, f"mrmodel-bench-{os.getpid()}")
    root = HadoopConf.load().get("fs.defaultFS")
    return storage.join(root, "tmp", f"mrmodel-bench-{os.getpid()}")


def _interleaved(options: argparse.Namespace, setting: systems.Setting) -> list[systems.Measured]:
    """Every system once per repeat, a runner next to its bare loop where that is possible."""
    names: list[str] = []
    for runner in options.runners:
        names += [name for name in (systems.baseline_of(runner), runner) if name not in names]
    _warm_up(setting)
    runs = []
    for repeat in range(options.repeat):
        for name in names if repeat % 2 == 0 else reversed(names):
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


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
