"""The command line of scripts/memory: how much memory a predict task needs."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mrmodel import storage
from mrmodel.errors import MrmodelError
from mrmodel.units import parse_size

from . import big_file, watch
from .errors import BenchError
from .mlp import FEATURES
from .options import hdfs_folder, say, work_folder
from .report import machine, markdown
from .systems import environment
from .watch import CommandFailed
from .workloads import WORKLOADS

FLAT = 0.10
KEEP = "id,text"

EXAMPLES = """\
examples:
  scripts/memory                                   both, as below
  scripts/memory huge                              one row group of 5 GB, a task of 2 GB
  scripts/memory huge --gigabytes 1 --memory 1536MB
  scripts/memory flat --small 100MB --large 500MB  two file sizes by two row group sizes, inline

`huge` runs on YARN where HADOOP_HOME is set (eval "$(scripts/cluster env)"), which kills a task
that takes more than its memory; elsewhere inline, watched, and killed when it takes more.

Exit codes: 0 memory was as it should be, 1 it was not or a run failed, 2 wrong usage.
"""


@dataclass(frozen=True)
class Run:
    """One predict job: its rows, wall seconds and the most memory its task had, in bytes."""

    rows: int
    wall: float
    memory: int


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        print(machine(), end="\n\n")
        results = [step(options) for step in _STEPS[options.what]]
    except BenchError as error:
        print(f"memory: {error}", file=sys.stderr)
        return 2
    except (CommandFailed, MrmodelError) as error:
        print(f"memory: {error}", file=sys.stderr)
        return 1
    return 0 if all(results) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/memory",
        description="How much memory a predict task needs, whatever the size of its input.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("what", nargs="?", choices=sorted(_STEPS), default="all", help="default: all")
    add("--gigabytes", type=float, default=5.0, help="the huge row group's size (default 5)")
    add("--memory", default="2GB", help="the huge one's task may have (default 2GB)")
    add("--small", default="400MB", help="file of `flat` (default 400MB)")
    add("--large", default="1600MB", help="file of `flat` (default 1600MB)")
    add("--row-group", default="64MB", help="row groups of `flat`, beside the whole file")
    add("--work", type=Path, metavar="DIR", help="for files of these sizes (default: temporary)")
    add("--hdfs", metavar="URI", help="the same on the cluster (default: /tmp)")
    return parser


def run_huge(options: argparse.Namespace) -> bool:
    """One huge row group; whether its task kept within its memory."""
    limit = parse_size(options.memory, "--memory")
    on_yarn = bool(os.environ.get("HADOOP_HOME"))
    with work_folder(options.work) as folder:
        place = hdfs_folder(options.hdfs) if on_yarn else str(folder)
        uri = storage.join(place, "huge.parquet")
        try:
            say(f"writing one row group of {options.gigabytes:g} GB to {uri}")
            big_file.write(uri, int(options.gigabytes * 1e9))
            run = (_on_yarn if on_yarn else predict)(uri, folder, limit)
        finally:
            for name in ("huge.parquet", "out"):
                storage.storage_for(place).delete(storage.join(place, name))
    where = "on YARN" if on_yarn else "inline"
    print(
        f"{run.rows:,} rows in one row group of {options.gigabytes:g} GB, {where}, in "
        f"{run.wall:.0f} s: the task had at most {run.memory / 1e6:,.0f} MB of "
        f"{limit / 1e6:,.0f} MB",
        end="\n\n",
    )
    return run.memory <= limit


def run_flat(options: argparse.Namespace) -> bool:
    """Two file sizes by two row group sizes; whether memory is the same for all."""
    sizes = [parse_size(size, "--small, --large") for size in (options.small, options.large)]
    group = parse_size(options.row_group, "--row-group")
    rows = [["file MB", "row group MB", "rows", "seconds", "peak memory MB"]]
    peaks = []
    for size in sizes:
        for row_group in (group, None):
            with work_folder(options.work) as folder:
                run = predict_file(folder, size, row_group)
            peaks.append(run.memory)
            cells = [f"{size / 1e6:,.0f}", f"{(row_group or size) / 1e6:,.0f}", f"{run.rows:,}"]
            rows.append([*cells, f"{run.wall:.1f}", f"{run.memory / 1e6:,.0f}"])
    spread = max(peaks) / min(peaks) - 1
    verdict = "flat" if spread < FLAT else "not flat"
    print(f"{markdown(rows)}\n\n{verdict}: the largest is {spread:.1%} above the least\n")
    return spread < FLAT


_STEPS = {"huge": [run_huge], "flat": [run_flat], "all": [run_flat, run_huge]}


def predict_file(folder: Path, nbytes: int, row_group_bytes: int | None) -> Run:
    """Write a file and predict it inline; both are gone afterwards."""
    uri = str(folder / "rows.parquet")
    try:
        big_file.write(uri, nbytes, row_group_bytes)
        return predict(uri, folder)
    finally:
        for name in ("rows.parquet", "out"):
            storage.storage_for(uri).delete(str(folder / name))


def predict(uri: str, folder: Path, limit: int | None = None) -> Run:
    """Run the file `uri` through the MLP inline, in a process of its own, which may have `limit`
    bytes."""
    cost, _ = watch.run(
        [_command(uri, folder, str(folder / "out"), "-r", "inline")],
        environment(None),
        folder,
        limit=limit,
    )
    return Run(_rows(str(folder / "out")), cost.wall, cost.memory)


def _on_yarn(uri: str, folder: Path, limit: int) -> Run:
    """The same on YARN. The peak is what YARN counted, or what was seen here if that is more."""
    output = storage.join(storage.parent(uri), "out")
    command = _command(uri, folder, output, "-r", "hadoop", "--memory", f"{limit >> 20}MB")
    cost, seen = watch.run([command], environment(None), folder, containers=True)
    run = storage.read_json(storage.join(output, "_mrmodel", "run.json"))
    peaks = [seen.containers(name).largest for name in run["applications"]]
    counted = [_counted_peak(name) for name in run["applications"]]
    say(f"seen here {max(peaks) / 1e6:,.0f} MB, by YARN {max(counted) / 1e6:,.0f} MB")
    return Run(run["rows"]["ok"], cost.wall, max(*peaks, *counted))


def _command(uri: str, folder: Path, output: str, *more: str) -> list[str]:
    workload = WORKLOADS["tabular"]
    return [
        *(sys.executable, "-m", "mrmodel", "predict", workload.reference, uri, "-o", output),
        *("--inputs", ",".join(f"f{i}" for i in range(FEATURES)), "--keep", KEEP),
        *("--batch-size", str(workload.batch_size), "--threads", "1", "--overwrite"),
        *("--weights", str(workload.weights(folder)), "--quiet", *more),
    ]


def _rows(output: str) -> int:
    return storage.read_json(storage.join(output, "_mrmodel", "run.json"))["rows"]["ok"]


def _counted_peak(application: str) -> int:
    """ "Peak Map Physical memory (bytes)" of the job's own counters; 0 when nobody tells it."""
    from mrmodel.runners.hadoop_conf import HadoopConf

    pages = HadoopConf.load().get("mapreduce.jobhistory.webapp.address")
    job = application.replace("application_", "job_")
    url = f"http://{pages}/ws/v1/history/mapreduce/jobs/{job}/counters"
    for _ in range(30):  # the history server takes the job over some seconds after its end
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                groups = json.load(answer)["jobCounters"]["counterGroup"]
        except (OSError, ValueError, KeyError):
            time.sleep(1)
            continue
        counters = [counter for group in groups for counter in group["counter"]]
        found = [c for c in counters if c["name"] == "MAP_PHYSICAL_MEMORY_BYTES_MAX"]
        return int(found[0]["mapCounterValue"]) if found else 0
    return 0
