"""A gradient task: the summed gradient of a shard's rows, at the weights of the round."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
import safetensors.torch
import torch

from mrmodel import storage
from mrmodel.errors import JobError, MrmodelError
from mrmodel.models.adapters import pick_device
from mrmodel.shards.shard import Shard
from mrmodel.tasks.bad_rows import BadRows
from mrmodel.tasks.clock import Clock
from mrmodel.tasks.code import reach_code
from mrmodel.tasks.context import TaskContext
from mrmodel.tasks.gauge import name_of
from mrmodel.tasks.memory import free_cached_memory, is_out_of_memory
from mrmodel.tasks.model import set_threads
from mrmodel.tasks.pulse import Pulse, pulse_of
from mrmodel.tasks.reporter import Reporter
from mrmodel.tasks.spec import TaskSpec, Training
from mrmodel.tasks.staging import Staging
from mrmodel.tasks.windows import read_windows
from mrmodel.tensors import wire
from mrmodel.tensors.columns import to_batch
from mrmodel.training.buckets import TALLY, Tally
from mrmodel.training.devices import same_bits
from mrmodel.training.gradients import BufferWays, gradient_buckets
from mrmodel.training.module import Trainable, load_trainable

PHASES = ("load", "read", "compute", "send")


class GradientTask:
    """One attempt. `emit` is given a record for each bucket, and one with the tally.

    All that is random comes from the seed, the round and the shard, never from the attempt.
    """

    def __init__(
        self,
        spec: TaskSpec,
        context: TaskContext,
        reporter: Reporter,
        emit: Callable[[wire.Record], None],
        on_share: Callable[[float], None] = lambda share: None,
    ):
        self._spec = spec
        self._data = spec.task_data
        self.training = Training.from_dict(spec.training or {})
        self.context = context
        self.reporter = reporter
        self._emit = emit
        self._on_share = on_share
        self.staging = Staging(spec.staging, spec.identity)
        self._model: Trainable | None = None
        self.batch_size = self.training.batch_size
        self.clock = Clock(PHASES)
        self.bad_rows: BadRows | None = None
        # what the gradients of a shard are compressed to, where they are
        self.packed: list[bytes] | None = None

    def run(self, shards: Iterable[Shard]) -> None:
        """Emit what every shard of `shards` contributes. Raises MrmodelError; its last words are
        in the staging folder by then."""
        try:
            attempt = self.context.attempt
            with pulse_of(self._spec, self.staging, attempt, self.reporter) as pulse:
                for shard in shards:
                    self._run_shard(shard, pulse)
        except Exception as error:
            detail = error.detail if isinstance(error, MrmodelError) else traceback.format_exc()
            self.staging.report_error(self.context.attempt, error, detail)
            raise
        finally:
            self.reporter.flush()

    def _run_shard(self, shard: Shard, pulse: Pulse) -> None:
        begun, self.clock = time.time(), Clock(PHASES)
        self.contribute(shard, pulse)
        self.staging.report_seconds("map", shard.key, begun, self.clock.seconds)

    def contribute(self, shard: Shard, pulse: Pulse) -> None:
        """Emit what `shard` contributes to the sums."""
        pulse.beat("loading the model")
        with self.clock.phase("load"):
            model = self._loaded()
        buffers = BufferWays(model.module)
        with same_bits(model.device), self._letters(shard):
            tally = self._work(model, shard, pulse, buffers)
        with self.clock.phase("send"):
            self._send(model, shard, tally, buffers.take(tally.rows))

    def _send(self, model: Trainable, shard: Shard, tally: Tally, ways: list[torch.Tensor]) -> None:
        if self.training.with_gradient and not tally.late:
            for group, value in gradient_buckets(model.module, ways, self.packed):
                self._emit(wire.Record(group, shard.key, value))
                tally = tally + Tally(bytes=len(value))
        self.send_tally(shard, tally)

    def send_tally(self, shard: Shard, tally: Tally) -> None:
        """Emit what was read of `shard`."""
        self._emit(wire.Record(TALLY, shard.key, tally.to_bytes()))

    @contextmanager
    def _letters(self, shard: Shard) -> Iterator[None]:
        """Within, the bad rows that are read are written down, where that is asked for."""
        if not self.training.letters:
            yield
            return
        attempt, data_format = self.context.attempt, self._data.format
        with BadRows(self.staging, attempt, shard, data_format) as self.bad_rows:
            yield

    def _work(self, model: Trainable, shard: Shard, pulse: Pulse, buffers: BufferWays) -> Tally:
        """`work`, from the beginning again with smaller batches where memory runs out: what has
        been added up by then is not whole."""
        while True:
            model.module.zero_grad(set_to_none=True)
            torch.manual_seed(seed_of(self.training, shard))
            try:
                return self.work(model, shard, pulse)
            except JobError:
                raise
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                self._make_room(error)
                buffers.take(0)

    def _make_room(self, error: Exception) -> None:
        """Halve the batches. Raises JobError where they cannot be smaller."""
        if self.batch_size == 1:
            raise JobError(
                f"out of memory on a batch of a single row: expected the model, its gradient and "
                f"one row to fit; give the task more memory (--memory) ({error})"
            ) from error
        self.batch_size //= 2
        free_cached_memory()
        print(f"mrmodel: out of memory: batches of {self.batch_size} rows now", file=sys.stderr)

    def work(self, model: Trainable, shard: Shard, pulse: Pulse) -> Tally:
        """Leave in the gradients of `model` what `shard` contributes to the sum over all rows."""
        tally = Tally(shards=1)
        for batch, rows, bad in self.batches(shard):
            pulse.beat(f"training on {name_of(shard)}")
            tally = tally + Tally(bad=bad)
            if rows:
                with self.clock.phase("compute"):
                    loss = self._add_gradient(model, batch, rows, shard, tally)
                tally = tally + Tally(rows, loss)
        return tally

    def _loaded(self) -> Trainable:
        if self._model is None:
            set_threads(self.context.threads(self._spec.threads))
            spec = self._spec.task_model.model
            self._model = load_trainable(
                reach_code(self._spec.task_model),
                model_args=spec.args,
                state=safetensors.torch.load(storage.read_bytes(self.training.weights)),
                inputs=self._data.inputs,
                source=self.training.weights,
                label=self.training.label,
                loss=self.training.loss,
                dtype=spec.dtype,
            )
            self._model.to(torch.device(pick_device(spec.device)))
            self._model.module.train(self.training.with_gradient)
        return self._model

    def _add_gradient(
        self, model: Trainable, batch: dict[str, Any], rows: int, shard: Shard, before: Tally
    ) -> float:
        """Add the gradient of the batch's summed loss to that of the shard; the summed loss."""
        with torch.set_grad_enabled(self.training.with_gradient):
            total = self.loss(model, batch, rows, shard, before) * rows
        if self.training.with_gradient:
            total.backward()
        self.reporter.count(rows_in=rows, rows_ok=rows)
        return total.item()

    def loss(
        self, model: Trainable, batch: dict[str, Any], rows: int, shard: Shard, before: Tally
    ) -> torch.Tensor:
        """The mean loss of a batch. Raises JobError where it is not finite."""
        index = before.rows // self.batch_size
        learns = self.training.with_gradient
        loss = model.loss(batch, index) if learns else model.validation_loss(batch, index)
        if not torch.isfinite(loss):
            raise JobError(
                f"the loss is {loss.item()} in round {self.training.round}, in "
                f"{self.where(shard, rows, before)}: lower the learning rate, clip gradients, or "
                f"look at these rows"
            )
        return loss

    def where(self, shard: Shard, rows: int, before: Tally) -> str:
        """What a batch of `rows` rows is called in messages, `before` being those before it."""
        return f"the {rows} rows after row {before.rows} of {name_of(shard)}"

    def batches(
        self, shard: Shard, random: np.random.Generator | None = None
    ) -> Iterator[tuple[dict[str, Any], int, int]]:
        """(columns, rows, bad rows met with them), with `batch_size` rows at most. `random` gives
        the rows of each window another order."""
        return self.clock.each("read", self._read(shard, random))

    def _read(
        self, shard: Shard, random: np.random.Generator | None
    ) -> Iterator[tuple[dict[str, Any], int, int]]:
        names = self._data.arrow_schema.names
        done = 0
        windows = read_windows(self._data, shard)
        for window in self.bad_rows.watch(windows) if self.bad_rows else windows:
            yield {}, 0, len(window.bad)
            rows = window.batch
            if random is not None:
                rows = rows.take(pa.array(random.permutation(rows.num_rows)))
            yield from ((b, len(next(iter(b.values()))), 0) for b in self._cut(rows, names))
            done += window.nbytes
            self.reporter.count(bytes_read=window.nbytes)
            self._on_share(done / max(1, shard.length))

    def _cut(self, window: pa.RecordBatch, names: list[str]) -> Iterator[dict[str, Any]]:
        size = self.batch_size
        for begin in range(0, window.num_rows, size):
            yield to_batch(window.slice(begin, size), names)


def seed_of(training: Training, shard: Shard) -> int:
    """What the randomness of a shard's round begins with."""
    return (training.seed * 1_000_003 + training.round) * 1_000_003 + int(shard.key, 16) % (1 << 31)
