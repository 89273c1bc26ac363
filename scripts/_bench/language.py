"""A language model trained by local steps, and synchronously: ``scripts/bench language``."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from . import language_report
from .errors import BenchError
from .systems import environment
from .watch import CommandFailed
from .workloads import ROOT, load_module

LANGUAGE = ROOT / "examples" / "language"


@dataclass(frozen=True)
class Setting:
    """What both ways of training are given. A step is of `shards` times `batch` windows: one
    step of the gang, or one of each shard."""

    shards: int
    batch: int
    inner_steps: int
    rounds: int
    context: int
    model: dict[str, Any]
    outer: dict[str, float]
    clip: float
    seed: int
    workers: int
    runner: str
    device: str
    threads: int | None
    rows: int  # of each shard

    @property
    def steps(self) -> int:
        """Steps of an optimiser, in each way of training."""
        return self.rounds * self.inner_steps

    @property
    def epochs(self) -> int:
        """How often each row is trained on."""
        return self.steps * self.batch // self.rows

    @property
    def tokens(self) -> int:
        """How many are trained on."""
        return self.steps * self.shards * self.batch * self.context


@dataclass(frozen=True)
class Trained:
    """One way of training: its validation losses after so many tokens, [[tokens, loss], ...]; the
    `nbytes` that all workers together contributed to sums."""

    curve: list[list[float]]
    nbytes: int
    seconds: float


@dataclass(frozen=True)
class Results:
    """What is told and plotted."""

    setting: dict[str, Any]
    parameters: int
    tokens: int
    trained: dict[str, Trained] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Results:
        """What `asdict` made, from a JSON file."""
        told = json.loads(path.read_text())
        trained = {name: Trained(**one) for name, one in told.pop("trained").items()}
        return cls(**told, trained=trained)


def compare(options: argparse.Namespace, folder: Path) -> Results:
    """Train both ways on the same rows. Raises BenchError, CommandFailed."""
    setting = _prepared(options, folder)
    results = Results(asdict(setting), _parameters(setting), setting.tokens)
    for sync, train in (("allreduce", _allreduce), ("local", _local)):
        results.trained[sync] = train(setting, folder)
        if options.json:  # after each: the second takes long
            options.json.write_text(json.dumps(asdict(results), indent=2) + "\n")
    return results


def _prepared(options: argparse.Namespace, folder: Path) -> Setting:
    """The setting, whose rows are in `folder` then."""
    if options.shards * options.batch_size % options.workers:
        raise BenchError(
            f"--workers {options.workers}: expected a divisor of a step's "
            f"{options.shards * options.batch_size} windows"
        )
    collector = load_module(LANGUAGE / "collect.py")
    if options.text:
        rows, held_out = _read_text(options.text)
    else:
        language_report.say(f"collecting {options.bytes / 1e6:g} MB of text")
        rows, held_out = collector.collect(options.bytes, options.context)
    steps = options.rounds * options.inner_steps
    each = rows_of_shard(len(rows) // options.shards, options.batch_size, steps)
    if not each or not len(held_out):
        raise BenchError(
            f"{len(rows)} windows of text, {len(held_out)} for validation: expected at least a "
            f"batch of {options.batch_size} for each of {options.shards} shards (--bytes)"
        )
    collector.write(rows[: each * options.shards], held_out, folder / "text", options.shards)
    model = {
        "context": rows.shape[1] - 1, "width": options.width, "layers": options.layers,
        "heads": options.heads, "steps": steps, "warmup": options.warmup, "lr": options.lr,
        "dropout": options.dropout,
    }  # fmt: skip
    return Setting(
        options.shards, options.batch_size, options.inner_steps, options.rounds, model["context"],
        model, {"lr": options.outer_lr, "momentum": options.outer_momentum}, options.clip,
        options.seed, options.workers, options.runner, options.device, options.threads, each,
    )  # fmt: skip


def rows_of_shard(available: int, batch: int, steps: int) -> int:
    """The most rows for a shard, of the `available` ones, that `steps` batches go through a whole
    number of times; 0 where there are not enough for one batch."""
    batches = range(min(available // batch, steps), 0, -1)
    return next((count * batch for count in batches if steps % count == 0), 0)


def _read_text(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """The windows that examples/language/collect.py has written."""
    files = sorted((folder / "train").glob("*.parquet"))
    if not files:
        raise BenchError(f"--text {folder}: expected what examples/language/collect.py writes")
    found = [_rows(path) for path in (*files, folder / "validation.parquet")]
    return np.concatenate(found[:-1]), found[-1]


def _rows(path: Path) -> np.ndarray:
    column = pq.read_table(path).column("tokens").combine_chunks()
    return column.flatten().to_numpy().reshape(len(column), -1)


def _parameters(setting: Setting) -> int:
    model = load_module(LANGUAGE / "model.py").GPT(**setting.model)
    return sum(parameter.numel() for parameter in model.parameters())


def _local(setting: Setting, folder: Path) -> Trained:
    args = [
        *("--rounds", setting.rounds, "--inner-steps", setting.inner_steps),
        *("--batch-size", setting.batch, "-r", setting.runner),
        *("--outer-lr", setting.outer["lr"], "--outer-momentum", setting.outer["momentum"]),
    ]
    if setting.runner == "local":
        # as many as shards come out even, or as there are cores for
        cores = len(os.sched_getaffinity(0))
        workers = [n for n in range(1, cores + 1) if setting.shards % n == 0]
        args += ["--workers", workers[-1]]
    lines, seconds = _train("local", args, setting, folder)
    shards = json.loads((folder / "local" / "_mrmodel" / "shards.json").read_text())
    each = setting.inner_steps * setting.batch * setting.shards
    _check("shards", len(shards), setting.shards)
    _check("rows of a round", {line["rows"] for line in lines}, {each})
    return Trained(
        _curve(lines, each * setting.context), sum(line["bytes"] for line in lines), seconds
    )


def _allreduce(setting: Setting, folder: Path) -> Trained:
    size = setting.shards * setting.batch // setting.workers
    runner = "inline" if setting.workers == 1 else "local"
    args = [
        *("--epochs", setting.epochs, "--batch-size", size),
        *("-r", runner, "--workers", setting.workers),
    ]
    lines, seconds = _train("allreduce", args, setting, folder)
    rows = setting.shards * setting.rows
    _check("steps", sum(line["steps"] for line in lines), setting.steps)
    _check("rows of an epoch", {line["rows"] for line in lines}, {rows})
    # what so many workers as there are shards would contribute
    nbytes = sum(line["bytes"] for line in lines) // setting.workers * setting.shards
    return Trained(_curve(lines, rows * setting.context), nbytes, seconds)


def _train(
    sync: str, args: list[Any], setting: Setting, folder: Path
) -> tuple[list[dict[str, Any]], float]:
    """The lines of metrics.jsonl, and how long it took."""
    text = folder / "text"
    size = max(path.stat().st_size for path in (text / "train").iterdir())
    command = [
        *(sys.executable, "-m", "mrmodel", "train", f"{LANGUAGE / 'model.py'}:GPT"),
        *(text / "train", "-o", folder / sync, "--overwrite", "--sync", sync),
        *("--validation", text / "validation.parquet", "--clip", setting.clip),
        *("--model-args", json.dumps(setting.model), "--seed", setting.seed),
        *("--device", setting.device, "--shard-size", size, "--keep-last", 1, *args),
    ]
    command += ["--threads", setting.threads] if setting.threads else []
    command = list(map(str, command))
    language_report.say(" ".join(command))
    began = time.time()
    code = subprocess.run(command, env=environment(None), stdout=sys.stderr, check=False).returncode
    if code:
        raise CommandFailed(f"mrmodel train --sync {sync}: exit code {code}")
    lines = (folder / sync / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines], time.time() - began


def _curve(lines: list[dict[str, Any]], tokens: int) -> list[list[float]]:
    return [[line["round"] * tokens, line["validation_loss"]] for line in lines]


def _check(what: str, found: Any, expected: Any) -> None:
    """The comparison is of the same tokens, or it is none."""
    if found != expected:
        raise CommandFailed(f"{what}: expected {expected} but it were {found}")
