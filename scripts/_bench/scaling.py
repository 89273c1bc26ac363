"""How a predict job's cost grows: jobs of many shapes, each measured in the same way."""

from __future__ import annotations

import itertools
import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mrmodel import storage
from mrmodel.driver.forecast import Cluster
from mrmodel.runners.base import launcher_for
from mrmodel.specs import ExecutionSpec
from mrmodel.tasks.windows import WINDOW_BYTES, WINDOW_ROWS

from . import watch, wide
from .systems import environment, last_part, one_task_per_file, upload
from .workloads import DataSet

MODEL = Path(wide.__file__)
BATCH_SIZE = 8192
POOL_ROWS = 1 << 16
LOOK_EVERY = 0.1  # seconds: a small job has its peak between longer looks


@dataclass(frozen=True)
class Shape:
    """A job: `rows` of `columns` float32 in `files`, through three layers of `width`, by `workers`
    tasks at once (of local; inline has one, hadoop as many as there is room for). With
    `shard_each`, every file is a shard."""

    rows: int
    files: int = 4
    columns: int = 30
    width: int = 64
    workers: int = 1
    shard_each: bool = False

    @property
    def parameters(self) -> int:
        return wide.parameters(self.columns, self.width)

    @property
    def flops(self) -> int:
        """Of a row."""
        return wide.flops(self.columns, self.width)

    @property
    def units(self) -> int:
        """Numbers between the layers, of a row."""
        return wide.LAYERS * self.width

    @property
    def windows(self) -> float:
        """How many windows its rows come in: with many columns, a window has fewer rows."""
        return self.rows / min(WINDOW_ROWS, WINDOW_BYTES / (4 * self.columns))

    @property
    def data(self) -> str:
        """The name of its rows, which shapes may share."""
        return f"rows-{self.rows}-{self.files}-{self.columns}"


