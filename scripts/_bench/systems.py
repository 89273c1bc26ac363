"""What is compared: the bare loop and mrmodel's runners, each measured the same way."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mrmodel import storage
from mrmodel.machine import cores

from . import watch
from .errors import BenchError
from .workloads import ROOT, DataSet, Workload

BARE = Path(__file__).parent / "bare.py"
RUNNERS = ("inline", "local", "hadoop")


@dataclass(frozen=True)
class Setting:
    """What all systems are given. `cores` processes of one thread, or one process of `cores`
    threads; `hdfs` is a folder that holds the rows and takes outputs, None without hadoop.
    `own_batches`: mrmodel finds its batch size itself, as it does where nobody gives one."""

    workload: Workload
    data: DataSet
    weights: Path
    batch_size: int
    cores: int
    folder: Path
    hdfs: str | None = None
    own_batches: bool = False


@dataclass(frozen=True)
class Measured:
    """One run of `system`. `start`: seconds from the command to the first row (imports, planning,
    containers, model); `steady`: until the last output is closed; `end`: until the command is
    over. `forward_share`: forward seconds ÷ task seconds after load. `others`: cores that were
    busy with something else meanwhile."""

    system: str
    rows: int
    start: float
    steady: float
    end: float
    forward_share: float
    seconds: dict[str, float]
    cpu: float
    memory: int
    others: float
    output: str

    @property
    def wall(self) -> float:
        return self.start + self.steady + self.end


def baseline_of(runner: str) -> str:
    """The bare loop that `runner` is held against: as many processes and threads."""
    return "bare-threads" if runner == "inline" else "bare-processes"


def measure(system: str, setting: Setting) -> Measured:
    """Run `system` once. Raises CommandFailed."""
    if system.startswith("bare"):
        return _bare(system, setting)
    return measure_mrmodel(system, system, setting)


def bare_commands(setting: Setting, output: Path, one: bool) -> list[list[str]]:
    """`one` process with all cores, or one process per core with its share of the files."""
    cores = setting.cores
    shares = [setting.data.files[number::cores] for number in range(cores)]
    return [
        [
            *(sys.executable, str(BARE), setting.workload.name, *map(str, files)),
            *("--out", str(output / f"part-{number}.parquet")),
            *("--weights", str(setting.weights), "--batch-size", str(setting.batch_size)),
            *("--threads", str(cores if one else 1)),
        ]
        for number, files in enumerate([setting.data.files] if one else shares)
        if files
    ]


def _bare(system: str, setting: Setting) -> Measured:
    one = system == "bare-threads"
    output = setting.folder / system
    output.mkdir(exist_ok=True)
    commands = bare_commands(setting, output, one)
    cost, _ = watch.run(commands, environment(setting.cores if one else 1), setting.folder)
    told = [json.loads(text.splitlines()[-1]) for text in cost.outputs]
    first, last = min(t["loaded"] for t in told), max(t["finished"] for t in told)
    busy = sum(t["finished"] - t["loaded"] for t in told)
    seconds = {name: sum(t["seconds"][name] for t in told) for name in told[0]["seconds"]}
    return Measured(
        system,
        sum(t["rows"] for t in told),
        first - cost.began,
        last - first,
        cost.ended - last,
        seconds["forward"] / busy,
        seconds,
        cost.cpu,
        cost.memory,
        cost.others,
        str(output),
    )


def measure_mrmodel(name: str, runner: str, setting: Setting, more: Sequence[str] = ()) -> Measured:
    """Run `mrmodel predict` on `runner` once, with the options `more`, as the system `name`.
    Raises CommandFailed."""
    output = output_of(name, runner, setting)
    command = mrmodel_command(runner, setting, output, more)
    cost, seen = watch.run([command], environment(None), setting.folder, runner == "hadoop")
    run = storage.read_json(storage.join(output, "_mrmodel", "run.json"))
    used = [seen.containers(application) for application in run["applications"]]
    first, last = _first_row(run), last_part(output)
    cpu = sum(usage.cpu for usage in used)
    return Measured(
        name,
        run["rows"]["ok"],
        first - cost.began,
        last - first,
        cost.ended - last,
        run["forward_share"],
        {name: run["seconds"][name] for name in ("read", "prepare", "forward", "write")},
        cost.cpu + cpu,
        cost.memory + sum(usage.memory for usage in used),
        max(0.0, cost.others - cpu / cost.wall),
        output,
    )


def output_of(name: str, runner: str, setting: Setting) -> str:
    """Where `runner` writes what the system `name` predicts."""
    if runner == "hadoop":
        return storage.join(setting.hdfs or "", "out")
    return str(setting.folder / name)


def mrmodel_command(
    runner: str, setting: Setting, output: str, more: Sequence[str] = ()
) -> list[str]:
    """`mrmodel predict` with `runner`, all cores and no tuning; with the setting's batch size,
    unless mrmodel is to find one itself."""
    workload = setting.workload
    data = storage.join(setting.hdfs or "", "in") if runner == "hadoop" else None
    command = [
        *(sys.executable, "-m", "mrmodel", "predict", workload.reference),
        *([data] if data else map(str, setting.data.files)),
        *("-o", output, "-r", runner, "--overwrite", "--quiet", "--keep", "id"),
        *("--weights", str(setting.weights), *more),
    ]
    if not setting.own_batches:
        command += ["--batch-size", str(setting.batch_size)]
    if workload.inputs:
        command += ["--inputs", ",".join(workload.inputs)]
    return command + _cores(runner, setting, data)


def _cores(runner: str, setting: Setting, data: str | None) -> list[str]:
    if runner == "hadoop":
        return ["--threads", "1", "--shard-size", str(one_task_per_file(data))]
    if setting.own_batches and setting.cores == cores():
        return []
    if runner == "inline":
        return ["--threads", str(setting.cores)]
    return ["--workers", str(setting.cores), "--threads", "1"]


def one_task_per_file(folder: str) -> int:
    """A shard size with which Hadoop makes each of the files in `folder` one task."""
    entries = storage.storage_for(folder).ls(folder)
    size, block = max(e.size for e in entries), entries[0].block_size or 128 << 20
    if size >= block:
        return -(-size // block) * block
    return -(-block // (block // size))


def environment(threads: int | None) -> dict[str, str]:
    """This one's; `threads` for the libraries that the bare loop would not tell otherwise."""
    paths = [str(ROOT), str(ROOT / "scripts"), os.environ.get("PYTHONPATH", "")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}
    if threads:
        env["OMP_NUM_THREADS"] = str(threads)
        env["TOKENIZERS_PARALLELISM"] = "false" if threads == 1 else "true"
    return env


def _first_row(run: dict[str, Any]) -> float:
    """When the first task had loaded its model."""
    return min(record["begun"] + record["seconds"]["load"] for record in run["shards"])


def last_part(output: str) -> float:
    """When the last part was closed: renaming it on commit does not change its time."""
    entries = storage.storage_for(output).ls(output)
    return max(entry.mtime for entry in entries if entry.name.startswith("part-"))


def upload(data: DataSet, folder: str) -> None:
    """Put the rows where tasks on the cluster find them. Not part of what is measured."""
    store = storage.storage_for(folder)
    for file in data.files:
        try:
            with file.open("rb") as source, store.create(storage.join(folder, file.name)) as to:
                while chunk := source.read(8 << 20):
                    to.write(chunk)
        except OSError as error:
            raise BenchError(f"{folder}: cannot be written: {error}") from error
