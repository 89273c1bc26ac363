"""Training from beginning to end: rounds, steps and checkpoints."""

from __future__ import annotations

import tempfile
from pathlib import Path

from mrmodel.driver.gang import Gang
from mrmodel.driver.predict import Watcher
from mrmodel.driver.rounds import Rounds
from mrmodel.driver.signals import terminate_is_interrupt
from mrmodel.driver.train_steps import TrainJob, TrainRun, TrainSteps
from mrmodel.errors import UsageError

_KINDS: dict[str, type[TrainSteps]] = {"gradient": Rounds, "local": Rounds, "allreduce": Gang}


def train(job: TrainJob, watcher: Watcher | None = None) -> TrainRun:
    """Run `job`. Raises MrmodelError; every round that was complete is in CHECKPOINTS then."""
    kind = _KINDS.get(job.train.sync)
    if kind is None:
        raise UsageError(f"--sync {job.train.sync}: expected one of {', '.join(_KINDS)}")
    with (
        terminate_is_interrupt(),
        tempfile.TemporaryDirectory(prefix="mrmodel-", ignore_cleanup_errors=True) as folder,
    ):
        return kind(job, watcher or Watcher(), Path(folder)).run()