@dataclass(frozen=True)
class Run:
    """A job of `shape` by `tasks`, of which `slots` ran at once, on `cores`.

    Seconds: `start` from the command to the first task, `work` until the last part was closed,
    `end` until the command was over. `memory`: the peak of all processes together, in bytes;
    `others`: cores that were busy with something else."""

    runner: str
    shape: Shape
    repeat: int
    tasks: int
    slots: int
    cores: int
    shards: int
    start: float
    work: float
    end: float
    cpu: float
    memory: int
    others: float

    @property
    def wall(self) -> float:
        return self.start + self.work + self.end

    @property
    def waves(self) -> int:
        return -(-self.tasks // self.slots)

    @property
    def cluster(self) -> Cluster:
        return Cluster(1, self.slots, self.cores)


@dataclass(frozen=True)
class Place:
    """Where jobs of a runner read and write: `folder` on this machine, `hdfs` on the cluster."""

    runner: str
    cores: int
    folder: Path
    hdfs: str | None = None

    @property
    def root(self) -> str:
        return self.hdfs or str(self.folder)


def write_rows(shape: Shape, folder: Path) -> DataSet:
    """The rows of `shape` as Parquet files of the same length; kept ones are not made again."""
    folder = folder / shape.data
    if not folder.exists():
        making = folder.with_name(f"{folder.name}.making")
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(parents=True)
        _write_files(shape, making)
        making.rename(folder)
    files = tuple(sorted(folder.iterdir()))
    return DataSet(files, shape.rows, sum(file.stat().st_size for file in files))


def _write_files(shape: Shape, folder: Path) -> None:
    random = np.random.default_rng(0)
    rows = min(POOL_ROWS, shape.rows)
    pool = pa.table(
        {f"f{i}": random.standard_normal(rows, dtype=np.float32) for i in range(shape.columns)}
    )
    bounds = [shape.rows * i // shape.files for i in range(shape.files + 1)]
    for number, (first, last) in enumerate(itertools.pairwise(bounds)):
        chunks = [pool.slice(*part) for part in _parts_of_pool(first, last, rows)]
        table = pa.concat_tables(chunks or [pool.slice(0, 0)])
        table = table.add_column(0, "id", pa.array(np.arange(first, last)))
        pq.write_table(table, folder / f"rows-{number:05d}.parquet")


def _parts_of_pool(first: int, last: int, rows: int) -> Iterator[tuple[int, int]]:
    """(offset, length) of the slices of a pool of `rows` that stand for the rows first..last."""
    while first < last:
        offset = first % rows
        length = min(rows - offset, last - first)
        yield offset, length
        first += length


def put_rows(shapes: Sequence[Shape], place: Place) -> None:
    """Write the rows of `shapes`, and put them on the cluster where jobs run there."""
    for shape in {shape.data: shape for shape in shapes}.values():
        data = write_rows(shape, place.folder)
        if place.hdfs:
            upload(data, storage.join(place.root, shape.data))


def measure(shape: Shape, place: Place, repeat: int = 0) -> Run:
    """Run a job of `shape` once. Raises CommandFailed."""
    output = storage.join(place.root, f"out-{place.runner}")
    store = storage.storage_for(output)
    store.delete(output)  # which is not part of what is measured
    command = _command(shape, place, output)
    on_yarn = place.runner == "hadoop"
    env = environment(None)
    cost, seen = watch.run([command], env, place.folder, on_yarn, interval=LOOK_EVERY)
    run = storage.read_json(storage.join(output, "_mrmodel", "run.json"))
    used = [seen.containers(application) for application in run["applications"]]
    first, last = min(record["begun"] for record in run["shards"]), last_part(output)
    cpu = sum(usage.cpu for usage in used)
    return Run(
        place.runner,
        shape,
        repeat,
        len({record["attempt"] for record in run["shards"]}),
        slots_of(shape, place),
        place.cores,
        len(run["shards"]),
        first - cost.began,
        last - first,
        cost.ended - last,
        cost.cpu + cpu,
        cost.memory + sum(usage.memory for usage in used),
        max(0.0, cost.others - cpu / cost.wall),
    )


def slots_of(shape: Shape, place: Place) -> int:
    """How many tasks of `shape` really run at once: more processes than cores take turns."""
    if place.runner == "hadoop":
        launcher = launcher_for("hadoop")
        launcher.check([place.root])
        return launcher.room(ExecutionSpec(runner="hadoop"), 4 * shape.parameters)
    return min(shape.workers, place.cores) if place.runner == "local" else 1


def _command(shape: Shape, place: Place, output: str) -> list[str]:
    data = storage.join(place.root, shape.data)
    arguments = {"inputs": shape.columns, "width": shape.width}
    command = [
        *(sys.executable, "-m", "mrmodel", "predict", f"{MODEL}:Wide", data, "-o", output),
        *("-r", place.runner, "--threads", "1", "--batch-size", str(BATCH_SIZE), "--quiet"),
        *("--inputs", ",".join(f"f{i}" for i in range(shape.columns)), "--keep", "id"),
        *("--model-args", json.dumps(arguments), "--weights", str(weights(shape, place.folder))),
    ]
    if place.runner == "local":
        command += ["--workers", str(shape.workers)]
    if shape.shard_each:
        command += ["--shard-size", str(_a_shard_each(data, place.runner))]
    return command


def _a_shard_each(data: str, runner: str) -> int:
    if runner == "hadoop":
        return one_task_per_file(data)
    return max(entry.size for entry in storage.storage_for(data).ls(data))


def weights(shape: Shape, folder: Path) -> Path:
    """The model's weights, made when they are not there."""
    import safetensors.torch

    path = folder / f"wide-{shape.columns}-{shape.width}.safetensors"
    if not path.exists():
        model = wide.seeded(shape.columns, shape.width)
        safetensors.torch.save_file(model.state_dict(), path)
    return path


def medians(runs: Sequence[Run]) -> list[Run]:
    """One run for each shape and runner, every figure the median of its repeats."""
    found: dict[tuple[str, Shape], list[Run]] = {}
    for run in runs:
        found.setdefault((run.runner, run.shape), []).append(run)
    return [_median(repeats) for repeats in found.values()]


def _median(runs: Sequence[Run]) -> Run:
    names = ("start", "work", "end", "cpu", "memory", "others")
    middle = {name: median(getattr(run, name) for run in runs) for name in names}
    return replace(runs[0], **middle)
