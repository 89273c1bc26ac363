"""An evaluate task: predictions of its shards, held against labels, become states of metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from mrmodel import storage
from mrmodel.errors import ModelOutputError
from mrmodel.metrics.collector import Collector
from mrmodel.metrics.names import MetricSpec
from mrmodel.shards.shard import Shard
from mrmodel.tasks.context import TaskContext
from mrmodel.tasks.predict import PredictTask
from mrmodel.tasks.reporter import Reporter
from mrmodel.tasks.shard_writer import ShardWriter
from mrmodel.tasks.spec import Evaluation, TaskSpec
from mrmodel.tensors import wire
from mrmodel.tensors.columns import to_values

STATES = "states.bin"


class EvaluateTask(PredictTask):
    """One attempt. `emit` is given every record of every shard.

    The states of a shard are kept with its record: whoever finishes it, all attempts emit the
    same bytes, and a resumed job does not predict again.
    """

    def __init__(
        self,
        spec: TaskSpec,
        context: TaskContext,
        reporter: Reporter,
        emit: Callable[[wire.Record], None],
        on_share: Callable[[float], None] = lambda share: None,
    ):
        super().__init__(spec, context, reporter, on_share)
        self._evaluation = Evaluation.from_dict(spec.evaluation or {})
        self.required = [c for c in (self._evaluation.label, self._evaluation.indexes) if c]
        self._emit = emit
        self._uri = spec.staging

    def writer(self, folder: str, shard: Shard) -> ShardWriter:
        return MetricWriter(folder, shard, self._evaluation)

    def after(self, shard: Shard) -> None:
        """Emit what the attempt that finished `shard` has measured."""
        uri = storage.join(self._uri, "done", shard.key, STATES)
        with storage.storage_for(uri).open(uri) as states:
            for record in wire.read_raw(states):
                self._emit(record)


class MetricWriter(ShardWriter):
    """Takes in predictions as other writers do, and writes the states of metrics."""

    def __init__(self, folder: str, shard: Shard, evaluation: Evaluation):
        columns = (evaluation.label, evaluation.group_by, evaluation.indexes)
        super().__init__(folder, list(dict.fromkeys(c for c in columns if c)), "parquet", {})
        self._folder = folder
        self._evaluation = evaluation
        specs = [MetricSpec.from_dict(spec) for spec in evaluation.metrics]
        self._collector = Collector(
            specs, evaluation.resamples, evaluation.seed, shard.key, evaluation.resample
        )

    @property
    def part_name(self) -> str | None:
        return STATES

    def put(self, kept: pa.RecordBatch, outputs: pa.RecordBatch) -> None:
        evaluation = self._evaluation
        predictions = _for_metrics(outputs.column(self._prediction(outputs)))
        labels = _for_metrics(kept.column(evaluation.label))
        groups = kept.column(evaluation.group_by).to_pylist() if evaluation.group_by else None
        more = [_for_metrics(kept.column(evaluation.indexes))] if evaluation.indexes else []
        self._collector.add(predictions, labels, groups, *more)

    def close(self) -> None:
        super().close()
        uri = storage.join(self._folder, STATES)
        with storage.storage_for(uri).create(uri) as file:
            for record in self._collector.records():
                file.write(wire.raw(record))

    def _prediction(self, outputs: pa.RecordBatch) -> str:
        names, name = outputs.schema.names, self._evaluation.prediction
        if name is None and len(names) == 1:
            return names[0]
        if name in names:
            return name
        received = f"no column {name!r}" if name else "several columns"
        raise ModelOutputError(
            f"expected one column of predictions but the model gave {received}: name one of "
            f"{', '.join(names)} with --prediction"
        )


def _for_metrics(column: pa.Array) -> Any:
    """A column as metrics take it: numbers as a tensor (rows,) or (rows, …), the rest as a list."""
    values = to_values(column)
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "biuf":
        return list(values)
    tensor = torch.from_numpy(values)
    if tensor.ndim == 2 and tensor.shape[1] == 1:
        tensor = tensor[:, 0]
    return tensor if tensor.is_floating_point() else tensor.long()
