"""A task of local training: steps on each shard by itself, from the weights of the round.

What goes to the reducers is the way from the weights of the round to those where the steps ended
(Douillard et al., "DiLoCo", arXiv 2311.08105), times the rows that were seen, in place of a
gradient. The inner optimiser goes on where it was after the round before: its state, and how far
it is in the shard, are kept in a file per round and shard, so that a repeated attempt begins where
the first one did.

A round may go on without its last shards (`tasks.roll_call`): a shard that is late emits a tally
with its name and no rows, and takes its steps in the next round from where it was after the round
before.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import safetensors.torch
import torch

from mrmodel import storage
from mrmodel.errors import JobError
from mrmodel.shards.shard import Shard
from mrmodel.tasks.gauge import name_of
from mrmodel.tasks.gradient import GradientTask
from mrmodel.tasks.memory import room_for_step
from mrmodel.tasks.pulse import Pulse
from mrmodel.tasks.roll_call import RollCall
from mrmodel.tasks.spec import LocalSteps, TaskSpec
from mrmodel.training import optimizers, trees
from mrmodel.training.buckets import Tally
from mrmodel.training.compression import feed_back
from mrmodel.training.gradients import flat_gradients, parameters_of
from mrmodel.training.module import Trainable


def training_task(spec: TaskSpec, *others: Any) -> GradientTask:
    """Sums of gradients, or of what local steps have changed, go to reducers."""
    kind = LocalTask if (spec.training or {}).get("local") else GradientTask
    return kind(spec, *others)


class LocalTask(GradientTask):
    """One attempt at `LocalSteps.steps` steps on each of its shards."""

    _roll: RollCall | None = None

    def contribute(self, shard: Shard, pulse: Pulse) -> None:
        local = self._local()
        if local.least is not None:
            self._roll = RollCall(
                self.staging, self.context.attempt, shard.key, local.least, local.required
            )
        if not self._is_late():
            super().contribute(shard, pulse)
            return
        # before the model is loaded, which may take long
        _carry_over(local, shard, self.training.round)
        self.send_tally(shard, Tally(shards=1, late=(shard.key,)))

    def work(self, model: Trainable, shard: Shard, pulse: Pulse) -> Tally:
        with room_for_step(self.batch_size):
            return self._take_steps(model, shard, pulse)

    def _take_steps(self, model: Trainable, shard: Shard, pulse: Pulse) -> Tally:
        local = self._local()
        start = [parameter.detach().clone() for parameter in parameters_of(model.module)]
        optimizer, own = optimizers.make_optimizer(
            model, local.optimizer, local.lr, local.optimizer_args
        )
        total = local.steps * local.rounds
        schedule = optimizers.make_schedule(local.lr_schedule, optimizer, total)
        inner = _Inner(local, shard, self.training.round, optimizer, [schedule, own])
        tally = Tally(shards=1)
        for batch, rows in self._next_batches(shard, inner.taken, local.steps):
            pulse.beat(f"training on {name_of(shard)}")
            if self._is_late():
                return self._give_up(model, start, shard)
            with self.clock.phase("compute"):
                loss = self._step(model, optimizer, batch, rows, shard, tally)
            tally = tally + Tally(rows, loss)
            if schedule is not None:
                schedule.step()
        if own is not None and tally.rows:
            own.step()
        if self._roll is not None and not self._roll.arrive(tally.rows):
            return self._give_up(model, start, shard)
        _leave_way(model, start, 1 if local.delta_dtype else tally.rows)
        if local.delta_dtype:
            self.packed = inner.pack(flat_gradients(model.module), local.delta_dtype, tally.rows)
        inner.save(inner.taken + local.steps)
        return tally + self._bad()

    def _local(self) -> LocalSteps:
        return LocalSteps.from_dict(self.training.local or {})

    def _is_late(self) -> bool:
        return self._roll is not None and self._roll.is_late()

    def _give_up(self, model: Trainable, start: list[torch.Tensor], shard: Shard) -> Tally:
        """The tally of a shard that is late, of which nothing is left."""
        _leave_way(model, start, 0)
        _carry_over(self._local(), shard, self.training.round)
        return Tally(shards=1, late=(shard.key,)) + self._bad()

    def _bad(self) -> Tally:
        return Tally(bad=self.bad_rows.count if self.bad_rows else 0)

    def _step(
        self,
        model: Trainable,
        optimizer: torch.optim.Optimizer,
        batch: dict[str, Any],
        rows: int,
        shard: Shard,
        before: Tally,
    ) -> float:
        """One step of `optimizer`; the summed loss before it."""

        def closure() -> torch.Tensor:
            optimizer.zero_grad()
            loss = self.loss(model, batch, rows, shard, before)
            loss.backward()
            optimizers.clip(model.module.parameters(), (self.training.local or {}).get("clip"))
            return loss

        loss = optimizer.step(closure)
        self.reporter.count(rows_in=rows, rows_ok=rows)
        return float(loss.detach()) * rows

    def _next_batches(
        self, shard: Shard, first: int, count: int
    ) -> Iterator[tuple[dict[str, Any], int]]:
        """`count` batches of `shard` from the batch `first` on, beginning again at its end; none
        where it has no rows."""
        at, epoch = 0, 0
        while at < first + count:
            before = at
            for batch, rows in self._epoch(shard, epoch):
                if at >= first:
                    yield batch, rows
                at += 1
                if at == first + count:
                    return
            if at == before:
                return
            # whole rounds through the shard need not be read again to be left out
            size = at - before
            skipped = max(0, first - at) // size
            at, epoch = at + skipped * size, epoch + 1 + skipped

    def _epoch(self, shard: Shard, epoch: int) -> Iterator[tuple[dict[str, Any], int]]:
        """The batches of `shard`, of rows that are shuffled in each window: anew in each epoch."""
        random = np.random.default_rng([self.training.seed, epoch, int(shard.key, 16)])
        return ((batch, rows) for batch, rows, _ in self.batches(shard, random) if rows)

    def where(self, shard: Shard, rows: int, before: Tally) -> str:
        return f"step {before.rows // self.batch_size + 1} of the round on {name_of(shard)}"


class _Inner:
    """The inner optimiser of a shard, as the round before has left it. ``taken`` counts the batches
    of the rounds before."""

    def __init__(
        self,
        local: LocalSteps,
        shard: Shard,
        number: int,
        optimizer: torch.optim.Optimizer,
        schedules: list[Any],
    ):
        self._uri = _state_uri(local, shard, number)
        self._optimizer = optimizer
        self._schedules = [schedule for schedule in schedules if schedule is not None]
        self.taken = 0
        self._remainders: list[torch.Tensor] = []
        if number > 1:
            self._load(_read_state(local, shard, number - 1))

    def _load(self, data: bytes) -> None:
        size = int.from_bytes(data[:8], "little")
        about = json.loads(json.loads(data[8 : 8 + size])["__metadata__"]["about"])
        if about["state"] is None:
            return
        state = trees.join(about["state"], safetensors.torch.load(data))
        self.taken = about["taken"]
        self._optimizer.load_state_dict(state["optimizer"])
        for schedule, kept in zip(self._schedules, state["schedules"], strict=True):
            schedule.load_state_dict(kept)
        self._remainders = state["remainders"]

    def pack(self, deltas: list[torch.Tensor], dtype: str, rows: int) -> list[bytes]:
        """`deltas` as they are sent; what that takes from them is kept for the next round."""
        left = self._remainders or [None] * len(deltas)
        pairs = [feed_back(d, r, dtype, rows) for d, r in zip(deltas, left, strict=True)]
        self._remainders = [remainder for _, remainder in pairs]
        return [value for value, _ in pairs]

    def save(self, taken: int) -> None:
        """Keep the state for the next round."""
        schedules = [schedule.state_dict() for schedule in self._schedules]
        tree, tensors = trees.split(
            {
                "optimizer": self._optimizer.state_dict(),
                "schedules": schedules,
                "remainders": self._remainders,
            }
        )
        about = {"about": json.dumps({"taken": taken, "state": tree})}
        storage.write_bytes(self._uri, safetensors.torch.save(tensors, about))


def _state_uri(local: LocalSteps, shard: Shard, number: int) -> str:
    """Where the state of the inner optimiser of `shard` after round `number` lies."""
    return storage.join(local.state, f"round-{number:06d}", f"{shard.key}.tensors")


def _read_state(local: LocalSteps, shard: Shard, number: int) -> bytes:
    uri = _state_uri(local, shard, number)
    if not storage.exists(uri):
        raise JobError(
            f"{uri} is missing: the state of an inner optimiser after round {number}; begin anew "
            f"with --overwrite, and the last checkpoint as --weights"
        )
    return storage.read_bytes(uri)


def _carry_over(local: LocalSteps, shard: Shard, number: int) -> None:
    """Have the next round begin, on `shard`, where round `number` did."""
    if number > 1:
        data = _read_state(local, shard, number - 1)
    else:
        about = {"about": json.dumps({"taken": 0, "state": None})}
        data = safetensors.torch.save({}, about)
    storage.write_bytes(_state_uri(local, shard, number), data)


def _leave_way(model: Trainable, start: list[torch.Tensor], rows: int) -> None:
    """Leave start - end, `rows` times, in the gradients, and the weights as they were."""
    with torch.no_grad():
        for parameter, begun in zip(parameters_of(model.module), start, strict=True):
            parameter.grad = (begun - parameter) * rows
            parameter.copy_(begun)
