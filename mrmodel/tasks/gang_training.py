"""Training in one process of a gang: all epochs, from the latest checkpoint to the last one.

Each process goes through its own rows, shuffled anew in each epoch by (seed, epoch, rank). All
take the same number of steps; a step's loss is the mean over the rows of all processes in it, so
unequal shares of rows weigh each row the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from mrmodel.errors import JobError, LedgerError, TooManyBadRowsError
from mrmodel.models.weights import read_state_dict
from mrmodel.tasks.ahead import ahead
from mrmodel.tasks.code import reach_code, weights_of
from mrmodel.tasks.memory import room_for_step
from mrmodel.tasks.reporter import Reporter
from mrmodel.tasks.row_cache import RowCache
from mrmodel.tasks.spec import Gang, TaskSpec, Training
from mrmodel.tensors.columns import to_batch
from mrmodel.training import optimizers, parallel
from mrmodel.training.checkpoints import Checkpoint, Checkpoints
from mrmodel.training.module import Trainable, load_trainable
from mrmodel.units import within_budget

_AHEAD = 4  # batches that are made while the model computes


@dataclass(frozen=True)
class Share:
    """The rows of one process: those that were good, and how many were `bad`."""

    rows: RowCache
    bad: int = 0


class GangTraining:
    """One process. `beat` is called whenever the work has moved on."""

    def __init__(
        self,
        spec: TaskSpec,
        share: Share,
        validation: Share | None,
        device: torch.device,
        reporter: Reporter,
        beat: Callable[[str], None],
    ):
        self._spec, self._data = spec, spec.task_data
        self._training = Training.from_dict(spec.training or {})
        self._gang = Gang.from_dict(self._training.gang or {})
        self._rank, self._world = dist.get_rank(), dist.get_world_size()
        self._share, self._validation = share, validation
        self._device = device
        self._reporter, self._beat = reporter, beat
        self._checkpoints = Checkpoints(self._gang.checkpoints)
        self._progress: dict[str, Any] = {"best": None, "best_round": None}

    def run(self, save: Callable[[Callable[[], None]], None]) -> None:
        """Train to the end. `save` is given what writes a checkpoint, on rank 0 alone."""
        self._look_at_shares()
        self._beat("loading the model")
        self._load()
        for number in range(self._resume() + 1, self._gang.rounds + 1):
            line = self._epoch(number)
            checkpoint = self._checkpoint(number)
            if self._rank == 0:
                save(lambda c=checkpoint, one=line: self._write(c, one))
            if self._is_enough(number):
                return

    def _look_at_shares(self) -> None:
        """Learn how many rows every process has. Raises where the books do not balance."""
        shares = (self._share, self._validation)
        mine = [n for s in shares for n in ((s.rows.rows, s.bad) if s else (0, 0))]
        all_ = [torch.zeros(4, dtype=torch.int64, device=self._device) for _ in range(self._world)]
        dist.all_gather(all_, torch.tensor(mine, device=self._device))
        rows, bad, self._tests, bad_tests = torch.stack(all_).T.tolist()
        self._counts, self._bad = rows, sum(bad)
        gang = self._gang
        _check_books("training", gang.rows, sum(rows), self._bad)
        if gang.validation:
            _check_books("validation", gang.validation_rows, sum(self._tests), sum(bad_tests))
        if not within_budget(gang.max_bad, self._bad, sum(rows) + self._bad):
            raise TooManyBadRowsError(self._checkpoints.bad(self._bad, sum(rows) + self._bad))
        if 0 in rows:
            raise JobError(
                f"worker {rows.index(0)} of {self._world} has no rows to train on: use fewer "
                f"--workers"
            )

    def _load(self) -> None:
        training, spec = self._training, self._spec.task_model.model
        torch.manual_seed(training.seed)
        ref = reach_code(self._spec.task_model)
        weights = weights_of(self._spec.task_model)
        self._model: Trainable = load_trainable(
            ref,
            model_args=spec.args,
            inputs=self._data.inputs,
            label=training.label,
            loss=training.loss,
            dtype=spec.dtype,
            configure=lambda module: parallel.configure(module, self._device),
        )
        if weights:
            parallel.load_weights(self._model.module, read_state_dict(weights), str(weights))
        self._model.to(self._device)

    def _resume(self) -> int:
        """Make the optimiser, and go on from the latest checkpoint if there is one; its round."""
        found = self._latest()
        if found:
            parallel.load_weights(self._model.module, found.weights, self._gang.checkpoints)
        gang, model = self._gang, self._model
        self._loss = parallel.synchronised(model)
        self._optimizer, self._own = optimizers.make_optimizer(
            model, gang.optimizer, gang.lr, gang.optimizer_args
        )
        steps = self._steps(self._counts) * gang.rounds
        self._schedule = optimizers.make_schedule(gang.lr_schedule, self._optimizer, steps)
        if found is None:
            return 0
        parallel.load_optimizer(self._optimizer, found.optimizer)
        for schedule, state in zip(self._schedules(), found.scheduler, strict=True):
            schedule.load_state_dict(state)
        self._progress = found.progress
        if found.round < gang.rounds:
            with closing(self._batches(found.round + 1)) as batches:
                parallel.settle(self._loss, next(batches)[0])
        return found.round

    def _latest(self) -> Checkpoint | None:
        """The newest checkpoint that is whole, in the eyes of rank 0."""
        found = self._checkpoints.load_latest()[0] if self._rank == 0 else None
        number = torch.tensor(found.round if found else 0, device=self._device)
        dist.broadcast(number, src=0)
        if self._rank == 0 or not number.item():
            return found
        return self._checkpoints.load(int(number.item()))

    def _schedules(self) -> list[Any]:
        return [one for one in (self._schedule, self._own) if one is not None]

    def _epoch(self, number: int) -> dict[str, Any]:
        """All rows once; the line of metrics.jsonl."""
        begun = time.time()
        self._model.module.train()
        torch.manual_seed((self._training.seed * 1_000_003 + number) * 1_000_003 + self._rank)
        lr = self._optimizer.param_groups[0]["lr"]
        total = 0.0
        for index, (batch, rows, of) in enumerate(self._batches(number)):
            self._beat(f"training, epoch {number}, batch {index + 1}")
            with room_for_step(rows):
                total += self._step(batch, rows, of, number, index) * rows
        if self._own is not None:
            self._own.step()
        seconds, rows = time.time() - begun, sum(self._counts)
        return {
            "round": number,
            "loss": self._sum(total) / rows,
            "rows": rows,
            "bad": self._bad,
            "steps": self._steps(self._counts),
            "lr": float(lr),
            "bytes": self._steps(self._counts) * self._world * self._gradient_bytes(),
            "seconds": round(seconds, 3),
            "rows_per_second": round(rows / max(seconds, 1e-9), 1),
            **self._validate(number),
        }

    def _step(self, batch: dict[str, Any], rows: int, of: int, number: int, index: int) -> float:
        """One step, in which all processes have `of` rows; the loss of these."""
        self._optimizer.zero_grad()
        loss = self._loss(batch, index)
        value = loss.item()
        if not np.isfinite(value):
            raise JobError(
                f"the loss is {value} in round {number}, in batch {index + 1} of worker "
                f"{self._rank}: lower the learning rate, clip gradients (--clip), or look at its "
                f"rows; {self._checkpoints.left()}"
            )
        # the gang takes the mean of its processes, not of the rows
        weight = rows * self._world / of
        (loss if weight == 1 else loss * weight).backward()
        if self._gang.clip is not None:
            optimizers.clip(self._model.module.parameters(), self._gang.clip)
        self._optimizer.step()
        if self._schedule is not None:
            self._schedule.step()
        self._reporter.count(rows_in=rows, rows_ok=rows)
        return value

    def _validate(self, number: int) -> dict[str, float]:
        if not self._gang.validation:
            return {}
        self._model.module.eval()
        total = 0.0
        batches = self._fed(self._validation, self._tests, None)
        with torch.no_grad():
            for index, (batch, rows, _) in enumerate(batches):
                self._beat(f"validating, epoch {number}, batch {index + 1}")
                total += self._model.validation_loss(batch, index).item() * rows
        loss = self._sum(total) / max(1, sum(self._tests))
        if self._progress["best"] is None or loss < self._progress["best"]:
            self._progress = {"best": loss, "best_round": number}
        return {"validation_loss": loss}

    def _is_enough(self, number: int) -> bool:
        patience, best = self._gang.early_stop, self._progress["best_round"]
        return patience is not None and best is not None and number - best >= patience

    def _batches(self, number: int) -> Iterator[tuple[dict[str, Any], int, int]]:
        random = np.random.default_rng([self._training.seed, number, self._rank])
        return self._fed(self._share, self._counts, random)

    def _fed(
        self, share: Share | None, counts: list[int], random: np.random.Generator | None
    ) -> Iterator[tuple[dict[str, Any], int, int]]:
        """(columns, rows, rows of all processes) for each step. A process that has no row for a
        step takes one that counts for nothing: all must take part."""
        steps, size = self._steps(counts), self._training.batch_size
        plans = [shares_of(count, steps, size) for count in counts]
        mine = plans[self._rank]
        names = self._data.arrow_schema.names
        spare = to_batch(self._share.rows.first(), names)
        found = share.rows.batches([n for n in mine if n], random) if share else iter(())

        def make() -> Iterator[tuple[dict[str, Any], int, int]]:
            for rows, all_ in zip(mine, zip(*plans, strict=True), strict=True):
                yield to_batch(next(found), names) if rows else spare, rows, sum(all_)

        return ahead(make(), _AHEAD, "batches")

    def _steps(self, counts: list[int]) -> int:
        return -(-max(counts) // self._training.batch_size)

    def _sum(self, value: float) -> float:
        total = torch.tensor(value, dtype=torch.float64, device=self._device)
        dist.all_reduce(total)
        return total.item()

    def _gradient_bytes(self) -> int:
        trained = (p for p in self._model.module.parameters() if p.requires_grad)
        return sum(p.numel() * p.element_size() for p in trained)

    def _checkpoint(self, number: int) -> Checkpoint:
        self._beat(f"putting the checkpoint of epoch {number} together")
        keep = self._rank == 0
        return Checkpoint(
            number,
            parallel.whole(self._model.module.state_dict(), keep),
            parallel.whole(self._optimizer.state_dict(), keep),
            [schedule.state_dict() for schedule in self._schedules()],
            self._gang.identity,
            self._progress,
        )

    def _write(self, checkpoint: Checkpoint, line: dict[str, Any]) -> None:
        self._checkpoints.write_metrics(line)
        self._checkpoints.save(checkpoint)
        if self._gang.keep_last:
            self._checkpoints.keep_last(self._gang.keep_last)


def shares_of(rows: int, steps: int, size: int) -> list[int]:
    """How many of `rows` go into each of `steps`: `size` into all but the last where they suffice,
    else as evenly as can be."""
    if rows > (steps - 1) * size:
        return [size] * (steps - 1) + [rows - (steps - 1) * size]
    return [rows * (n + 1) // steps - rows * n // steps for n in range(steps)]


def _check_books(what: str, planned: int | None, rows: int, bad: int) -> None:
    if planned not in (None, rows + bad):
        raise LedgerError(
            f"the books of the {what} rows do not balance: {planned} at planning, {rows} good and "
            f"{bad} bad ones read: did the input change? run again with --resume"
        )
    if not rows:
        raise JobError(f"there are no rows for {what}: expected some with a value in every column")
