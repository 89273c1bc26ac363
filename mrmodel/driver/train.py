"""Training from beginning to end: rounds of passes, steps and checkpoints."""

from __future__ import annotations

import math
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from mrmodel import storage
from mrmodel.driver import ledger
from mrmodel.driver.checkpoints import INNER, Checkpoint, Checkpoints
from mrmodel.driver.events import FOLDER, EventFiles
from mrmodel.driver.model_files import ModelFiles, find_model
from mrmodel.driver.passes import DataSet, Passes, open_data
from mrmodel.driver.predict import Watcher
from mrmodel.driver.signals import terminate_is_interrupt
from mrmodel.errors import InterruptedJobError, JobError, UsageError
from mrmodel.models.weights import read_state_dict
from mrmodel.specs import DataSpec, ExecutionSpec, ModelSpec, OutputSpec, TrainSpec
from mrmodel.tasks.model import import_paths
from mrmodel.tasks.spec import LocalSteps, Training
from mrmodel.training import optimizers
from mrmodel.training.gradients import Tally, check_dtypes, set_gradients
from mrmodel.training.module import Trainable, load_trainable
from mrmodel.units import duration, format_size, parse_budget


@dataclass(frozen=True)
class TrainJob:
    """What is asked for."""

    model: ModelSpec
    data: DataSpec
    output: OutputSpec
    execution: ExecutionSpec
    train: TrainSpec
    reducers: int = 1


