"""scripts/bench profile."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mrmodel.machine import cores

from . import profiles
from .options import positive, say, some_of, work_folder
from .report import machine
from .workloads import WORKLOADS

EXAMPLES = """\
examples:
  scripts/bench profile                                MiniLM, each form, all cores as threads
  scripts/bench profile --model images --forms float32 --threads 1

The model is loaded as a task loads it and runs over rows that are prepared already, those of like
size together. Its time is that of a pass nobody watches; operators have their shares of a watched
one. "torch's float32" is the model with its weights as torch lays them out.

Exit codes: 0 measured, 2 wrong usage.
"""


def add_profile(commands: Any) -> None:
    """Add the command to `commands`."""
    parser = commands.add_parser(
        "profile",
        help="where the seconds of a forward pass go, operator by operator",
        description="The operators of a model, in each form that it may run in.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    known = tuple(profiles.FORMS)
    add("--model", choices=sorted(WORKLOADS), default="embed", help="default: embed")
    add("--forms", type=some_of(known), default=known, help="default: all")
    add("--rows", type=positive, help="default: 32 batches")
    add("--threads", type=positive, default=cores(), help="of torch (default: all cores)")
    add("--json", type=Path, metavar="FILE", help="write all figures")
    parser.set_defaults(run=run_profile)


def run_profile(options: argparse.Namespace) -> int:
    """Measure, and tell."""
    workload = WORKLOADS[options.model]
    rows = workload.table(0, options.rows or 32 * workload.batch_size)
    with work_folder(None) as folder:
        weights = workload.weights(folder)
        found = []
        for form in options.forms:
            found.append(profiles.profiled(form, workload, weights, rows, options.threads))
            say(f"{form}: {found[-1].seconds:.2f} s")
    if options.json:
        options.json.write_text(json.dumps([asdict(p) for p in found], indent=2) + "\n")
    head = f"profile of {options.model}: {rows.num_rows:,} rows, {options.threads} threads"
    print("\n\n".join([head, machine(), profiles.table(found), *map(profiles.dearest, found)]))
    return 0
