"""scripts/bench language."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from . import language, language_report, report
from .errors import BenchError
from .options import natural, positive, work_folder


def add_language(commands: Any) -> None:
    """Add the command to `commands`."""
    parser = commands.add_parser(
        "language",
        help="a language model by mrmodel train --sync local and --sync allreduce",
        description="A small GPT on this machine's documentation: steps of each shard, averaged in "
        "rounds (DiLoCo), against synchronous training on the same tokens.",
    )
    add = parser.add_argument
    add("--bytes", type=positive, default=3_500_000, help="text to collect (default 3.5 MB)")
    add("--text", type=Path, metavar="DIR", help="what examples/language/collect.py has written")
    add("--vocabulary", type=positive, default=4096, help="of byte pairs (default 4096)")
    add("--context", type=positive, default=64, help="tokens of a window (default 64)")
    add("--width", type=positive, default=128, help="of the model (default 128)")
    add("--layers", type=positive, default=6, help="(default 6)")
    add("--heads", type=positive, default=4, help="(default 4)")
    add("--shards", type=positive, default=8, help="(default 8)")
    add("--batch-size", type=positive, default=8, help="windows of a shard's step (default 8)")
    add("--inner-steps", type=positive, default=100, help="steps of a round (default 100)")
    add("--rounds", type=positive, default=40, help="of steps, all in all (default 40)")
    add("--warm-epochs", type=natural, default=3, metavar="EPOCHS",
        help="of one worker before the local steps, part of all rounds' (default 3)")  # fmt: skip
    add("--dropout", type=float, default=0.2, help="(default 0.2)")
    add("--lr", type=float, default=2e-3, help="after warm-up (default 0.002)")
    add("--inner-lr", type=float, help="of local steps, whose batches are less (default: --lr)")
    add("--warmup", type=positive, default=200, metavar="STEPS", help="(default 200)")
    add("--clip", type=float, default=1.0, metavar="NORM", help="of gradients (default 1)")
    add("--outer-lr", type=float, default=1.0, help="(default 1)")
    add("--outer-momentum", type=float, default=0.5, help="(default 0.5)")
    add("--workers", type=positive, default=1, help="that train synchronously (default 1)")
    add("--runner", choices=("inline", "local"), default="local", help="of rounds (default local)")
    add("--device", default="cpu", help="auto, cpu or cuda (default cpu)")
    add("--threads", type=positive, help="torch threads of a task (default: mrmodel's)")
    add("--seed", type=int, default=0)
    add("--work", type=Path, metavar="DIR", help="keep text and checkpoints (default: removed)")
    add("--json", type=Path, metavar="FILE", help="write the figures")
    add("--figures", type=Path, metavar="FILE", help="train nothing: tell what --json has written")
    add("--synchronous", type=Path, metavar="FILE",
        help="train by local steps only; this has the other, by an earlier --json")  # fmt: skip
    add("--svg", type=Path, metavar="FILE", help="plot both curves (needs matplotlib)")
    parser.set_defaults(run=run_language)


def run_language(options: argparse.Namespace) -> int:
    """Train both ways, or read what that gave, and tell."""
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
