"""What a small job costs on a cluster, next to a bare job of Hadoop Streaming of the same shape."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from mrmodel import storage
from mrmodel.runners.hadoop import JVM_HEAP_MB
from mrmodel.runners.hadoop_conf import hadoop_binary

from . import watch
from .errors import BenchError
from .report import markdown, spread
from .systems import environment, one_task_per_file, upload
from .training import HERE, read_metrics, write_rows

KINDS = ("predict", "round")
GOALS = {"predict": 1.3, "round": 1.5}
MEMORY_MB = 1536


@dataclass(frozen=True)
class Setting:
    """Rows in `maps` files on `hdfs`, a map task each; `rounds` of training in a repeat."""

    maps: int
    rounds: int
    hdfs: str
    folder: Path

    @property
    def input(self) -> str:
        return storage.join(self.hdfs, "in")

    @property
    def output(self) -> str:
        return storage.join(self.hdfs, "out")


@dataclass(frozen=True)
class Job:
    """A job took so many `seconds`; `parts` says of them where they went."""

    kind: str
    is_bare: bool
    seconds: float
    parts: dict[str, float]


def put(rows: int, setting: Setting) -> None:
    """Put `rows` rows on HDFS."""
    upload(write_rows(rows, setting.maps, setting.folder / "in"), setting.input)


def bare(kind: str, setting: Setting) -> list[Job]:
    """A job of ``hadoop jar``: as many maps and reducers, and as much memory."""
    binary = hadoop_binary()
    jvm = f"-Xmx{JVM_HEAP_MB}m -XX:+UseSerialGC -XX:TieredStopAtLevel=1"
    settings = {f"mapreduce.{task}.java.opts": jvm for task in ("map", "reduce")}
    settings |= {f"mapreduce.{task}.memory.mb": str(MEMORY_MB) for task in ("map", "reduce")}
    settings["mapreduce.job.reduces"] = "1" if kind == "round" else "0"
    command = [
        *(binary, "jar", str(_streaming_jar(binary))),
        *(word for name, value in settings.items() for word in ("-D", f"{name}={value}")),
        *("-input", setting.input, "-output", setting.output, "-mapper", "tail -c 1"),
        *(("-reducer", "cat") if kind == "round" else ()),
    ]
    return [Job(kind, True, _clean_run(command, setting).wall, {})]


def ours(kind: str, setting: Setting) -> list[Job]:
    """A job of mrmodel predict from the command to its end; the rounds of mrmodel train, one after
    the other, with their checkpoints."""
    if kind == "predict":
        cost = _clean_run(_command("predict", setting), setting)
        run = storage.read_json(storage.join(setting.output, "_mrmodel", "run.json"))
        begun = [record["begun"] for record in run["shards"]]
        ended = [record["begun"] + sum(record["seconds"].values()) for record in run["shards"]]
        parts = {
            "start": min(begun) - cost.began,
            "map": max(ended) - min(begun),
            "end": cost.ended - max(ended),
        }
        return [Job(kind, False, cost.wall, parts)]
    command = [*_command("train", setting), "--rounds", str(setting.rounds), "--label", "label"]
    _clean_run(command, setting)
    lines = read_metrics(setting.output)
    return [
        Job(kind, False, line["seconds"] + line["phases"]["checkpoint"], line["phases"])
        for line in lines
    ]


def _command(name: str, setting: Setting) -> list[str]:
    size = one_task_per_file(setting.input)
    return [
        *(sys.executable, "-m", "mrmodel", name, f"{HERE / 'classifier.py'}:Classifier"),
        *(setting.input, "-o", setting.output, "-r", "hadoop", "--quiet"),
        *("--shard-size", str(size), "--memory", f"{MEMORY_MB}MB"),
    ]


def _clean_run(command: list[str], setting: Setting) -> watch.Cost:
    storage.storage_for(setting.output).delete(setting.output)
    return watch.run([command], environment(None), setting.folder)[0]


def _streaming_jar(binary: str) -> Path:
    found = sorted(Path(binary).resolve().parents[1].rglob("hadoop-streaming*.jar"))
    jars = [jar for jar in found if "sources" not in jar.name and "test" not in jar.name]
    if not jars:
        raise BenchError(f"{binary}: no hadoop-streaming jar beside it")
    return jars[0]


def tables(jobs: Sequence[Job]) -> str:
    """Each kind next to the bare job, and where the seconds go."""
    kinds = [kind for kind in KINDS if any(job.kind == kind for job in jobs)]
    header = ["job", "mrmodel s", "hadoop jar s", "ratio", "goal"]
    told = [markdown([header, *(_row(kind, jobs) for kind in kinds)])]
    for kind in kinds:
        own = [job for job in jobs if job.kind == kind and not job.is_bare]
        parts = [[f"{kind}, seconds", *own[0].parts]]
        middles = (median(job.parts[name] for job in own) for name in own[0].parts)
        parts.append(["median", *(f"{middle:.2f}" for middle in middles)])
        told.append(markdown(parts))
    return "\n\n".join(told)


def ratio(kind: str, jobs: Sequence[Job]) -> float:
    """Medians of mrmodel's jobs and of the bare ones, divided."""
    return median(_seconds(kind, False, jobs)) / median(_seconds(kind, True, jobs))


def _seconds(kind: str, is_bare: bool, jobs: Sequence[Job]) -> list[float]:
    return [job.seconds for job in jobs if job.kind == kind and job.is_bare is is_bare]


def _row(kind: str, jobs: Sequence[Job]) -> list[str]:
    own, theirs = _seconds(kind, False, jobs), _seconds(kind, True, jobs)
    found = ratio(kind, jobs)
    reached = "reached" if found <= GOALS[kind] else "not reached"
    return [kind, spread(own), spread(theirs), f"{found:.2f}", f"≤ {GOALS[kind]}: {reached}"]
