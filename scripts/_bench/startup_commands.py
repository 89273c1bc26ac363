"""scripts/bench startup."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mrmodel import storage
from mrmodel.machine import cores

from . import startup, systems
from .options import hdfs_folder, positive, say, some_of, turns, work_folder
from .report import machine
from .workloads import WORKLOADS, write_data

EXAMPLES = """\
examples:
  scripts/bench startup                           MiniLM, 100 rows: the bare loop, inline, local
  scripts/bench startup --model tabular --runners inline,local,hadoop

Parts of the seconds, one after the other: command (interpreter, imports, options), plan, upload,
submit (Hadoop's client), application (its master), process (of the task: a container, or a fork),
imports (torch), weights, batch (rows read, and the first batch), end. A runner has not all of them.

Exit codes: 0 measured, 1 a run failed, 2 wrong usage.
"""


def add_startup(commands: Any) -> None:
    """Add the command to `commands`."""
    parser = commands.add_parser(
        "startup",
        help="a job of 100 rows against the bare loop, its start taken apart",
        description="What it takes to start: wall time of a tiny job, command to end.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--model", choices=sorted(WORKLOADS), default="embed", help="default: embed")
    add("--rows", type=positive, default=100, help="default: 100")
    runners = some_of(systems.RUNNERS)
    add("--runners", type=runners, default=("inline", "local"), help="default: inline,local")
    add("--repeat", type=positive, default=5, help="runs of each system (default 5)")
    add("--hdfs", metavar="URI", help="folder for rows and outputs (default: /tmp on the cluster)")
    add("--work", type=Path, metavar="DIR", help="keep rows and outputs here (default: removed)")
    add("--json", type=Path, metavar="FILE", help="write every run's figures")
    parser.set_defaults(run=run_startup)


def run_startup(options: argparse.Namespace) -> int:
    """Measure, and tell."""
    with work_folder(options.work) as folder:
        setting = _setting(options, folder)
        try:
            starts = _interleaved(options, setting)
        finally:
            if setting.hdfs:
                storage.storage_for(setting.hdfs).delete(setting.hdfs)
    if options.json:
        options.json.write_text(json.dumps([asdict(start) for start in starts], indent=2) + "\n")
    head = f"startup: {options.model}, {options.rows:,} rows, {options.repeat} repeats (medians)"
    print("\n\n".join([head, machine(), startup.tables(starts)]))
    return 0


def _setting(options: argparse.Namespace, folder: Path) -> systems.Setting:
    workload = WORKLOADS[options.model]
    weights = workload.weights(folder)
    data = write_data(workload, options.rows, 1, folder / "in")
    hdfs = hdfs_folder(options.hdfs) if "hadoop" in options.runners else None
    if hdfs:
        systems.upload(data, storage.join(hdfs, "in"))
    return systems.Setting(workload, data, weights, workload.batch_size, cores(), folder, hdfs)


def _interleaved(options: argparse.Namespace, setting: systems.Setting) -> list[startup.Start]:
    """All systems once per repeat, every second repeat backwards; one round that does not count."""
    names = [startup.BARE, *options.runners]
    for name in names:
        startup.measure(name, setting)
    starts = []
    for repeat, name in turns(names, options.repeat):
        starts.append(startup.measure(name, setting))
        say(f"{repeat + 1}/{options.repeat} {name}: {starts[-1].wall:.2f} s")
    place = {name: number for number, name in enumerate(names)}
    return sorted(starts, key=lambda start: place[start.system])
