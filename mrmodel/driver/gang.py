"""Training as one job whose tasks train together: ``--sync allreduce``."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from mrmodel import storage
from mrmodel.driver.dead_letters import keep_letters
from mrmodel.driver.model_files import ModelFiles, task_model
from mrmodel.driver.passes import DataSet
from mrmodel.driver.predict import last_words
from mrmodel.driver.train_steps import TrainSteps
from mrmodel.errors import JobError, MrmodelError, UsageError
from mrmodel.jobs.mr_gang import MRGang
from mrmodel.runners.base import Launch
from mrmodel.runners.local import LocalLauncher
from mrmodel.shards.balance import balanced
from mrmodel.shards.shard import Shard
from mrmodel.tasks.rendezvous import Rendezvous
from mrmodel.tasks.spec import Gang as GangSpec
from mrmodel.tasks.spec import TaskData, TaskSpec, Training, encode_schema
from mrmodel.tasks.staging import GANG, Staging
from mrmodel.training import optimizers
from mrmodel.training.checkpoints import Checkpoint
from mrmodel.units import parse_shard_size

_LOOK_EVERY = 2.0
# of what the weights take: gradients, an optimiser like Adam's, buckets, and a checkpoint's copies
_WEIGHTS_FACTOR = 3


class Gang(TrainSteps):
    """``--sync allreduce``: the tasks take all steps and write the checkpoints; the driver starts
    them, and tells what it reads of them."""

    loads_weights = False
    configure = staticmethod(lambda module: None)  # it may need the gang

    def begin(self, files: ModelFiles) -> None:
        """Deal the rows out to the workers."""
        train, execution = self._train, self._job.execution
        if (train.optimizer or "").lower() == "lbfgs":
            raise UsageError("--optimizer lbfgs looks at all rows in a step: use --sync gradient")
        if train.optimizer and any(True for _ in self._trainable.module.parameters()):
            # for its errors: the workers make their own
            optimizers.make_optimizer(
                self._trainable, train.optimizer, train.lr, train.optimizer_args
            )
        # the order of the workers counts, too: each shuffles its rows by its rank
        earlier = self._checkpoints.read_shards() if self._job.output.resume else ()
        size = execution.workers or len(earlier) or self._usual_size(files)
        if execution.runner == "inline" and size > 1:
            raise UsageError(
                f"--workers {size}: -r inline runs one worker, in this process: use -r local"
            )
        self._execution = replace(execution, workers=size)
        shards = earlier if len(earlier) == size else self._deal(self._data, size)
        self._data = replace(self._data, shards=shards)
        if len(self._data.shards) < size:
            raise UsageError(
                f"--workers {size}: the input can be cut into {len(self._data.shards)} shards: "
                f"expected at most as many workers (a smaller --shard-size may make more)"
            )
        nbytes = _WEIGHTS_FACTOR * files.weights_bytes
        self._data.launcher.check_together(size, self._execution, nbytes)
        self._watcher.say(f"{size} workers train together" if size > 1 else "one worker trains")

    def _usual_size(self, files: ModelFiles) -> int:
        """As many workers as there is room and work for."""
        execution = self._job.execution
        room = self._data.launcher.room(execution, _WEIGHTS_FACTOR * files.weights_bytes)
        return max(1, min(room, len(self._deal(self._data, room))))

    def _deal(self, data: DataSet, size: int) -> tuple[Shard, ...]:
        """`data` as one shard for each of at most `size` workers, as even as can be."""
        most = parse_shard_size(self._job.execution.shard_size)
        execution = replace(self._job.execution, workers=size)
        cut = LocalLauncher().shards(data.plan, most, execution)
        return tuple(_together(group) for group in balanced(cut, size))

    def identity(self) -> dict[str, Any]:
        return {"--workers": len(self._data.shards)}

    def continue_from(self, found: Checkpoint) -> None:
        """The tasks do."""

    def rounds(self, files: ModelFiles, done: int) -> str | None:
        token = secrets.token_hex(8)
        identity = {"gang": f"{storage.basename(self._checkpoints.uri)} {token}"}
        staging = Staging(storage.join(self._base, "gang"), identity)
        # the members of an earlier run whose driver was killed see that it is not theirs any more
        staging.delete()
        staging.write_identity(identity)
        launch = self._launch(files, staging, identity)
        if done >= self._train.rounds:
            return None
        data, epochs = self._data, self._train.rounds - done
        try:
            with (
                self._follow(done, staging),
                self._watcher.watch(data.launcher, data.plan, len(data.shards), epochs),
            ):
                data.launcher.run(launch)
        except MrmodelError as error:
            told = last_words(staging, error)
            keep_letters(staging, data.plan.sources, self._checkpoints.uri)
            raise told from error
        keep_letters(staging, data.plan.sources, self._checkpoints.uri)
        return self._why_early()

    def _why_early(self) -> str | None:
        last = self._history[-1]["round"] if self._history else 0
        if last == self._train.rounds:
            return None
        if self._train.early_stop is None:
            raise JobError(f"training ended after round {last} of {self._train.rounds}")
        return f"no better validation loss in {self._train.early_stop} rounds"

    def _launch(self, files: ModelFiles, staging: Staging, identity: dict[str, str]) -> Launch:
        data, plan = self._data, self._data.plan
        read = TaskData(
            plan.format, encode_schema(plan.schema), plan.inputs, plan.keep, data.image_size
        )
        spec = TaskSpec(
            job=storage.basename(self._checkpoints.uri),
            model=task_model(files).to_dict(),
            data=read.to_dict(),
            staging=staging.uri,
            identity=identity,
            threads=self._execution.threads,
            batch_timeout=self._execution.batch_timeout,
            training=self._training().to_dict(),
        )
        return Launch(
            job_class=MRGang,
            spec=spec,
            plan=plan,
            shards=data.shards,
            finished=frozenset(),
            execution=self._execution,
            folder=self._folder,
            staging=staging,
            code=files.code,
            weights=(files.weights,),
            weights_bytes=_WEIGHTS_FACTOR * files.weights_bytes,
            kind="train",
            patience=self._train.gang_timeout,
        )

    def _training(self) -> Training:
        train = self._train
        gang = GangSpec(
            ranks={shard.key: rank for rank, shard in enumerate(self._data.shards)},
            checkpoints=self._checkpoints.uri,
            rounds=train.rounds,
            identity=self._identity,
            rows=self._data.plan.rows,
            validation=self._validation_shares(),
            validation_rows=self._validation.plan.rows if self._validation else None,
            max_bad=self._job.output.max_bad,
            optimizer=train.optimizer,
            lr=train.lr,
            optimizer_args=train.optimizer_args,
            lr_schedule=train.lr_schedule,
            clip=train.clip,
            early_stop=train.early_stop,
            keep_last=train.keep_last,
            timeout=train.gang_timeout,
        )
        return Training(
            "", 0, train.seed, train.batch_size, train.label, train.loss, gang=gang.to_dict()
        )

    def _validation_shares(self) -> tuple[dict[str, Any] | None, ...]:
        if self._validation is None:
            return ()
        size = len(self._data.shards)
        dealt = [shard.to_dict() for shard in self._deal(self._validation, size)]
        return tuple(dealt + [None] * (size - len(dealt)))

    @contextmanager
    def _follow(self, done: int, staging: Staging) -> Iterator[None]:
        """Tell, while it goes on, what the workers write down."""
        stop = threading.Event()
        follower = _Follower(self, Rendezvous(staging.folder(GANG), -1, "driver"), done)
        thread = threading.Thread(target=follower.run, args=(stop,), name="follower", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            follower.look()

    def lines_after(self, number: int) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl of the rounds after `number`."""
        return [line for line in self._checkpoints.read_metrics() if line["round"] > number]

    def tell(self, line: dict[str, Any]) -> None:
        loss, best = line.get("validation_loss"), self._progress["best"]
        if loss is not None and (best is None or loss < best):
            self._progress = {"best": loss, "best_round": line["round"]}
        super().tell(line)

    def tell_broken(self, why: str) -> None:
        """A generation of the gang is over."""
        self._watcher.say(f"{why}: the workers begin again; {self._checkpoints.left()}")


class _Follower:
    """Looks for new rounds, and for generations that ended."""

    def __init__(self, gang: Gang, meeting: Rendezvous, done: int):
        self._gang, self._meeting = gang, meeting
        self._last, self._generation = done, 1

    def run(self, stop: threading.Event) -> None:
        while not stop.wait(_LOOK_EVERY):
            try:
                self.look()
            except (OSError, ValueError, MrmodelError):
                continue  # looking may fail where training does not

    def look(self) -> None:
        for line in self._gang.lines_after(self._last):
            self._gang.tell(line)
            self._last = line["round"]
        why = self._meeting.ended(self._generation)
        if why is not None:
            self._gang.tell_broken(why)
            self._generation += 1


def _together(shards: list[Shard]) -> Shard:
    """`shards` as one."""
    pieces = tuple(piece for shard in shards for piece in shard.pieces)
    counts = [shard.rows for shard in shards]
    return Shard(pieces, None if None in counts else sum(counts))
