"""What every kind of training has in common: look, load, go on from a checkpoint, tell."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from mrmodel import storage
from mrmodel.driver.events import FOLDER, EventFiles
from mrmodel.driver.model_files import ModelFiles, find_model
from mrmodel.driver.passes import DataSet, open_data
from mrmodel.driver.predict import Watcher
from mrmodel.errors import InterruptedJobError, UsageError
from mrmodel.models.loading import build_late
from mrmodel.models.weights import read_state_dict
from mrmodel.specs import DataSpec, ExecutionSpec, ModelSpec, OutputSpec, TrainSpec
from mrmodel.tasks.code import import_paths
from mrmodel.training import compression
from mrmodel.training.checkpoints import Checkpoint, Checkpoints
from mrmodel.training.module import Trainable, load_trainable
from mrmodel.units import duration, format_size, parse_budget, parse_min_shards


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
    says why it ended before the last round, if it did; `bad` counts the rows that the last round
    could not take, which are in ``_bad``."""

    output: str
    runner: str
    rounds: int
    loss: float | None
    validation_loss: float | None
    best_round: int | None
    seconds: float
    stopped: str | None = None
    bad: int = 0
    history: list[dict[str, Any]] = field(default_factory=list, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


class TrainSteps:
    """The steps of one job, in the order of their calls. Those that raise NotImplementedError are
    other for other kinds of training."""

    loads_weights = True
    configure = staticmethod(build_late)

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
        self.begin(files)
        self._identity = self._describe(files)
        self._checkpoints.prepare(self._job.output.overwrite, self._job.output.resume)
        done = self._resume()
        self._checkpoints.write_shards(self._data.shards)
        self._base = self._staging_folder()
        events = self._checkpoints.folder(FOLDER)
        self._events = EventFiles(events, self._folder / FOLDER, done)
        try:
            stopped = self.rounds(files, done)
        except KeyboardInterrupt as error:
            left = self._checkpoints.left()
            raise InterruptedJobError(f"interrupted; {left}") from error
        finally:
            self._events.close()
            storage.storage_for(self._base).delete(self._base)
            if self._checkpoints.bring_back():
                self._watcher.say(f"no round was complete: {self._checkpoints.uri} is as it was")
        return self._result(stopped)

    def begin(self, files: ModelFiles) -> None:
        """Make ready for a first round, and raise where that cannot be."""
        raise NotImplementedError

    def identity(self) -> dict[str, Any]:
        """What else a resumed job must have in common with this one."""
        raise NotImplementedError

    def continue_from(self, found: Checkpoint) -> None:
        """Go on where `found` was written."""
        raise NotImplementedError

    def rounds(self, files: ModelFiles, done: int) -> str | None:
        """Train until the last round; why it ended before, if it did. `done` rounds are done."""
        raise NotImplementedError

    def tell(self, line: dict[str, Any]) -> None:
        """A round is done, of which `line` is what metrics.jsonl says."""
        self._events.write(line)
        self._history.append(line)
        self._watcher.say(_told(line, self._train.rounds, self._history))

    def _check_options(self) -> None:
        train = self._train
        parse_budget(self._job.output.max_bad)
        if train.early_stop is not None and not train.validation:
            raise UsageError("--early-stop needs --validation URI: the rows to judge by")
        if train.min_shards is not None:
            self._need_local("--min-shards", "needs every shard")
            parse_min_shards(train.min_shards)
        if train.delta_dtype is not None:
            self._need_local("--delta-dtype", "has no deltas")
            if train.delta_dtype not in compression.DTYPES:
                raise UsageError(
                    f"--delta-dtype: expected {' or '.join(compression.DTYPES)} but received "
                    f"{train.delta_dtype}"
                )

    def _need_local(self, option: str, why: str) -> None:
        sync = self._train.sync
        if sync != "local":
            raise UsageError(
                f"{option}: expected --sync local but received --sync {sync}, which {why}: leave "
                f"{option} out"
            )

    def _load(self, files: ModelFiles) -> Trainable:
        sys.path[:0] = import_paths(files.spec.py_files)
        torch.manual_seed(self._train.seed)
        inputs = self._job.data.inputs if self._job.data.inputs is not None else files.declared
        return load_trainable(
            files.spec.ref,
            model_args=files.spec.args,
            state=read_state_dict(files.weights) if files.weights and self.loads_weights else None,
            inputs=inputs,
            label=self._train.label,
            loss=self._train.loss,
            dtype=files.spec.dtype,
            source=str(files.weights),
            configure=self.configure,
        )

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

    def _describe(self, files: ModelFiles) -> dict[str, Any]:
        """What a resumed job must have in common with this one, by names that people know."""
        names = ("sync", "batch_size", "label", "loss", "optimizer", "lr", "optimizer_args",
                 "lr_schedule", "clip", "seed")  # fmt: skip
        if self._train.lr_schedule != "constant":  # it depends on when it ends
            names += ("rounds",)
        return {
            "model": Path(files.spec.ref).name,
            "model args": files.spec.args,
            "dtype": files.spec.dtype,
            "code": files.code_sha256,
            "input": [[s.uri, s.size, s.mtime] for s in self._data.plan.sources],
            **{f"--{name.replace('_', '-')}": getattr(self._train, name) for name in names},
            **self.identity(),
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
        self.continue_from(found)
        self._progress = found.progress
        self._watcher.say(f"resuming after round {found.round}")
        return found.round

    def _staging_folder(self) -> str:
        uri = self._checkpoints.uri
        return storage.join(storage.parent(uri), f".{storage.basename(uri)}.mrmodel")

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
            bad=last.get("bad", 0),
            history=self._history,
        )


def _told(line: dict[str, Any], rounds: int, history: list[dict[str, Any]]) -> str:
    left = rounds - line["round"]
    seconds = left * sum(one["seconds"] for one in history) / len(history)
    validation = f", validation {line['validation_loss']:.6g}" if "validation_loss" in line else ""
    passes = f", {line['passes']} passes" if line.get("passes", 1) > 1 else ""
    return (
        f"round {line['round']}/{rounds}: loss {line['loss']:.6g}{validation}, "
        f"{line['rows_per_second']:,.0f} rows/s, {format_size(line['bytes'])} added up, "
        f"{line['seconds']:.1f} s{passes}" + (f", {duration(seconds)} left" if left else "")
    )
