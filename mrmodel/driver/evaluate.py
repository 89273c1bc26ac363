"""An evaluate job: as predict, but what comes out are measures and not predictions."""

from __future__ import annotations

import io
import json
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mrmodel import storage
from mrmodel.driver import commit, ledger
from mrmodel.driver.model_files import ModelFiles
from mrmodel.driver.predict import Job, Steps, Watcher
from mrmodel.driver.run import Run
from mrmodel.driver.signals import terminate_is_interrupt
from mrmodel.driver.target import Target
from mrmodel.errors import LedgerError, UsageError
from mrmodel.jobs.mr_evaluate import MREvaluate
from mrmodel.metrics.building import check
from mrmodel.metrics.collector import ROWS, SHARDS
from mrmodel.metrics.names import MetricSpec, parse_metric
from mrmodel.shards.plan import Plan
from mrmodel.shards.shard import Shard
from mrmodel.specs import DataSpec, ExecutionSpec, ModelSpec, OutputSpec
from mrmodel.tasks.reduce import read_reduced
from mrmodel.tasks.spec import Evaluation
from mrmodel.users import hadoop_user

_ENOUGH_SHARDS = 10
_SHOWN = 5

_SCHEMA = pa.schema(
    [
        ("group", pa.string()),
        ("overall", pa.bool_()),
        ("rows", pa.int64()),
        ("metric", pa.string()),
        ("element", pa.int64()),
        ("value", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
    ]
)


def evaluation_job(
    model: ModelSpec,
    data: DataSpec,
    output: OutputSpec,
    execution: ExecutionSpec,
    metrics: list[str],
    reducers: int,
    **options: Any,
) -> Job:
    """The job that measures `metrics` (as on the command line); `options` are `Evaluation`'s.

    Raises UsageError for a metric that there is not, or with arguments that it does not take.
    """
    _check_resample(options.get("resample", ROWS), options.get("resamples", 0))
    specs = [parse_metric(text) for text in metrics]
    for spec in specs:
        check(spec)
    files = [spec.name.rpartition(":")[0] for spec in specs if spec.is_users]
    own = tuple(file for file in files if file.endswith(".py"))
    model = replace(model, py_files=(*model.py_files, *own))
    evaluation = Evaluation(tuple(_importable(spec).to_dict() for spec in specs), **options)
    data = replace(data, keep=())
    return Job(model, data, output, execution, MREvaluate, evaluation, reducers=reducers)


def _check_resample(kind: str, resamples: int) -> None:
    if kind not in (ROWS, SHARDS):
        raise UsageError(f"--resample {kind}: expected {ROWS} or {SHARDS}")
    if kind == SHARDS and not resamples:
        raise UsageError(f"--resample {SHARDS} needs --bootstrap N: the number of resamples")


def _importable(spec: MetricSpec) -> MetricSpec:
    """`spec` with the name under which tasks can import it: the file travels with --py-files."""
    path, _, name = spec.name.rpartition(":")
    return replace(spec, kind=f"{Path(path).stem}:{name}") if path.endswith(".py") else spec


def evaluate(job: Job, watcher: Watcher | None = None) -> Run:
    """Run `job`. Without an OUTPUT (an empty URI) nothing is left but the run that is returned.

    Raises MrmodelError as `driver.predict.predict` does.
    """
    with (
        terminate_is_interrupt(),
        tempfile.TemporaryDirectory(prefix="mrmodel-", ignore_cleanup_errors=True) as folder,
        _somewhere(job, Path(folder)) as job,
    ):
        return EvaluateSteps(job, watcher or Watcher(), Path(folder)).run()


@contextmanager
def _somewhere(job: Job, folder: Path) -> Iterator[Job]:
    """`job` with an OUTPUT that is removed at the end, where it has none."""
    if job.output.uri:
        yield job
        return
    uri = str(folder / "evaluation")
    if job.execution.runner == "hadoop":
        name = f"evaluation-{os.getpid()}-{secrets.token_hex(4)}"
        scheme, authority, _ = storage.split(storage.normalise(job.data.uris[0]))
        uri = storage.join(f"{scheme}://{authority}", "user", hadoop_user(), ".mrmodel", name)
    try:
        yield replace(job, output=replace(job.output, uri=uri))
    finally:
        storage.storage_for(uri).delete(uri)


class EvaluateSteps(Steps):
    """What differs from a predict job."""

    kind = "evaluate"

    def also(self) -> tuple[str, ...]:
        asked = self._job.evaluation
        return tuple(c for c in (asked.label, asked.group_by, asked.indexes) if c)

    def options(self, plan: Plan) -> dict[str, Any]:
        return {**super().options(plan), "evaluation": self._job.evaluation.to_dict()}

    def check_shards(self, shards: tuple[Shard, ...]) -> None:
        if self._job.evaluation.resample != SHARDS:
            return
        if len(shards) == 1:
            raise UsageError(
                f"--resample {SHARDS}: the input is one shard, which has no spread: expected "
                f"several (a smaller --shard-size makes more), or --resample {ROWS}"
            )
        if 0 < len(shards) < _ENOUGH_SHARDS:
            self._watcher.say(
                f"--resample {SHARDS}: the intervals come from {len(shards)} shards, and are most "
                f"often too narrow with fewer than {_ENOUGH_SHARDS}: a smaller --shard-size makes "
                f"more"
            )

    def keep_output(self, target: Target, wanted: set[str]) -> None:
        """Nothing: an output has measures, but not the states that they are made of."""

    def commit(
        self,
        target: Target,
        files: ModelFiles,
        plan: Plan,
        shards: tuple[Shard, ...],
        kept: set[str],
    ) -> Run:
        # the states stay in the staging folder
        finished = [{**record, "part": None} for record in self._finished(target, shards)]
        records = commit.number_parts(finished)
        ledger.check(plan, records)
        measures = _measures(target)
        _check_rows(measures, ledger.total(records)["ok"])
        self._tell_of_few_shards(measures, len(shards))
        run = replace(self._describe(target, files, plan, records, kept), measures=measures)
        more = {"part-00000.parquet": _as_parquet(measures)}
        commit.assemble(target, records, run.to_dict(), run.success, more)
        return self._publish(target, run)

    def _tell_of_few_shards(self, measures: list[dict[str, Any]], planned: int) -> None:
        """Those whose rows lie in fewer shards than there are."""
        few = [m for m in measures if m["shards"] < min(_ENOUGH_SHARDS, planned)]
        if few and self._job.evaluation.resample == SHARDS:
            names = ["(all)" if m["overall"] else str(m["group"]) for m in few]
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            self._watcher.say(
                f"--resample {SHARDS}: fewer than {_ENOUGH_SHARDS} shards have rows of "
                f"{', '.join(names[:_SHOWN])}{more}: such intervals are most often too narrow, and "
                f"that of one shard is left out"
            )


def _measures(target: Target) -> list[dict[str, Any]]:
    """What the reducers wrote: all rows first, then the groups in order."""
    found = [json.loads(data) for data in read_reduced(target.staging).values()]
    return sorted(found, key=lambda m: (not m["overall"], str(type(m["group"])), m["group"] or 0))


def _check_rows(measures: list[dict[str, Any]], rows: int) -> None:
    """Every good row is in the measures once, and in those of one group once."""
    overall = sum(m["rows"] for m in measures if m["overall"])
    groups = [m["rows"] for m in measures if not m["overall"]]
    if overall != rows or (groups and sum(groups) != rows):
        raise LedgerError(
            f"the books do not balance: {rows} good rows, but {overall} in the measures and "
            f"{sum(groups)} in those of groups; nothing was committed: run again with --resume"
        )


def _as_parquet(measures: list[dict[str, Any]]) -> bytes:
    """A row per group, metric and element of its value."""
    rows = [row for m in measures for metric in m["metrics"] for row in _rows(m, metric)]
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, _SCHEMA), file)
    return file.getvalue()


def _rows(measure: dict[str, Any], metric: dict[str, Any]) -> Iterator[dict[str, Any]]:
    head = {"overall": measure["overall"], "rows": measure["rows"], "metric": metric["name"]}
    head["group"] = None if measure["group"] is None else str(measure["group"])
    figures = {name: metric.get(name) for name in ("value", "low", "high")}
    if not isinstance(figures["value"], list):
        yield {**head, **figures, "element": None}
        return
    for element, value in enumerate(figures["value"]):
        bounds = {n: figures[n][element] for n in ("low", "high") if figures[n] is not None}
        yield {**head, "element": element, "value": value, **bounds}
