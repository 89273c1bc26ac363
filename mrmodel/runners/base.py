"""What the driver asks of a place where tasks can run: four methods, and nothing of mrjob's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from mrmodel.errors import UsageError
from mrmodel.shards.plan import Plan
from mrmodel.shards.shard import Shard
from mrmodel.specs import ExecutionSpec
from mrmodel.tasks.spec import TaskSpec
from mrmodel.tasks.staging import Staging

# what weights take at most: as read, as parameters, laid out for the CPU, and what a forward pass
# makes of them
WEIGHTS_FACTOR = 3.5

_LAUNCHERS = {
    "inline": "mrmodel.runners.inline:InlineLauncher",
    "local": "mrmodel.runners.local:LocalLauncher",
    "hadoop": "mrmodel.runners.hadoop:HadoopLauncher",
}


@dataclass(frozen=True)
class Launch:
    """A job ready to run. `folder` is a local temporary folder; `code` the zip of the user's
    code; `weights` the local path or URI of the weights of each model; `finished` the keys of the
    shards that need not run; `kind` is the command; `reducers` the number of reduce tasks, 0 where
    there is nothing to reduce; `patience`, where all tasks must run at once, a task per shard, the
    seconds that this may take to come about. `round_weights` is the URI of the weights of this job
    alone, which the training in `spec` names, too. `marks` takes in when the launcher had done
    what, on time.time()'s clock; `say` tells the user a sentence."""

    job_class: type
    spec: TaskSpec
    plan: Plan
    shards: tuple[Shard, ...]
    finished: frozenset[str]
    execution: ExecutionSpec
    folder: Path
    staging: Staging
    code: bytes | None = None
    weights: tuple[str | None, ...] = ()
    weights_bytes: int = 0
    kind: str = "predict"
    reducers: int = 0
    patience: float | None = None
    round_weights: str | None = None
    marks: dict[str, float] = field(default_factory=dict)
    say: Callable[[str], None] = lambda sentence: None

    @property
    def remaining(self) -> list[Shard]:
        return [shard for shard in self.shards if shard.key not in self.finished]


@dataclass(frozen=True)
class Snapshot:
    """How far a job is. `done` and `running` count shards; `rows` and `bad` are what the tasks
    have said so far (a retried task's rows may be in it twice)."""

    done: int = 0
    running: int = 0
    rows: int = 0
    bad: int = 0
    applications: tuple[str, ...] = field(default=())


class Launcher(Protocol):
    """One kind of runner."""

    def check(self, uris: list[str]) -> None:
        """Raise ServiceError or UsageError unless a job that reads and writes `uris` can run."""
        ...

    def shards(
        self,
        plan: Plan,
        shard_size: int,
        execution: ExecutionSpec,
        earlier: tuple[Shard, ...] = (),
    ) -> tuple[Shard, ...]:
        """How this runner cuts the input; `earlier` are the shards of a run that is resumed, which
        it keeps where it can."""
        ...

    def room(self, execution: ExecutionSpec, weights_bytes: int) -> int:
        """How many tasks for a model with weights of that size can run at once."""
        ...

    def check_together(self, tasks: int, execution: ExecutionSpec, weights_bytes: int) -> None:
        """Raise UsageError where so many tasks could never run at once."""
        ...

    def run(self, launch: Launch) -> None:
        """Run all remaining shards. Raises JobError (or KeyboardInterrupt, cleaned up)."""
        ...

    def snapshot(self) -> Snapshot:
        """How far `run` is; called from another thread. May ask the cluster."""
        ...

    def page(self) -> str | None:
        """The address of a page to look at the job, as far as it is known; asks nobody."""
        ...


def launcher_for(name: str) -> Any:
    """The launcher of the runner called `name`. Raises UsageError for one that is not known."""
    if name not in _LAUNCHERS:
        raise UsageError(
            f"-r {name}: expected one of {', '.join(_LAUNCHERS)}"
            + (" (emr comes in a later release)" if name == "emr" else "")
        )
    module, _, attribute = _LAUNCHERS[name].partition(":")
    return getattr(import_module(module), attribute)()
