"""A pass over the rows as one MapReduce job: the summed gradient, or the loss alone."""

from __future__ import annotations

import itertools
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import safetensors.torch

from mrmodel import storage
from mrmodel.driver.dead_letters import keep_letters
from mrmodel.driver.model_files import ModelFiles
from mrmodel.driver.phases import Phases
from mrmodel.driver.predict import Watcher, last_words
from mrmodel.errors import JobError, LedgerError, MrmodelError
from mrmodel.jobs.mr_train import MRGradient
from mrmodel.runners.base import Launch, Launcher, launcher_for
from mrmodel.shards.plan import Plan
from mrmodel.shards.planning import plan_data
from mrmodel.shards.shard import Shard
from mrmodel.specs import DataSpec, ExecutionSpec
from mrmodel.tasks.reduce import read_reduced
from mrmodel.tasks.spec import TaskData, TaskModel, TaskSpec, Training, encode_schema
from mrmodel.tasks.staging import Staging
from mrmodel.training.buckets import TALLY, Tally
from mrmodel.training.gradients import bucket_count
from mrmodel.training.module import Trainable
from mrmodel.units import parse_shard_size


@dataclass(frozen=True)
class DataSet:
    """Rows, how they are cut, and the launcher that cut them; `image_size` as in `DataSpec`."""

    plan: Plan
    shards: tuple[Shard, ...]
    launcher: Launcher
    image_size: tuple[int, int] | None = None


def open_data(
    data: DataSpec,
    inputs: Sequence[str] | None,
    label: str | None,
    execution: ExecutionSpec,
    output: str,
    earlier: tuple[Shard, ...] = (),
) -> DataSet:
    """Look at `data`, of which `inputs` and `label` are read (None: all). `earlier` is how a run
    that is resumed has cut it. Raises InputError, UsageError, ServiceError."""
    launcher = launcher_for(execution.runner)
    launcher.check([*data.uris, output])
    size = parse_shard_size(execution.shard_size)
    data = replace(data, inputs=None if inputs is None else tuple(inputs), keep=())
    plan = plan_data(data, None, size, (label,) if label else ())
    shards = launcher.shards(plan, size, execution, earlier)
    return DataSet(plan, shards, launcher, data.image_size)


