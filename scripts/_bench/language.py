"""A language model trained by local steps, and synchronously: ``scripts/bench language``."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from tokenizers import Tokenizer

from mrmodel.machine import cores

from . import language_report
from .errors import BenchError
from .systems import environment
from .watch import CommandFailed
from .workloads import ROOT, load_module

LANGUAGE = ROOT / "examples" / "language"


@dataclass(frozen=True)
class Setting:
    """What both ways of training are given. A step is of `shards` times `batch` windows: one
    step of the gang, or one of each shard. `rounds` count all steps; before the local ones, one
    worker may take those of `warm_epochs` by itself."""

    shards: int
    batch: int
    inner_steps: int
    rounds: int
    warm_epochs: int
    context: int
    model: dict[str, Any]
    inner_lr: float
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
    def warm_steps(self) -> int:
        """How many of the steps one worker takes before the local ones."""
        return self.warm_epochs * self.rows // self.batch

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
    bytes_per_token: float  # of the text to validate with
    trained: dict[str, Trained] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Results:
        """What `asdict` made, from a JSON file."""
        told = json.loads(path.read_text())
        trained = {name: Trained(**one) for name, one in told.pop("trained").items()}
        return cls(**told, trained=trained)


def compare(options: argparse.Namespace, folder: Path) -> Results:
    """Train both ways on the same rows. Raises BenchError, CommandFailed."""
    setting, nbytes = _prepared(options, folder)
    results = Results(asdict(setting), _parameters(setting), setting.tokens, nbytes)
    ways = {"allreduce": _allreduce, "local": _local}
    if options.synchronous:
        results.trained["allreduce"] = synchronous_of(options.synchronous, results)
        del ways["allreduce"]
    for sync, train in ways.items():
        results.trained[sync] = train(setting, folder)
        if options.json:  # after each: the second takes long
            options.json.write_text(json.dumps(asdict(results), indent=2) + "\n")
    return results


def synchronous_of(path: Path, now: Results) -> Trained:
    """The synchronous training of an earlier run, of the same rows and steps."""
    before = Results.read(path)
    free = ("inner_steps", "rounds", "warm_epochs", "inner_lr", "outer", "runner")
    differ = [
        name
        for name, value in now.setting.items()
        if name not in free and value != before.setting.get(name)
    ]
    differ += [
        name for name in ("tokens", "bytes_per_token") if vars(now)[name] != vars(before)[name]
    ]
    if differ:
        raise BenchError(f"--synchronous {path}: {', '.join(differ)} differ from what is asked for")
    return before.trained["allreduce"]


def _prepared(options: argparse.Namespace, folder: Path) -> tuple[Setting, float]:
    """The setting, whose rows are in `folder` then; and the bytes that a token stands for."""
    if options.shards * options.batch_size % options.workers:
        raise BenchError(
            f"--workers {options.workers}: expected a divisor of a step's "
            f"{options.shards * options.batch_size} windows"
        )
    collector = load_module(LANGUAGE / "collect.py")
    if options.text:
        rows, held_out, tokenizer = _read_text(options.text)
    else:
        language_report.say(f"collecting {options.bytes / 1e6:g} MB of text")
        rows, held_out, tokenizer = collector.collect(
            options.bytes, options.context, options.vocabulary
        )
    steps = options.rounds * options.inner_steps
    each = rows_of_shard(len(rows) // options.shards, options, steps)
    if not each or not len(held_out):
        raise BenchError(
            f"{len(rows)} windows of text, {len(held_out)} for validation: expected at least a "
            f"batch of {options.batch_size} for each of {options.shards} shards (--bytes), and "
            f"whole rounds of {options.inner_steps} steps after --warm-epochs {options.warm_epochs}"
        )
    some = rows[: each * options.shards]
    collector.write(some, held_out, tokenizer, folder / "text", options.shards)
    model = {
        "vocabulary": tokenizer.get_vocab_size(), "context": rows.shape[1] - 1,
        "width": options.width, "layers": options.layers, "heads": options.heads,
        "steps": steps, "warmup": options.warmup, "lr": options.lr, "dropout": options.dropout,
    }  # fmt: skip
    setting = Setting(
        options.shards, options.batch_size, options.inner_steps, options.rounds,
        options.warm_epochs, model["context"], model, options.inner_lr or options.lr,
        {"lr": options.outer_lr, "momentum": options.outer_momentum}, options.clip, options.seed,
        options.workers, options.runner, options.device, options.threads, each,
    )  # fmt: skip
    return setting, bytes_per_token(held_out, tokenizer)


def bytes_per_token(rows: np.ndarray, tokenizer: Tokenizer) -> float:
    """How many bytes of text a token of `rows` stands for, on average."""
    # in the alphabet of such an encoding each byte is one character
    lengths = [len(tokenizer.id_to_token(n)) for n in range(tokenizer.get_vocab_size())]
    return float(np.array(lengths)[rows].mean())


def rows_of_shard(available: int, options: argparse.Namespace, steps: int) -> int:
    """The most rows for a shard, of the `available` ones, that `steps` batches go through a whole
    number of times, and that leave whole rounds after a warm start; 0 where there are not enough
    for one batch."""
    warm = options.warm_epochs
    batches = range(min(available // options.batch_size, steps), 0, -1)
    fitting = (
        count
        for count in batches
        if steps % count == 0 and warm * count < steps and warm * count % options.inner_steps == 0
    )
    return next(fitting, 0) * options.batch_size


def _read_text(folder: Path) -> tuple[np.ndarray, np.ndarray, Tokenizer]:
    """What examples/language/collect.py has written."""
    files = sorted((folder / "train").glob("*.parquet"))
    if not files or not (folder / "tokenizer.json").exists():
        raise BenchError(f"--text {folder}: expected what examples/language/collect.py writes")
    found = [_rows(path) for path in (*files, folder / "validation.parquet")]
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    return np.concatenate(found[:-1]), found[-1], tokenizer


def _rows(path: Path) -> np.ndarray:
    column = pq.read_table(path).column("tokens").combine_chunks()
    return column.flatten().to_numpy().reshape(len(column), -1)


def _parameters(setting: Setting) -> int:
    model = load_module(LANGUAGE / "model.py").GPT(**setting.model)
    return sum(parameter.numel() for parameter in model.parameters())


def _local(setting: Setting, folder: Path) -> Trained:
    warm = _warm_start(setting, folder) if setting.warm_epochs else Trained([], 0, 0.0)
    args = [
        *("--rounds", setting.rounds - setting.warm_steps // setting.inner_steps),
        *("--inner-steps", setting.inner_steps, "--batch-size", setting.batch),
        *("--outer-lr", setting.outer["lr"], "--outer-momentum", setting.outer["momentum"]),
        *("-r", setting.runner),
    ]
    if warm.curve:
        args += ["--weights", folder / "warm" / f"round-{setting.warm_epochs:06d}"]
    if setting.runner == "local":
        # as many as shards come out even, or as there are cores for
        workers = [n for n in range(1, cores() + 1) if setting.shards % n == 0]
        args += ["--workers", workers[-1]]
    rate = {"begun": setting.warm_steps, "lr": setting.inner_lr}
    lines, seconds = _train("local", args, setting, folder, rate)
    shards = json.loads((folder / "local" / "_mrmodel" / "shards.json").read_text())
    each = setting.inner_steps * setting.batch * setting.shards
    _check("shards", len(shards), setting.shards)
    _check("rows of a round", {line["rows"] for line in lines}, {each})
    begun = setting.warm_epochs * setting.shards * setting.rows * setting.context
    curve = [*warm.curve, *_curve(lines, each * setting.context, begun)]
    return Trained(curve, sum(line["bytes"] for line in lines), warm.seconds + seconds)


def _warm_start(setting: Setting, folder: Path) -> Trained:
    """The first epochs, by one worker that exchanges nothing."""
    return replace(_gang("warm", setting, folder, setting.warm_epochs, 1), nbytes=0)


def _allreduce(setting: Setting, folder: Path) -> Trained:
    return _gang("allreduce", setting, folder, setting.epochs, setting.workers)


def _gang(name: str, setting: Setting, folder: Path, epochs: int, workers: int) -> Trained:
    """`epochs` of synchronous training in the folder `name`."""
    args = [
        *("--epochs", epochs, "--batch-size", setting.shards * setting.batch // workers),
        *("-r", "inline" if workers == 1 else "local", "--workers", workers),
    ]
    lines, seconds = _train(name, args, setting, folder, {})
    rows = setting.shards * setting.rows
    steps = epochs * setting.rows // setting.batch
    _check("steps", sum(line["steps"] for line in lines), steps)
    _check("rows of an epoch", {line["rows"] for line in lines}, {rows})
    # what so many workers as there are shards would contribute
    nbytes = sum(line["bytes"] for line in lines) // workers * setting.shards
    return Trained(_curve(lines, rows * setting.context), nbytes, seconds)


def _train(
    name: str, args: list[Any], setting: Setting, folder: Path, rate: dict[str, float]
) -> tuple[list[dict[str, Any]], float]:
    """Train, with `rate` in place of the model's learning rate; the lines of metrics.jsonl, and how
    long it took."""
    text, sync = folder / "text", "local" if name == "local" else "allreduce"
    size = max(path.stat().st_size for path in (text / "train").iterdir())
    command = [
        *(sys.executable, "-m", "mrmodel", "train", f"{LANGUAGE / 'model.py'}:GPT"),
        *(text / "train", "-o", folder / name, "--overwrite", "--sync", sync),
        *("--validation", text / "validation.parquet", "--clip", setting.clip),
        *("--model-args", json.dumps({**setting.model, **rate}), "--seed", setting.seed),
        *("--device", setting.device, "--shard-size", size, "--keep-last", 1, *args),
    ]
    command += ["--threads", setting.threads] if setting.threads else []
    command = list(map(str, command))
    language_report.say(" ".join(command))
    began = time.time()
    code = subprocess.run(command, env=environment(None), stdout=sys.stderr, check=False).returncode
    if code:
        raise CommandFailed(f"mrmodel train --sync {sync}: exit code {code}")
    lines = (folder / name / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines], time.time() - began


def _curve(lines: list[dict[str, Any]], tokens: int, begun: int = 0) -> list[list[float]]:
    return [[begun + line["round"] * tokens, line["validation_loss"]] for line in lines]


def _check(what: str, found: Any, expected: Any) -> None:
    """The comparison is of the same tokens, or it is none."""
    if found != expected:
        raise CommandFailed(f"{what}: expected {expected} but it were {found}")
