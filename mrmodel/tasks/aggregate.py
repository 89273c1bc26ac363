"""A predict task whose predictions go to reducers, which make one row of each group.

Groups are dealt out to *buckets* by a hash of their values; a reducer makes a part file of each
bucket. What a shard sends is made of its finished part, so that all attempts send the same.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mrmodel import storage
from mrmodel.shards.shard import Shard
from mrmodel.tasks.bucket_parts import sent
from mrmodel.tasks.context import TaskContext
from mrmodel.tasks.predict import PredictTask
from mrmodel.tasks.reporter import Reporter
from mrmodel.tasks.shard_writer import ShardWriter
from mrmodel.tasks.spec import Grouping, TaskSpec
from mrmodel.tensors import wire
from mrmodel.tensors.aggregation import parse_aggregation, shrink
from mrmodel.tensors.side_by_side import one_after_another


class AggregateTask(PredictTask):
    """One attempt. `emit` is given a record per bucket of every shard."""

    def __init__(
        self,
        spec: TaskSpec,
        context: TaskContext,
        reporter: Reporter,
        emit: Callable[[wire.Record], None],
        on_share: Callable[[float], None] = lambda share: None,
    ):
        super().__init__(spec, context, reporter, on_share)
        self._grouping = Grouping.from_dict(spec.grouping or {})
        self._how = parse_aggregation(self._grouping.aggregate)
        self._keep = [n for n in self._data.keep if n != self._grouping.by]
        self._emit = emit

    def writer(self, folder: str, shard: Shard) -> ShardWriter:
        columns = [self._grouping.by, *self._keep]
        return ShardWriter(folder, columns, "parquet", self._about(shard))

    def after(self, shard: Shard) -> None:
        """Emit what the attempt that finished `shard` has predicted."""
        uri = self._staging.folder("done", shard.key, "part.parquet")
        if not storage.exists(uri):  # no row was good
            return
        part = pq.read_table(pa.BufferReader(storage.read_bytes(uri)))
        by = self._grouping.by
        part = part.replace_schema_metadata()
        if self._grouping.models > 1:
            outputs = [n for n in part.schema.names if n not in (by, *self._keep)]
            part = one_after_another(part, outputs, self._grouping.models)
        table = shrink(part, self._how, by, self._keep)
        buckets = buckets_of(table.column(by), self._grouping.buckets)
        piece = shard.pieces[0]
        about = {**self._grouping.to_dict(), "keep": self._keep, "at": [piece.uri, piece.start],
                 "rows": piece.rows, "format": self._spec.output_format}  # fmt: skip
        for number in np.unique(buckets).tolist():
            chosen = table.filter(pa.array(buckets == number))
            self._emit(wire.Record(wire.group_of_bucket(number), shard.key, sent(chosen, about)))


def buckets_of(groups: pa.ChunkedArray, count: int) -> np.ndarray:
    """The bucket (0 to `count` - 1) of each row: by the group's value, the same everywhere."""
    encoded = groups.combine_chunks().dictionary_encode(null_encoding="encode")
    texts = [
        str(value).encode("utf-8", "backslashreplace") for value in encoded.dictionary.to_pylist()
    ]
    numbers = np.array([zlib.crc32(text) % count for text in texts], np.int64)
    return numbers[encoded.indices.to_numpy(zero_copy_only=False)]