class Passes:
    """Runs passes, one after the other, each with a staging folder of its own below `base`. The
    bad rows that they meet are written to the folder `checkpoints`: by the first, which meets all,
    or by each, where none may."""

    def __init__(
        self,
        base: str,
        checkpoints: str,
        files: ModelFiles,
        execution: ExecutionSpec,
        training: Training,
        reducers: int,
        folder: Path,
        watcher: Watcher,
    ):
        self._base, self._checkpoints, self._files = base, checkpoints, files
        self._name = storage.basename(checkpoints)
        self._execution, self._training, self._reducers = execution, training, reducers
        self._folder, self._watcher = folder, watcher
        self._numbers = itertools.count()
        self._knows_bad = False
        # tasks of a driver that was killed may still write: not where this one reads
        self._token = secrets.token_hex(4)

    def run(
        self,
        data: DataSet,
        trainable: Trainable,
        number: int,
        phases: Phases,
        with_gradient: bool = True,
        late: Sequence[str] = (),
    ) -> tuple[Tally, dict[bytes, bytes]]:
        """(what was read, the summed buckets) of round `number`, at the weights of `trainable`;
        what it took goes to `phases`. The round before went on without the shards `late`: this one
        does not.

        Raises JobError, with the words of the task that failed.
        """
        begun = time.time()
        place = f"pass-{self._token}-{next(self._numbers):06d}"
        identity = {"pass": f"{self._name} {place}"}
        staging = Staging(storage.join(self._base, place))
        staging.delete()
        staging.write_identity(identity)
        weights = staging.folder("weights.safetensors")
        state = {
            n: v.detach().contiguous().clone() for n, v in trainable.module.state_dict().items()
        }
        saved = safetensors.torch.save(state)
        storage.write_bytes(weights, saved)
        local = self._training.local
        training = replace(
            self._training,
            weights=weights,
            round=number,
            with_gradient=with_gradient,
            local={**local, "required": list(late)} if local and with_gradient else None,
            letters=with_gradient and not self._knows_bad,
        )
        try:
            launch = self._launch(data, staging, identity, training, place)
            with self._watcher.watch(data.launcher, data.plan, len(data.shards)):
                data.launcher.run(
                    replace(launch, weights_bytes=2 * len(saved), round_weights=weights)
                )
            if training.letters:
                keep_letters(staging, data.plan.sources, self._checkpoints)
                self._knows_bad = training.local is None
            buckets = bucket_count(trainable.module) * with_gradient
            tally, sums = _read(staging, data, buckets, training.local)
            phases.add_pass(begun, staging.seconds(), time.time())
            return tally, sums
        except MrmodelError as error:
            raise last_words(staging, error) from error
        finally:
            staging.delete()

    def _launch(
        self,
        data: DataSet,
        staging: Staging,
        identity: dict[str, str],
        training: Training,
        place: str,
    ) -> Launch:
        folder = self._folder / place
        folder.mkdir()
        model = TaskModel(self._files.spec.to_dict(), self._files.sha256)
        plan = data.plan
        required = (training.local or {}).get("required", ())
        schema = encode_schema(plan.schema)
        read = TaskData(plan.format, schema, plan.inputs, plan.keep, data.image_size)
        spec = TaskSpec(
            job=self._name,
            model=model.to_dict(),
            data=read.to_dict(),
            staging=staging.uri,
            identity=identity,
            threads=self._execution.threads,
            batch_timeout=self._execution.batch_timeout,
            training=training.to_dict(),
        )
        return Launch(
            job_class=MRGradient,
            spec=spec,
            plan=plan,
            # where a worker has several shards, those that the round has to wait for come first
            shards=tuple(sorted(data.shards, key=lambda shard: shard.key not in required)),
            finished=frozenset(),
            execution=self._execution,
            folder=folder,
            staging=staging,
            code=self._files.code,
            kind="train",
            reducers=self._reducers,
            say=self._watcher.say,
        )


def _read(
    staging: Staging, data: DataSet, buckets: int, local: dict[str, Any] | None
) -> tuple[Tally, dict[bytes, bytes]]:
    """What the reducers wrote, its books checked: every shard once, and every row, or, where steps
    were taken as `local` says, no more late shards than it allows."""
    found: dict[bytes, Any] = read_reduced(staging)
    tally = Tally.from_bytes(found.pop(TALLY)) if TALLY in found else Tally()
    if not tally.rows:
        raise JobError("there are no rows to train on: expected some with a value in every column")
    _check_late(tally, data, local or {})
    planned = data.plan.rows if local is None else None
    shards_match = tally.shards == len(data.shards) and len(found) == buckets
    if not shards_match or planned not in (None, tally.rows + tally.bad):
        raise LedgerError(
            f"the books of a pass do not balance: {planned} rows at planning, {tally.rows} good "
            f"and {tally.bad} bad ones read, {tally.shards} of {len(data.shards)} shards, "
            f"{len(found)} of {buckets} buckets: did the input change? run again with --resume"
        )
    return tally, found


def _check_late(tally: Tally, data: DataSet, local: dict[str, Any]) -> None:
    """Raise LedgerError where more shards are late than may be, or others than may be."""
    most = len(data.shards) - (local.get("least") or len(data.shards))
    late = set(tally.late)
    free = {shard.key for shard in data.shards} - set(local.get("required", ()))
    if len(late) > most or len(late) < len(tally.late) or not late <= free:
        raise LedgerError(
            f"the books of a pass do not balance: expected at most {most} of {len(data.shards)} "
            f"shards to be late, each once and not twice in a row, but received "
            f"{', '.join(tally.late)}: run again with --resume"
        )
