"""What the runners without Hadoop have in common: manifests, progress files, mrjob's options."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mrjob.step import StepFailedException

from mrmodel.errors import JobError
from mrmodel.formats import get_format
from mrmodel.machine import cores
from mrmodel.parallel import map_parallel
from mrmodel.runners.base import Launch, Snapshot
from mrmodel.shards.balance import balanced, usual_shards
from mrmodel.shards.cutting import SPLIT_SLOP, in_input_order
from mrmodel.shards.plan import Plan, Source
from mrmodel.shards.shard import Shard
from mrmodel.specs import ExecutionSpec


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

    def shards(
        self,
        plan: Plan,
        shard_size: int,
        execution: ExecutionSpec,
        earlier: tuple[Shard, ...] = (),
    ) -> tuple[Shard, ...]:
        """Shards of at most `shard_size`, and small enough to keep all workers busy; files that
        an `earlier` run has cut stay as they are."""
        taken = {piece.uri for shard in earlier for piece in shard.pieces}
        sources = [source for source in plan.sources if source.uri not in taken]
        found = self.cut(sources, shard_size, execution)
        whole = _not_to_be_cut(plan, found, shard_size)
        if whole:
            sources = [replace(s, splittable=s.splittable and s.uri not in whole) for s in sources]
            found = self.cut(sources, shard_size, execution)
        return in_input_order(plan.sources, [*earlier, *found])

    def cut(
        self, sources: Sequence[Source], shard_size: int, execution: ExecutionSpec
    ) -> tuple[Shard, ...]:
        """`sources` as shards."""
        return usual_shards(sources, shard_size, cores())

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

    def page(self) -> None:
        return None

    def _run_manifests(self, launch: Launch, spec_file: Path) -> None:
        groups = balanced(launch.remaining, self.workers(launch.execution))
        if launch.patience is not None:
            groups = [[shard] for shard in launch.remaining]
        paths = [write_manifest(launch.folder / f"manifest-{i}", g) for i, g in enumerate(groups)]
        if paths:
            run_job(launch, self.name, spec_file, paths, self.mrjob_args(launch))

    def workers(self, execution: ExecutionSpec) -> int:
        return 1

    def room(self, execution: ExecutionSpec, weights_bytes: int) -> int:
        return self.workers(execution)

    def check_together(self, tasks: int, execution: ExecutionSpec, weights_bytes: int) -> None:
        """Processes share this machine as well as they can."""

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


def _not_to_be_cut(plan: Plan, shards: Iterable[Shard], shard_size: int) -> set[str]:
    """The files that `shards` cuts, that --shard-size alone would not cut, and that may hold rows
    of several lines: to find these, the files are read."""
    cut = {piece.uri for shard in shards for piece in shard.pieces if not piece.is_whole}
    sizes = {source.uri: source.size for source in plan.sources}
    doubtful = [uri for uri in sorted(cut) if sizes[uri] <= shard_size * SPLIT_SLOP]
    if not doubtful:
        return set()
    found = map_parallel(get_format(plan.format).rows_span_lines, doubtful)
    return {uri for uri, spans in zip(doubtful, found, strict=True) if spans}


def write_manifest(path: Path, shards: list[Shard]) -> Path:
    """One shard per line, as JSON."""
    path.write_text("".join(json.dumps(shard.to_dict()) + "\n" for shard in shards))
    return path


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
