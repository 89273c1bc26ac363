"""A predict job whose output has one row per group (``--group-by``, ``--aggregate``)."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from mrmodel.driver import commit, ledger
from mrmodel.driver.model_files import ModelFiles
from mrmodel.driver.predict import Job, Steps, Watcher
from mrmodel.driver.run import Run
from mrmodel.driver.signals import terminate_is_interrupt
from mrmodel.driver.target import Target
from mrmodel.errors import UsageError
from mrmodel.jobs.mr_aggregate import MRAggregate
from mrmodel.runners.base import Launch
from mrmodel.shards.plan import Plan
from mrmodel.shards.shard import Shard
from mrmodel.tasks.spec import Grouping
from mrmodel.tensors.aggregation import NAMES, parse_aggregation

_MOST_BUCKETS = 256


def aggregation_job(job: Job, group_by: str | None, aggregate: str | None, reducers: int) -> Job:
    """`job` with an output by groups, or with one prediction per row of several models; as it is
    where neither is asked for. Raises UsageError where an option is without another."""
    _check_together(job, group_by, aggregate)
    if not aggregate:
        return job
    parse_aggregation(aggregate)
    if not group_by:
        return replace(job, aggregate=aggregate)
    data = replace(job.data, keep=job.data.keep or ())
    grouping = Grouping(group_by, aggregate, models=len(job.models))
    return replace(job, data=data, job_class=MRAggregate, grouping=grouping, reducers=reducers)


def _check_together(job: Job, group_by: str | None, aggregate: str | None) -> None:
    if job.others and not aggregate:
        raise UsageError(
            f"{len(job.models)} models need --aggregate HOW: how one prediction is made of theirs; "
            f"expected {', '.join(NAMES)}"
        )
    if group_by and not aggregate:
        raise UsageError("--group-by needs --aggregate, too: rows of one group become one row")
    if aggregate and not (group_by or job.others):
        raise UsageError(
            "--aggregate needs --group-by, too: rows of one group become one row; or --model more "
            "than once: predictions of several models become one"
        )


def predict_groups(job: Job, watcher: Watcher | None = None) -> Run:
    """Run `job`, which `aggregation_job` made, by groups. Raises as `predict` does."""
    with (
        terminate_is_interrupt(),
        tempfile.TemporaryDirectory(prefix="mrmodel-", ignore_cleanup_errors=True) as folder,
    ):
        return AggregateSteps(job, watcher or Watcher(), Path(folder)).run()


class AggregateSteps(Steps):
    """What differs from a job that keeps the rows."""

    def also(self) -> tuple[str, ...]:
        return (self._job.grouping.by,)

    def options(self, plan: Plan) -> dict[str, Any]:
        return {**super().options(plan), "grouping": self._job.grouping.to_dict()}

    def keep_output(self, target: Target, wanted: set[str]) -> None:
        """Nothing: an output has groups, but not the rows that they are made of."""

    def _launch(
        self,
        target: Target,
        files: ModelFiles,
        plan: Plan,
        shards: tuple[Shard, ...],
        kept: set[str],
    ) -> Launch:
        launch = super()._launch(target, files, plan, shards, kept)
        # about one for each shard: a reducer holds a bucket in memory
        buckets = min(_MOST_BUCKETS, max(self._job.reducers, len(shards)))
        grouping = replace(self._job.grouping, buckets=buckets)
        return replace(launch, spec=replace(launch.spec, grouping=grouping.to_dict()))

    def commit(
        self,
        target: Target,
        files: ModelFiles,
        plan: Plan,
        shards: tuple[Shard, ...],
        kept: set[str],
    ) -> Run:
        # the rows stay in the staging folder
        finished = [{**record, "part": None} for record in self._finished(target, shards)]
        records = commit.number_parts(finished)
        ledger.check(plan, records)
        run = self._describe(target, files, plan, records, kept)
        suffix = self._job.output.format
        names = target.staging.list_reduced()
        parts = {f"part-{n:05d}.{suffix}": name for n, name in enumerate(names)}
        commit.assemble(target, records, run.to_dict(), run.success, reduced=parts)
        return self._publish(target, run)
