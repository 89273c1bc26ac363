"""What the runners without Hadoop have in common: manifests, progress files, mrjob's options."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from mrjob.step import StepFailedException

from mrmodel.errors import JobError
from mrmodel.runners.base import Launch, Snapshot
from mrmodel.shards.cutting import shards_of
from mrmodel.shards.plan import Plan
from mrmodel.shards.shard import Shard

SMALLEST_SHARD = 1 << 20
SHARDS_PER_CORE = 4


class OneTaskPerFile:
    """Each input file is the input of one task. mrjob would cut it by its number of bytes; the
    driver has planned which shards go together."""

    def _pick_mapper_split_size(self, input_paths: list[str], step_num: int) -> int:
        return sys.maxsize


class SimLauncher:
    """Runs manifests through mrjob's runner called `name`."""

    name = ""

    def __init__(self) -> None:
        self._launch: Launch | None = None

    def check(self, uris: list[str]) -> None:
        """Nothing to reach: storage says for itself when it does not answer."""

    def shards(self, plan: Plan, shard_size: int) -> tuple[Shard, ...]:
        """Shards of at most `shard_size`, and small enough to keep every core busy. The same for
        inline and local, so that one can resume what the other began."""
        cores = os.cpu_count() or 1
        share = plan.nbytes // (cores * SHARDS_PER_CORE)
        return shards_of(plan.sources, min(shard_size, max(SMALLEST_SHARD, share)))

    def run(self, launch: Launch) -> None:
        (launch.folder / "progress").mkdir(exist_ok=True)
        spec = replace(
            launch.spec,
            progress=str(launch.folder / "progress"),
            driver_pid=os.getpid(),
            threads=self.threads(launch),
        )
        spec_file = launch.folder / "task-spec.json"
        spec.write(spec_file)
        self._launch = launch
        self._run_manifests(launch, spec_file)

    def threads(self, launch: Launch) -> int | None:
        """Torch threads per task."""
        return launch.execution.threads

    def snapshot(self) -> Snapshot:
        if self._launch is None:
            return Snapshot()
        totals = [_read(path) for path in (self._launch.folder / "progress").glob("*.json")]
        done = self._launch.staging.count_done()
        return Snapshot(
            done=done,
            rows=sum(max(t.get("rows in", 0), t.get("rows predicted", 0)) for t in totals),
            bad=sum(total.get("rows bad", 0) for total in totals),
        )

    def _run_manifests(self, launch: Launch, spec_file: Path) -> None:
        groups = balanced(launch.remaining, self.workers(launch))
        paths = [write_manifest(launch.folder / f"manifest-{i}", g) for i, g in enumerate(groups)]
        if paths:
            run_job(launch, self.name, spec_file, paths, self.mrjob_args(launch))

    def workers(self, launch: Launch) -> int:
        return 1

    def mrjob_args(self, launch: Launch) -> list[str]:
        return []


def run_job(
    launch: Launch, runner: str, spec_file: Path, inputs: list[Path], args: list[str]
) -> None:
    """Run the mrjob job over the manifests `inputs`. Raises JobError when a task failed."""
    job = launch.job_class(
        ["-r", runner, "--no-bootstrap-mrjob", "--cleanup-on-failure", "ALL"]
        + ["--task-spec", str(spec_file), "--output-dir", str(launch.folder / "mrjob-output")]
        + [*args, *launch.execution.mrjob_args]
        + [str(path) for path in inputs]
    )
    with job.make_runner() as mrjob_runner:
        try:
            mrjob_runner.run()
        except StepFailedException as error:
            raise JobError(f"a task failed: {error}") from error


def balanced(shards: list[Shard], groups: int) -> list[list[Shard]]:
    """`shards` in at most `groups` groups of about the same number of bytes, in input order."""
    loads = [0] * max(1, groups)
    members: list[list[int]] = [[] for _ in loads]
    for index in sorted(range(len(shards)), key=lambda i: -shards[i].length):
        least = loads.index(min(loads))
        loads[least] += max(1, shards[index].length)
        members[least].append(index)
    return [[shards[i] for i in sorted(group)] for group in members if group]


def write_manifest(path: Path, shards: list[Shard]) -> Path:
    """One shard per line, as JSON."""
    path.write_text("".join(json.dumps(shard.to_dict()) + "\n" for shard in shards))
    return path


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
