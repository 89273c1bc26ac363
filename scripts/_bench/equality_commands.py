"""scripts/bench equal."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mrmodel import storage

from . import equality, report
from .equality import Found
from .options import hdfs_folder, positive, say, some_of, work_folder
from .systems import RUNNERS

PARTS = ("gradient", "allreduce", "evaluate", "jobs")

EXAMPLES = """\
examples:
  scripts/bench equal                                   all four parts, in minutes
  scripts/bench equal --parts gradient,evaluate --runner hadoop

Exit codes: 0 all are equal within what the table says is fine, 1 some are not, 2 wrong usage.
"""


def add_equal(commands: Any) -> None:
    """Add the command to `commands`."""
    parser = commands.add_parser(
        "equal",
        help="answers next to those of torch, torchrun, torchmetrics and scikit-learn",
        description="Train and evaluate on uneven shards, one of them empty, and compare with one "
        "process that has all rows.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--parts", type=some_of(PARTS), default=PARTS, help=f"default: {','.join(PARTS)}")
    add("--runner", choices=RUNNERS, default="inline", help="of gradient and evaluate")
    add("--workers", type=positive, default=2, help="of allreduce (default 2)")
    add("--hdfs", metavar="URI", help="folder for rows and outputs (default: /tmp on the cluster)")
    add("--work", type=Path, metavar="DIR", help="keep rows and outputs here (default: removed)")
    parser.set_defaults(run=run_equal)


def run_equal(options: argparse.Namespace) -> int:
    """Compare, and tell."""
    with work_folder(options.work) as folder:
        found = []
        for one in _compared(options, folder):
            say(f"{one.what}: {one.difference:.1e}")
            found.append(one)
    print("\n\n".join([report.machine(), table(found)]))
    return 0 if all(one.holds for one in found) else 1


def table(found: list[Found]) -> str:
    """The comparisons, as a Markdown table."""
    header = ["what", "against", "largest relative difference", "fine", "rows in reverse", ""]
    rows = [
        [
            one.what,
            one.whom,
            f"{one.difference:.1e}" if one.difference else "0 (the same bits)",
            f"{one.fine:.0e}" if one.fine else "0",
            "–" if one.reverse is None else f"{one.reverse:.1e}",
            "equal" if one.holds else "NOT EQUAL",
        ]
        for one in found
    ]
    return report.markdown([header, *rows])


def _compared(options: argparse.Namespace, folder: Path) -> Iterator[Found]:
    place = hdfs_folder(options.hdfs) if options.runner == "hadoop" else str(folder)
    try:
        if "gradient" in options.parts:
            yield from equality.gradients(place, options.runner)
        if "allreduce" in options.parts:
            yield from equality.gangs(folder, options.workers)
        if "evaluate" in options.parts:
            yield from equality.metrics(place, options.runner)
        if "jobs" in options.parts:
            yield from equality.jobs(folder)
    finally:
        if options.runner == "hadoop":
            storage.storage_for(place).delete(place)
