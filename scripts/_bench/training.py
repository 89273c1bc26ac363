"""Training that is measured: torchrun's script by hand, a gang of tasks, and rounds of jobs."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import safetensors.torch
import torch

from mrmodel import storage

from . import watch
from .classifier import CLASSES, FEATURES
from .systems import environment, one_task_per_file, upload
from .workloads import DataSet

HERE = Path(__file__).parent
BY_HAND = "torchrun"


@dataclass(frozen=True)
class Setting:
    """What all are given: rows in as many files as there are `workers`, a file each. `hdfs` is a
    folder on the cluster, None without one."""

    data: DataSet
    workers: int
    hidden: int
    batch_size: int
    epochs: int
    rounds: int
    folder: Path
    hdfs: str | None = None


@dataclass(frozen=True)
class Trained:
    """One run of `system`: `rows` in an epoch; seconds from the command to the end of the `first`
    epoch, of the epochs after it (`steady`), and until the command was over (`end`). Of `steady`,
    `stepping` is without validation and checkpoints. `weights` is where the last ones lie."""

    system: str
    rows: int
    epochs: int
    first: float
    steady: float
    end: float
    stepping: float
    cpu: float
    others: float
    weights: str

    @property
    def wall(self) -> float:
        return self.first + self.steady + self.end

    @property
    def rows_per_second(self) -> float:
        return self.rows * (self.epochs - 1) / self.steady


def write_rows(rows: int, files: int, folder: Path) -> DataSet:
    """About `rows` rows in `files` files of one length: as many in each, neither compressed nor in
    row groups, so that everybody divides them among the workers in the same way."""
    folder.mkdir(parents=True, exist_ok=True)
    each, paths = max(1, rows // files), []
    for number in range(files):
        random = np.random.default_rng(number)
        features = random.standard_normal((each, FEATURES), dtype=np.float32)
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(features.ravel()), FEATURES)
        label = features[:, :CLASSES].argmax(1)
        paths.append(folder / f"rows-{number}.parquet")
        table = pa.table({"features": vectors, "label": label})
        pq.write_table(
            table, paths[-1], row_group_size=each, compression="NONE", use_dictionary=False
        )
    return DataSet(tuple(paths), each * files, sum(path.stat().st_size for path in paths))


def put(setting: Setting) -> None:
    """Put the rows where tasks on the cluster find them."""
    upload(setting.data, storage.join(setting.hdfs or "", "in"))


def train(system: str, setting: Setting) -> Trained:
    """Run `system` once: torchrun's script, or a gang on a runner. Raises CommandFailed."""
    return _by_hand(setting) if system == BY_HAND else _gang(system, setting)


def _by_hand(setting: Setting) -> Trained:
    out = setting.folder / "by-hand.safetensors"
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(setting.workers)),
        *(str(HERE / "by_hand.py"), str(setting.data.files[0].parent), "--out", str(out)),
        *("--epochs", str(setting.epochs), "--batch-size", str(setting.batch_size)),
        *("--hidden", str(setting.hidden)),
    ]
    cost, _ = watch.run([command], environment(1), setting.folder)
    ends = json.loads(cost.outputs[0].splitlines()[-1])["ends"]
    return _trained(BY_HAND, setting, cost, ends, ends[-1] - ends[0], str(out))


def _gang(runner: str, setting: Setting) -> Trained:
    """An epoch is over when its checkpoint is written."""
    output = _output(runner, setting, "gang")
    command = _command(runner, setting, output, "allreduce", setting.epochs)
    command += ["--workers", str(setting.workers), "--batch-size", str(setting.batch_size)]
    cost, seen = watch.run([command], environment(None), setting.folder, runner == "hadoop")
    lines = read_metrics(output)
    folders = [storage.join(output, f"round-{line['round']:06d}") for line in lines]
    ends = [_written(folder) for folder in folders]
    stepping = sum(line["seconds"] for line in lines[1:])
    weights = storage.join(folders[-1], "weights.safetensors")
    return _trained(runner, setting, cost, ends, stepping, weights)


def _trained(
    system: str,
    setting: Setting,
    cost: watch.Cost,
    ends: list[float],
    stepping: float,
    weights: str,
) -> Trained:
    return Trained(
        system,
        setting.data.rows,
        len(ends),
        ends[0] - cost.began,
        ends[-1] - ends[0],
        cost.ended - ends[-1],
        stepping,
        cost.cpu,
        cost.others,
        weights,
    )


def rounds(runner: str, setting: Setting) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl of training by exact gradients. Raises CommandFailed."""
    output = _output(runner, setting, "rounds")
    command = _command(runner, setting, output, "gradient", setting.rounds)
    if runner == "local":
        command += ["--workers", str(setting.workers)]
    if runner == "hadoop":
        size = one_task_per_file(storage.join(setting.hdfs or "", "in"))
        command += ["--shard-size", str(size)]
    watch.run([command], environment(None), setting.folder)
    return read_metrics(output)


def _output(runner: str, setting: Setting, name: str) -> str:
    if runner == "hadoop":
        return storage.join(setting.hdfs or "", name)
    return str(setting.folder / f"{name}-{runner}")


def _command(runner: str, setting: Setting, output: str, sync: str, count: int) -> list[str]:
    on_hdfs = storage.join(setting.hdfs or "", "in") if runner == "hadoop" else None
    return [
        *(sys.executable, "-m", "mrmodel", "train", f"{HERE / 'classifier.py'}:Classifier"),
        on_hdfs or str(setting.data.files[0].parent),
        *("-o", output, "-r", runner, "--sync", sync, "--rounds", str(count), "--overwrite"),
        *("--quiet", "--threads", "1", "--model-args", json.dumps({"hidden": setting.hidden})),
        *("--label", "label"),
    ]


def read_metrics(output: str) -> list[dict[str, Any]]:
    """What `mrmodel train` wrote down of each round."""
    text = storage.read_bytes(storage.join(output, "metrics.jsonl")).decode()
    return [json.loads(line) for line in text.splitlines()]


def _written(folder: str) -> float:
    """When the last file of a checkpoint was: renaming the folder does not change it."""
    return max(entry.mtime for entry in storage.storage_for(folder).ls(folder))


def same_bits(one: str, other: str) -> bool:
    """Whether two files hold the same weights."""
    first, second = (safetensors.torch.load(storage.read_bytes(uri)) for uri in (one, other))
    return first.keys() == second.keys() and all(torch.equal(first[n], second[n]) for n in first)