@dataclass(frozen=True)
class TrainRun:
    """What training did. `history` has the lines of metrics.jsonl that this run added; `stopped`
    says why it ended before the last round, if it did."""

    output: str
    runner: str
    rounds: int
    loss: float | None
    validation_loss: float | None
    best_round: int | None
    seconds: float
    stopped: str | None = None
    history: list[dict[str, Any]] = field(default_factory=list, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def train(job: TrainJob, watcher: Watcher | None = None) -> TrainRun:
    """Run `job`. Raises MrmodelError; every round that was complete is in CHECKPOINTS then."""
    with (
        terminate_is_interrupt(),
        tempfile.TemporaryDirectory(prefix="mrmodel-", ignore_cleanup_errors=True) as folder,
    ):
        return _Train(job, watcher or Watcher(), Path(folder)).run()


class _Train:
    """The steps of one job, in the order of their calls."""

    def __init__(self, job: TrainJob, watcher: Watcher, folder: Path):
        self._job, self._train, self._watcher = job, job.train, watcher
        self._folder = folder
        self._started = time.time()
        self._checkpoints = Checkpoints(job.output.uri)
        self._history: list[dict[str, Any]] = []
        self._progress: dict[str, Any] = {"best": None, "best_round": None}

    def run(self) -> TrainRun:
        self._check_options()
        files = find_model(self._job.model, self._job.data.inputs is None, self._folder)
        self._trainable = self._load(files)
        self._open_data()
        self._optimizer, self._scheduler = self._make_optimizer()
        self._identity = self._describe(files)
        self._checkpoints.prepare(self._job.output.overwrite, self._job.output.resume)
        done = self._resume()
        self._checkpoints.write_shards(self._data.shards)
        base = self._staging_folder()
        self._passes = Passes(
            base, storage.basename(self._checkpoints.uri), files, self._job.execution,
            self._training(), self._job.reducers, self._folder, self._watcher,
        )  # fmt: skip
        events = self._checkpoints.folder(FOLDER)
        self._events = EventFiles(events, self._folder / FOLDER, done)
        try:
            stopped = self._rounds(done)
        except KeyboardInterrupt as error:
            raise InterruptedJobError(f"interrupted; {self._left()}") from error
        finally:
            self._events.close()
            storage.storage_for(base).delete(base)
        return self._result(stopped)

    def _check_options(self) -> None:
        train = self._train
        parse_budget(self._job.output.max_bad)
        if train.sync not in ("gradient", "local"):
            raise UsageError(
                f"--sync {train.sync}: expected gradient or local (allreduce comes in a later "
                f"release)"
            )
        if self._job.model.device not in ("auto", "cpu"):
            raise UsageError(
                f"--device {self._job.model.device}: training runs on the CPU so far (--device cpu)"
            )
        if train.early_stop is not None and not train.validation:
            raise UsageError("--early-stop needs --validation URI: the rows to judge by")

    def _training(self) -> Training:
        train = self._train
        local = LocalSteps(
            train.inner_steps, train.rounds, self._checkpoints.folder(INNER), self._inner_name(),
            train.lr, train.optimizer_args, train.lr_schedule, train.clip,
        )  # fmt: skip
        return Training(
            "", 0, train.seed, train.batch_size, train.label, train.loss,
            local=local.to_dict() if train.sync == "local" else None,
        )  # fmt: skip

    def _inner_name(self) -> str | None:
        """The inner optimiser: as asked, the model's own (None), or AdamW, as DiLoCo has it."""
        if self._train.optimizer or self._trainable.optimizer() is not None:
            return self._train.optimizer
        return "adamw"

    def _load(self, files: ModelFiles) -> Trainable:
        sys.path[:0] = import_paths(files.spec.py_files)
        torch.manual_seed(self._train.seed)
        inputs = self._job.data.inputs if self._job.data.inputs is not None else files.declared
        found = load_trainable(
            files.spec.ref,
            model_args=files.spec.args,
            state=read_state_dict(files.weights) if files.weights else None,
            inputs=inputs,
            label=self._train.label,
            loss=self._train.loss,
            dtype=files.spec.dtype,
            source=str(files.weights),
        )
        check_dtypes(found.module)
        return found

    def _open_data(self) -> None:
        resumed = self._job.output.resume
        earlier = self._checkpoints.read_shards() if resumed else ()
        self._data = self._data_set(self._job.data.uris, earlier)
        self._validation: DataSet | None = None
        if self._train.validation:
            self._validation = self._data_set(self._train.validation, ())

    def _data_set(self, uris: tuple[str, ...], earlier: Any) -> DataSet:
        inputs = self._trainable.inputs
        data = replace(self._job.data, uris=uris)
        uri = self._checkpoints.uri
        return open_data(data, inputs, self._train.label, self._job.execution, uri, earlier)

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

    def _describe(self, files: ModelFiles) -> dict[str, Any]:
        """What a resumed job must have in common with this one, by names that people know."""
        names = ("sync", "batch_size", "label", "loss", "optimizer", "lr", "optimizer_args",
                 "lr_schedule", "clip", "seed")  # fmt: skip
        if self._train.sync == "local":
            names += ("inner_steps", "outer_lr", "outer_momentum")
        if self._train.lr_schedule != "constant":  # it depends on when it ends
            names += ("rounds",)
        return {
            "model": Path(files.spec.ref).name,
            "model args": files.spec.args,
            "dtype": files.spec.dtype,
            "code": files.code_sha256,
            "input": [[s.uri, s.size, s.mtime] for s in self._data.plan.sources],
            **{f"--{name.replace('_', '-')}": getattr(self._train, name) for name in names},
        }

    def _resume(self) -> int:
        """Go on from the latest checkpoint, where that is asked for; the rounds that are done."""
        if not self._job.output.resume:
            return 0
        found, problems = self._checkpoints.load_latest()
        for problem in problems:
            self._watcher.say(problem)
        if found is None:
            self._watcher.say("there is no checkpoint to resume from: beginning anew")
            return 0
        other = [n for n, v in self._identity.items() if found.identity.get(n) != v]
        if other:
            raise UsageError(
                f"--resume: {', '.join(other)} differ from what {self._checkpoints.uri} was "
                f"trained with: use the same, or --overwrite to begin anew"
            )
        self._trainable.module.load_state_dict(found.weights)
        self._optimizer.load_state_dict(found.optimizer)
        if self._scheduler is not None:
            self._scheduler.load_state_dict(found.scheduler)
        self._progress = found.progress
        self._watcher.say(f"resuming after round {found.round}")
        return found.round

    def _staging_folder(self) -> str:
        uri = self._checkpoints.uri
        return storage.join(storage.parent(uri), f".{storage.basename(uri)}.mrmodel")

    def _rounds(self, done: int) -> str | None:
        """Train until the last round; why it ended before, if it did."""
        for number in range(done + 1, self._train.rounds + 1):
            line = self._round(number)
            self._save(number)
            self._checkpoints.write_metrics(line)
            self._events.write(line)
            self._history.append(line)
            self._watcher.say(_told(line, self._train.rounds, self._history))
            if self._is_enough(number):
                return f"no better validation loss in {self._train.early_stop} rounds"
        return None

    def _round(self, number: int) -> dict[str, Any]:
        """One step of the optimiser, which may look at the gradient more than once."""
        begun = time.time()
        looks: list[dict[str, Any]] = []
        lr = self._optimizer.param_groups[0]["lr"]
        self._optimizer.step(lambda: self._look(number, looks))
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
        return {**line, **self._validate(number)}

    def _look(self, number: int, looks: list[dict[str, Any]]) -> torch.Tensor:
        """The loss at the module's weights; its gradient is the module's then."""
        tally, sums = self._passes.run(self._data, self._trainable, number)
        self._check_bad(tally)
        set_gradients(self._trainable.module, sums, tally.rows)
        most = self._train.clip if self._train.sync == "gradient" else None
        norm = optimizers.clip(self._trainable.module.parameters(), most)
        if not math.isfinite(norm):
            raise JobError(
                f"the gradient of round {number} is not finite; {self._left()}: lower the "
                f"learning rate, or clip gradients (--clip)"
            )
        loss = tally.loss / tally.rows
        nbytes = sum(map(len, sums.values())) * len(self._data.shards)
        looks.append(
            {"loss": loss, "rows": tally.rows, "bad": tally.bad, "norm": norm, "bytes": nbytes}
        )
        return torch.tensor(loss, dtype=torch.float64)

    def _check_bad(self, tally: Tally) -> None:
        rows = {"in": tally.rows + tally.bad, "bad": tally.bad}
        if not ledger.allows(self._job.output.max_bad, rows):
            raise JobError(
                f"{tally.bad} of {rows['in']} rows cannot be read or lack a value: mend them, or "
                f"allow so many with --max-bad"
            )

    def _validate(self, number: int) -> dict[str, Any]:
        if self._validation is None:
            return {}
        tally, _ = self._passes.run(self._validation, self._trainable, number, with_gradient=False)
        loss = tally.loss / tally.rows
        if self._progress["best"] is None or loss < self._progress["best"]:
            self._progress = {"best": loss, "best_round": number}
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

    def _left(self) -> str:
        rounds = self._checkpoints.rounds()
        if not rounds:
            return "no round was complete"
        return f"rounds up to {rounds[-1]} are in {self._checkpoints.uri}: go on with --resume"

    def _result(self, stopped: str | None) -> TrainRun:
        last = self._history[-1] if self._history else {}
        return TrainRun(
            output=self._checkpoints.uri,
            runner=self._job.execution.runner,
            rounds=self._checkpoints.rounds()[-1],
            loss=last.get("loss"),
            validation_loss=last.get("validation_loss"),
            best_round=self._progress["best_round"],
            seconds=round(time.time() - self._started, 3),
            stopped=stopped,
            history=self._history,
        )


def _told(line: dict[str, Any], rounds: int, history: list[dict[str, Any]]) -> str:
    left = rounds - line["round"]
    seconds = left * sum(one["seconds"] for one in history) / len(history)
    validation = f", validation {line['validation_loss']:.6g}" if "validation_loss" in line else ""
    passes = f", {line['passes']} passes" if line["passes"] > 1 else ""
    return (
        f"round {line['round']}/{rounds}: loss {line['loss']:.6g}{validation}, "
        f"{line['rows_per_second']:,.0f} rows/s, {format_size(line['bytes'])} added up, "
        f"{line['seconds']:.1f} s{passes}" + (f", {duration(seconds)} left" if left else "")
    )
