"""scripts/bench train."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from mrmodel import storage

from . import adding, train_report, training
from .errors import BenchError
from .options import hdfs_folder, positive, say, some_of, work_folder
from .report import machine
from .systems import RUNNERS

PARTS = ("allreduce", "phases", "adding")
SHARDS = (4, 8)
WARM_UP_ROWS = 512

EXAMPLES = """\
examples:
  scripts/bench train                                    all three parts
  scripts/bench train --parts allreduce --hidden 1024    longer steps
  scripts/bench train --parts phases --runners inline,local
  scripts/bench train --runners hadoop                   on the cluster that HADOOP_* names

allreduce: mrmodel train --sync allreduce against a script by hand under torchrun, as many
processes of one thread, the same rows, batches and shuffling: their weights must be equal to the
last bit. phases: where the seconds of a round of --sync gradient go. adding: GB/s at which a
reducer adds up, next to a copy of the same bytes.

Exit codes: 0 all weights are the same, 1 they are not or a run failed, 2 wrong usage.
"""


def add_train(commands: Any) -> None:
    """Add the command to `commands`."""
    parser = commands.add_parser(
        "train",
        help="torchrun against mrmodel train; the phases of a round; adding up",
        description="What training costs beside its arithmetic.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--parts", type=some_of(PARTS), default=PARTS, help=f"default: {','.join(PARTS)}")
    add("--runners", type=some_of(RUNNERS), default=("local",), help="default: local")
    add("--rows", type=positive, default=1 << 16, help="default: 65,536")
    add("--hidden", type=positive, default=512, help="width of the network (default 512)")
    add("--batch-size", type=positive, default=128, help="rows of each process (default 128)")
    add("--epochs", type=positive, default=6, help="of allreduce, 2 at least (default 6)")
    add("--rounds", type=positive, default=4, help="of --sync gradient (default 4)")
    add("--workers", type=positive, default=2, help="processes of one thread (default 2)")
    add("--repeat", type=positive, default=3, help="runs of each system (default 3)")
    add("--hdfs", metavar="URI", help="folder for rows and outputs (default: /tmp on the cluster)")
    add("--work", type=Path, metavar="DIR", help="keep rows and outputs here (default: removed)")
    add("--json", type=Path, metavar="FILE", help="write every run's figures")
    parser.set_defaults(run=run_train)


def run_train(options: argparse.Namespace) -> int:
    """Measure the parts that were asked for, and tell."""
    if options.epochs < 2:
        raise BenchError("--epochs 1: expected 2 at least: the first one is not counted")
    head = (
        f"train: {options.rows:,} rows, hidden {options.hidden}, batch size {options.batch_size}, "
        f"{options.workers} workers, {options.repeat} repeats (medians)"
    )
    with work_folder(options.work) as folder:
        found = _measured(options, _setting(options, folder))
    if options.json:
        options.json.write_text(json.dumps(found, indent=2, default=asdict) + "\n")
    print("\n\n".join([head, machine(), *_told(found)]))
    wrong = [name for name, same in found.get("same", {}).items() if not same]
    for name in wrong:
        print(f"bench: the weights of {name} differ from torchrun's", file=sys.stderr)
    return 1 if wrong else 0


def _setting(options: argparse.Namespace, folder: Path) -> training.Setting:
    data = training.write_rows(options.rows, options.workers, folder / "in")
    return training.Setting(
        data, options.workers, options.hidden, options.batch_size, options.epochs, options.rounds,
        folder, hdfs_folder(options.hdfs) if "hadoop" in options.runners else None,
    )  # fmt: skip


def _measured(options: argparse.Namespace, setting: training.Setting) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if "adding" in options.parts:
        found["adding"] = [adding.measure(n) for _ in range(options.repeat) for n in SHARDS]
    try:
        if setting.hdfs and set(options.parts) - {"adding"}:
            say(f"putting {setting.data.nbytes / 1e6:,.0f} MB on {setting.hdfs}")
            training.put(setting)
        if "allreduce" in options.parts:
            found |= _gangs(options, setting)
        if "phases" in options.parts:
            found["rounds"] = {name: _rounds(name, setting) for name in options.runners}
    finally:
        if setting.hdfs:
            storage.storage_for(setting.hdfs).delete(setting.hdfs)
    return found


def _gangs(options: argparse.Namespace, setting: training.Setting) -> dict[str, Any]:
    """Every system once per repeat, every second repeat backwards."""
    # -r inline has one worker, in the driver
    runners = [name for name in options.runners if name != "inline" or setting.workers == 1]
    names, runs = [training.BY_HAND, *runners], []
    same = dict.fromkeys(runners, True)
    _warm_up(setting)
    for repeat in range(options.repeat):
        now = {}
        for name in names if repeat % 2 == 0 else reversed(names):
            now[name] = training.train(name, setting)
            runs.append(now[name])
            say(
                f"{repeat + 1}/{options.repeat} {name}: {now[name].wall:.1f} s, "
                f"{now[name].rows_per_second:,.0f} rows/s steady"
            )
        for name in runners:
            weights = now[training.BY_HAND].weights
            same[name] = same[name] and training.same_bits(weights, now[name].weights)
    return {"gangs": runs, "same": same}


def _warm_up(setting: training.Setting) -> None:
    """Read the libraries from the disk once, so that nobody has to be the first."""
    small = training.write_rows(WARM_UP_ROWS, setting.workers, setting.folder / "warm-up")
    training.train(training.BY_HAND, replace(setting, data=small))


def _rounds(runner: str, setting: training.Setting) -> list[dict[str, Any]]:
    say(f"{setting.rounds} rounds of --sync gradient, {runner}")
    return training.rounds(runner, setting)


def _told(found: dict[str, Any]) -> list[str]:
    told = []
    if "gangs" in found:
        told.append(train_report.gang_tables(found["gangs"], found["same"]))
    if "rounds" in found:
        told.append(train_report.phase_table(found["rounds"]))
    if "adding" in found:
        told.append(train_report.adding_table(found["adding"]))
    return told
