"""Training by rounds that are MapReduce jobs: exact gradients, or local steps averaged."""

from __future__ import annotations

import math
import time
from typing import Any

import torch

from mrmodel import storage
from mrmodel.driver import ledger
from mrmodel.driver.model_files import ModelFiles
from mrmodel.driver.passes import Passes
from mrmodel.driver.phases import Phases
from mrmodel.driver.train_steps import TrainSteps
from mrmodel.errors import JobError, TooManyBadRowsError
from mrmodel.tasks.gauge import name_of
from mrmodel.tasks.spec import LocalSteps, Training
from mrmodel.training import optimizers
from mrmodel.training.buckets import Tally
from mrmodel.training.checkpoints import INNER, Checkpoint
from mrmodel.training.gradients import check_dtypes, set_gradients
from mrmodel.units import parse_min_shards

_SHOWN = 3


class Rounds(TrainSteps):
    """``--sync gradient`` and ``--sync local``: mappers and reducers make the gradient, or what
    stands for it, of which the driver takes the step."""

    def begin(self, files: ModelFiles) -> None:
        check_dtypes(self._trainable.module)
        self._optimizer, self._scheduler = self._make_optimizer()

    def identity(self) -> dict[str, Any]:
        if self._train.sync == "gradient":
            return {}
        names = ("inner_steps", "outer_lr", "outer_momentum", "delta_dtype")
        return {f"--{n.replace('_', '-')}": getattr(self._train, n) for n in names}

    def continue_from(self, found: Checkpoint) -> None:
        self._trainable.module.load_state_dict(found.weights)
        self._optimizer.load_state_dict(found.optimizer)
        if self._scheduler is not None:
            self._scheduler.load_state_dict(found.scheduler)

    def rounds(self, files: ModelFiles, done: int) -> str | None:
        # what a killed driver left: its tasks that still run see that they work for nobody
        storage.storage_for(self._base).delete(self._base)
        self._passes = Passes(
            self._base, self._checkpoints.uri, files, self._job.execution,
            self._training(), self._job.reducers, self._folder, self._watcher,
        )  # fmt: skip
        for number in range(done + 1, self._train.rounds + 1):
            line = self._round(number)
            begun = time.time()
            self._checkpoints.write_metrics(line)
            self._save(number)
            line["phases"]["checkpoint"] = round(time.time() - begun, 6)
            self._checkpoints.write_metrics(line)
            self.tell(line)
            if self._is_enough(number):
                return f"no better validation loss in {self._train.early_stop} rounds"
        return None

    def _training(self) -> Training:
        train = self._train
        local = LocalSteps(
            train.inner_steps, train.rounds, self._checkpoints.folder(INNER), self._inner_name(),
            train.lr, train.optimizer_args, train.lr_schedule, train.clip, self._least(),
            delta_dtype=train.delta_dtype,
        )  # fmt: skip
        return Training(
            "", 0, train.seed, train.batch_size, train.label, train.loss,
            local=local.to_dict() if train.sync == "local" else None,
        )  # fmt: skip

    def _least(self) -> int | None:
        """The shards with which a round goes on without the others; None where it needs all."""
        if self._train.min_shards is None:
            return None
        of = len(self._data.shards)
        least = math.ceil(parse_min_shards(self._train.min_shards) * of)
        return least if least < of else None

    def _inner_name(self) -> str | None:
        """The inner optimiser: as asked, the model's own (None), or AdamW, as DiLoCo has it."""
        if self._train.optimizer or self._trainable.optimizer() is not None:
            return self._train.optimizer
        return "adamw"

    def _make_optimizer(self) -> tuple[torch.optim.Optimizer, Any]:
        train = self._train
        if train.sync == "local":
            # for its errors: the tasks make their own
            optimizers.make_optimizer(
                self._trainable, self._inner_name(), train.lr, train.optimizer_args
            )
            outer = optimizers.outer_optimizer(
                self._trainable, train.outer_lr, train.outer_momentum
            )
            return outer, None
        optimizer, scheduler = optimizers.make_optimizer(
            self._trainable, train.optimizer, train.lr, train.optimizer_args
        )
        own = optimizers.make_schedule(train.lr_schedule, optimizer, train.rounds)
        return optimizer, own or scheduler

    def _round(self, number: int) -> dict[str, Any]:
        """One step of the optimiser, which may look at the gradient more than once."""
        begun, phases = time.time(), Phases()
        looks: list[dict[str, Any]] = []
        lr = self._optimizer.param_groups[0]["lr"]
        self._optimizer.step(lambda: self._look(number, looks, phases))
        if self._scheduler is not None:
            self._scheduler.step()
        seconds = time.time() - begun
        rows = sum(look["rows"] for look in looks)
        line = {
            "round": number,
            "loss": looks[0]["loss"],
            "rows": looks[0]["rows"],
            "bad": looks[0]["bad"],
            "passes": len(looks),
            "lr": float(lr),
            "gradient_norm": looks[0]["norm"],
            "bytes": sum(look["bytes"] for look in looks),
            "seconds": round(seconds, 3),
            "rows_per_second": round(rows / max(seconds, 1e-9), 1),
        }
        if self._train.min_shards is not None:
            line["late_shards"] = looks[0]["late"]
        line |= phases.line(seconds)
        begun = time.time()
        if self._validation is not None:
            line |= self._validate(number)
            line["phases"]["validation"] = round(time.time() - begun, 6)
        return line

    def _look(self, number: int, looks: list[dict[str, Any]], phases: Phases) -> torch.Tensor:
        """The loss at the module's weights; its gradient is the module's then."""
        tally, sums = self._passes.run(
            self._data, self._trainable, number, phases, late=self._progress.get("late", ())
        )
        self._progress = {**self._progress, "late": list(tally.late)}
        self._check_bad(tally)
        set_gradients(self._trainable.module, sums, tally.rows)
        most = self._train.clip if self._train.sync == "gradient" else None
        norm = optimizers.clip(self._trainable.module.parameters(), most)
        if not math.isfinite(norm):
            raise JobError(
                f"the gradient of round {number} is not finite; {self._checkpoints.left()}: lower "
                f"the learning rate, or clip gradients (--clip)"
            )
        loss = tally.loss / tally.rows
        looks.append(
            {"loss": loss, "rows": tally.rows, "bad": tally.bad, "norm": norm, "bytes": tally.bytes,
             "late": self._late(number, tally)}
        )  # fmt: skip
        return torch.tensor(loss, dtype=torch.float64)

    def _late(self, number: int, tally: Tally) -> list[str]:
        """The names of the shards that the round went on without, which is told."""
        late = [name_of(shard) for shard in self._data.shards if shard.key in tally.late]
        if late:
            more = f" and {len(late) - _SHOWN} more" if len(late) > _SHOWN else ""
            self._watcher.say(
                f"round {number} goes on without {len(late)} of {tally.shards} shards: "
                f"{', '.join(late[:_SHOWN])}{more}"
            )
        return late

    def _check_bad(self, tally: Tally) -> None:
        rows = {"in": tally.rows + tally.bad, "bad": tally.bad}
        if not ledger.allows(self._job.output.max_bad, rows):
            raise TooManyBadRowsError(self._checkpoints.bad(tally.bad, rows["in"]))

    def _validate(self, number: int) -> dict[str, Any]:
        tally, _ = self._passes.run(
            self._validation, self._trainable, number, Phases(), with_gradient=False
        )
        loss = tally.loss / tally.rows
        if self._progress["best"] is None or loss < self._progress["best"]:
            self._progress = {**self._progress, "best": loss, "best_round": number}
        return {"validation_loss": loss}

    def _is_enough(self, number: int) -> bool:
        patience, best = self._train.early_stop, self._progress["best_round"]
        return patience is not None and best is not None and number - best >= patience

    def _save(self, number: int) -> None:
        self._checkpoints.save(
            Checkpoint(
                number,
                self._trainable.module.state_dict(),
                self._optimizer.state_dict(),
                None if self._scheduler is None else self._scheduler.state_dict(),
                self._identity,
                self._progress,
            )
        )
        self._checkpoints.keep_inner(number)
        if self._train.keep_last:
            self._checkpoints.keep_last(self._train.keep_last)
