"""How far a task is in a shard: told to the reporter, to Hadoop, and to the pulse."""

from __future__ import annotations

import time
from collections.abc import Callable

from mrmodel.shards.shard import Shard
from mrmodel.tasks.reporter import Reporter
from mrmodel.tasks.shard_writer import ShardWriter
from mrmodel.tasks.windows import Window


class Gauge:
    """Is called by the pipeline as it reads, predicts and writes `shard`."""

    def __init__(
        self,
        shard: Shard,
        reporter: Reporter,
        on_share: Callable[[float], None],
        beat: Callable[[str], None],
    ):
        self._length = max(1, shard.length)
        self._name = name_of(shard)
        self._reporter = reporter
        self._on_share = on_share
        self._beat = beat
        self._bytes_read = self._rows_read = 0
        self.first_batch: float | None = None  # when it was through, on time.time()'s clock
        self._rows_predicted = self._bytes_written = self._bad = 0

    def read(self, window: Window) -> None:
        self._bytes_read += window.nbytes
        self._rows_read += window.rows_in
        self._reporter.count(bytes_read=window.nbytes)
        self._beat(f"reading {self._name}")

    def batch(self, rows: int, seconds: float) -> None:
        """A window may take long, so batches count for the share that is done."""
        self.first_batch = self.first_batch or time.time()
        self._rows_predicted += rows
        self._reporter.count(rows_predicted=rows, forward_milliseconds=seconds * 1000)
        per_row = self._bytes_read / max(1, self._rows_read)
        self._on_share(min(self._bytes_read, self._rows_predicted * per_row) / self._length)
        self._beat(f"predicting {self._name}")

    def written(self, window: Window, writer: ShardWriter) -> None:
        self._bytes_written += window.nbytes
        bad = writer.dead_letters.count - self._bad
        self._bad += bad
        rows = window.rows_in
        self._reporter.count(rows_in=rows, rows_ok=rows - bad, rows_bad=bad)
        self._on_share(self._bytes_written / self._length)
        self._beat(f"predicting {self._name}")


def name_of(shard: Shard) -> str:
    """`shard` for people."""
    first = shard.pieces[0]
    more = f" and {len(shard.pieces) - 1} more" if len(shard.pieces) > 1 else ""
    where = f"byte {first.start}" if first.rows is None else f"row {first.rows[0]}"
    return f"{first.uri} from {where}{more}"
