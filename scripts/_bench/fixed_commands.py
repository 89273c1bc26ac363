"""scripts/bench fixed."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mrmodel import storage

from . import fixed
from .options import hdfs_folder, positive, say, some_of, work_folder
from .report import machine

EXAMPLES = """\
examples:
  scripts/bench fixed                             4 maps: predict, and a round of train
  scripts/bench fixed --kinds round --repeat 5

needs a cluster: eval "$(scripts/cluster env)". A bare job is `hadoop jar hadoop-streaming` with
`tail -c 1` for a mapper, and, next to a round of training, `cat` for a reducer: the same number of
tasks with the same memory. mrmodel and the bare job take turns.

Exit codes: 0 measured, 1 a run failed, 2 wrong usage.
"""


def add_fixed(commands: Any) -> None:
    """Add the command to `commands`."""
    parser = commands.add_parser(
        "fixed",
        help="a small job on the cluster against a bare one of Hadoop Streaming",
        description="What a job costs on a warm cluster, however little it has to do.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    kinds = some_of(fixed.KINDS)
    add("--kinds", type=kinds, default=fixed.KINDS, help=f"default: {','.join(fixed.KINDS)}")
    add("--rows", type=positive, default=4096, help="default: 4,096")
    add("--maps", type=positive, default=4, help="map tasks (default 4)")
    add("--rounds", type=positive, default=4, help="of training in a repeat (default 4)")
    add("--repeat", type=positive, default=3, help="runs of each job (default 3)")
    add("--hdfs", metavar="URI", help="folder for rows and outputs (default: /tmp on the cluster)")
    add("--work", type=Path, metavar="DIR", help="keep logs here (default: removed)")
    add("--json", type=Path, metavar="FILE", help="write every run's figures")
    parser.set_defaults(run=run_fixed)


def run_fixed(options: argparse.Namespace) -> int:
    """Measure, and tell."""
    with work_folder(options.work) as folder:
        setting = fixed.Setting(options.maps, options.rounds, hdfs_folder(options.hdfs), folder)
        try:
            fixed.put(options.rows, setting)
            jobs = _interleaved(options, setting)
        finally:
            storage.storage_for(setting.hdfs).delete(setting.hdfs)
    if options.json:
        options.json.write_text(json.dumps([asdict(job) for job in jobs], indent=2) + "\n")
    head = f"fixed: {options.maps} maps, {options.rows:,} rows, {options.repeat} repeats (medians)"
    print("\n\n".join([head, machine(), fixed.tables(jobs)]))
    return 0


def _interleaved(options: argparse.Namespace, setting: fixed.Setting) -> list[fixed.Job]:
    """A bare job before and after every one of ours, and one first that does not count."""
    fixed.bare(options.kinds[0], setting)
    jobs = []
    for repeat in range(options.repeat):
        for kind in options.kinds:
            for run in (fixed.bare, fixed.ours, fixed.bare):
                found = run(kind, setting)
                jobs += found
                seconds = ", ".join(f"{job.seconds:.1f}" for job in found)
                who = "bare" if found[0].is_bare else "mrmodel"
                say(f"{repeat + 1}/{options.repeat} {kind}, {who}: {seconds} s")
    return jobs
