"""The life of a shard in a task: read ahead → prepare → order by size → forward → write.

Each stage runs in a thread of its own, bounded queues between them, so that the forward pass
need not wait and memory is bounded by windows, never by files or row groups.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from mrmodel.errors import ModelOutputError, MrmodelError
from mrmodel.formats import get_format
from mrmodel.formats.base import Block, ReadOptions
from mrmodel.shards.shard import Shard
from mrmodel.tasks.ahead import Sink, ahead
from mrmodel.tasks.clock import Clock
from mrmodel.tasks.forward import Forward, Result
from mrmodel.tasks.preparers import Preparers
from mrmodel.tasks.shard_writer import ShardWriter
from mrmodel.tasks.sizing import BatchSizer
from mrmodel.tasks.windows import Window, windows
from mrmodel.tensors.columns import length, take

WINDOWS_AHEAD = 2
BATCHES_AHEAD = 4
# a whole window of tokens, say, is many times its text: one in the queue, one in the making
PREPARED_WINDOWS_AHEAD = 1


@dataclass(frozen=True)
class Work:
    """Rows of a window for the forward pass. `prepared` holds the rows at `indices`, in that
    order (None: not prepared); with `sizes`, the cost of each, they may be cut into batches;
    `last` marks the end of the window."""

    window: Window
    indices: np.ndarray
    prepared: Any
    sizes: np.ndarray | None
    last: bool


class Pipeline:
    """Runs shards through one loaded predictor."""

    def __init__(
        self,
        predictor: Any,
        data_format: str,
        options: ReadOptions,
        inputs: list[str],
        sizer: BatchSizer,
        clock: Clock,
        on_read: Callable[[Window], None],
        on_batch: Callable[[int, float], None],
        on_written: Callable[[Window, ShardWriter], None],
        required: Sequence[str] = (),
        preparers: Preparers | None = None,
    ):
        """`required` are columns that must have a value beside the `inputs`; `preparers` are the
        processes that prepare, where it is not to be a thread."""
        self._format = get_format(data_format)
        self._options = options
        self._full = [*inputs, *(name for name in required if name not in inputs)]
        self._sizer = sizer
        self._clock = clock
        self._forward = Forward(predictor, inputs, sizer, clock, on_batch)
        self._size = getattr(predictor, "size", None)
        self._preparers = preparers
        self._at_once = preparers.workers if preparers else 0
        self._on_read = on_read
        self._on_written = on_written

    def run(self, shard: Shard, writer: ShardWriter) -> None:
        """Predict all rows of `shard` into `writer` (left open)."""
        sink = Sink(lambda done: self._write(writer, *done), WINDOWS_AHEAD, "write")
        try:
            read = ahead(self._read(shard), WINDOWS_AHEAD, "read")
            depth = PREPARED_WINDOWS_AHEAD if self._size else BATCHES_AHEAD
            with closing(ahead(self._prepare(read), depth, "prepare")) as works:
                for done in self._predict(works):
                    sink.put(done)
            sink.close()
        except BaseException:
            sink.cancel()
            raise

    def _read(self, shard: Shard) -> Iterator[Window]:
        for window in _timed(windows(self._blocks(shard), self._full), self._clock, "read"):
            self._on_read(window)
            yield window

    def _blocks(self, shard: Shard) -> Iterator[Block]:
        for piece in shard.pieces:
            yield from self._format.read(piece, self._options)

    def _prepare(self, read: Iterable[Window]) -> Iterator[Work]:
        """Rows for the forward pass, in order. Of those that other processes prepare, as many are
        asked for at once as there are processes, and one more."""
        waiting: deque[Callable[[], Work]] = deque()
        for work in self._asked(read):
            waiting.append(work)
            if len(waiting) > self._at_once:
                yield waiting.popleft()()
        while waiting:
            yield waiting.popleft()()

    def _asked(self, read: Iterable[Window]) -> Iterator[Callable[[], Work]]:
        for window in read:
            if self._size:
                yield partial(self._whole, window, self._ask(window.batch))
            else:
                yield from self._asked_batches(window)

    def _asked_batches(self, window: Window) -> Iterator[Callable[[], Work]]:
        begin, rows = 0, len(window)
        while True:
            end = self._sizer.cut(begin, rows, None)
            asked = self._ask(window.batch.slice(begin, end - begin))
            yield partial(self._part, window, begin, end, asked)
            begin = end
            if begin == rows:
                return

    def _ask(self, rows: pa.RecordBatch) -> Callable[[], Any]:
        """What gives `rows`, prepared; None for no rows."""
        if not rows.num_rows:
            return lambda: None
        if self._preparers:
            return self._preparers.ask(rows, self._clock)
        return partial(self._prepare_here, rows)

    def _prepare_here(self, rows: pa.RecordBatch) -> Any:
        with self._clock.phase("prepare"):
            return self._forward.prepare(rows)

    def _whole(self, window: Window, asked: Callable[[], Any]) -> Work:
        """A window, ordered by size, to be cut into batches when their size is known."""
        try:
            return self._ordered(window, asked())
        except MrmodelError:
            raise
        except Exception:  # noqa: BLE001 the forward pass finds the rows that cause it
            return Work(window, np.arange(len(window)), None, None, last=True)

    def _ordered(self, window: Window, prepared: Any) -> Work:
        if not len(window):
            return Work(window, np.arange(0), None, None, last=True)
        with self._clock.phase("prepare"):
            sizes = np.asarray(self._size(prepared), dtype=float)
            _check_aligned(prepared, sizes, len(window))
            # longest first: too large a batch shows at once, not at the end
            order = np.argsort(-sizes, kind="stable")
            return Work(window, order, take(prepared, order), sizes[order], last=True)

    def _part(self, window: Window, begin: int, end: int, asked: Callable[[], Any]) -> Work:
        """Rows of a window, as one batch."""
        try:
            prepared = asked()
        except MrmodelError:
            raise
        except Exception:  # noqa: BLE001 the forward pass finds the rows that cause it
            prepared = None
        return Work(window, np.arange(begin, end), prepared, None, last=end == len(window))

    def _predict(self, works: Iterable[Work]) -> Iterator[tuple[Window, list[Result]]]:
        results: list[Result] = []
        for work in works:
            for batch in self._batches(work):
                results += self._forward.run(work.window.batch, *batch)
            if work.last:
                yield work.window, results
                results = []

    def _batches(self, work: Work) -> Iterator[tuple[np.ndarray, Any, float | None]]:
        """Rows, these rows prepared, and their cost, where it says something of the bound."""
        begin, rows = 0, len(work.indices)
        while begin < rows:
            is_cut = work.sizes is None and work.prepared is not None
            end = rows if is_cut else self._sizer.cut(begin, rows, work.sizes)
            yield self._batch(work, begin, end)
            begin = end

    def _batch(self, work: Work, begin: int, end: int) -> tuple[np.ndarray, Any, float | None]:
        indices, is_full = work.indices[begin:end], self._sizer.is_full(end - begin)
        if work.sizes is None:
            return indices, work.prepared, float(end - begin) if is_full else None
        cost = float(work.sizes[begin:end].sum()) if is_full else None
        return indices, take(work.prepared, np.arange(begin, end)), cost

    def _write(self, writer: ShardWriter, window: Window, results: list[Result]) -> None:
        with self._clock.phase("write"):
            writer.write(window, results)
        self._on_written(window, writer)


def _timed(items: Iterator[Any], clock: Clock, phase: str) -> Iterator[Any]:
    """The `items`, their making counted as `phase`."""
    while True:
        with clock.phase(phase):
            item = next(items, None)
        if item is None:
            return
        yield item


def _check_aligned(prepared: Any, sizes: np.ndarray, rows: int) -> None:
    """Rows are put in another order by their sizes: both must have one entry for each."""
    if sizes.shape != (rows,):
        raise ModelOutputError(
            f"size() returned an array of shape {sizes.shape} for a batch of {rows} rows: expected "
            f"one number per row"
        )
    if not (np.isfinite(sizes) & (sizes >= 0)).all():
        raise ModelOutputError(
            "size() returned a number that is negative, infinite or not a number: expected what "
            "each row costs"
        )
    if length(prepared) != rows:
        raise ModelOutputError(
            f"prepare() returned a {type(prepared).__name__} that is not one entry per row for a "
            f"batch of {rows} rows: expected a dict of such arrays or lists, since the model "
            f"has size()"
        )
