"""Rows read once and kept beside the task, for the many times that training goes through them.

The file is in Arrow's IPC format. It is read, not mapped: YARN counts mapped pages as the task's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from mrmodel.tasks.windows import one_batch

POOL_BYTES = 256 << 20  # rows that are in memory at once, and are shuffled with each other


def write_rows(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
    """Keep `batches` in the file `path`."""
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema) as writer:
        for batch in batches:
            if batch.num_rows:
                writer.write_batch(batch.cast(schema))


class RowCache:
    """The rows of the file `path`; ``rows`` is their number."""

    def __init__(self, path: Path, pool_bytes: int = POOL_BYTES):
        self._reader = pa.ipc.open_file(pa.OSFile(str(path)))
        chunks = map(self._chunk, range(self._reader.num_record_batches))
        sizes = [(chunk.nbytes, chunk.num_rows) for chunk in chunks]
        self._sizes = [nbytes for nbytes, _ in sizes]
        self._pool_bytes = pool_bytes
        self._all: pa.RecordBatch | None = None
        self.rows = sum(rows for _, rows in sizes)

    def batches(
        self, sizes: Sequence[int], random: np.random.Generator | None = None
    ) -> Iterator[pa.RecordBatch]:
        """The rows once, as batches of `sizes` rows, which add up to all of them: in an order that
        `random` gives, in that of the file without it.

        Where the rows are more than a pool, chunks of the file are shuffled, and then the rows in
        each pool of chunks; else the order is ``random.permutation(rows)``.
        """
        pools = self._pools(random)
        pool, order, at = None, np.empty(0, np.int64), 0
        for size in sizes:
            parts: list[pa.RecordBatch] = []
            while size:
                if at == len(order):
                    (pool, order), at = next(pools), 0
                some = order[at : at + size]
                parts.append(pool.take(pa.array(some)))
                size, at = size - len(some), at + len(some)
            yield one_batch(parts)

    def first(self) -> pa.RecordBatch:
        """The first row."""
        return self._chunk(0).slice(0, 1)

    def _pools(
        self, random: np.random.Generator | None
    ) -> Iterator[tuple[pa.RecordBatch, np.ndarray]]:
        if sum(self._sizes) <= self._pool_bytes:
            if self._all is None and self.rows:
                self._all = self._join(range(len(self._sizes)))
            members = [self._all] if self.rows else []
        else:
            members = (self._join(chunks) for chunks in self._groups(random))
        for pool in members:
            count = pool.num_rows
            yield pool, np.arange(count) if random is None else random.permutation(count)

    def _groups(self, random: np.random.Generator | None) -> Iterator[list[int]]:
        count = len(self._sizes)
        group: list[int] = []
        for chunk in np.arange(count) if random is None else random.permutation(count):
            if group and sum(self._sizes[n] for n in [*group, chunk]) > self._pool_bytes:
                yield group
                group = []
            group.append(int(chunk))
        yield group

    def _join(self, chunks: Iterable[int]) -> pa.RecordBatch:
        return one_batch([self._chunk(number) for number in chunks])

    def _chunk(self, number: int) -> pa.RecordBatch:
        return self._reader.get_batch(number)
