"""How long a job takes on a cluster that is not there yet: arithmetic on what its parts take.

Tasks run in waves, as many at once as there are slots; a last wave with few tasks in it takes as
long as a full one. Before the first wave the driver plans, after the last one it commits, and what
both do file by file or shard by shard no further node makes shorter.
"""

from __future__ import annotations

from dataclasses import dataclass

from mrmodel.errors import UsageError


@dataclass(frozen=True)
class Rates:
    """What things take, in seconds; measured, on a sample of the rows or by earlier jobs.

    Of the driver: `start` from the command until the first task begins (containers and all),
    `plan` more for each file, `end` from the last task until the command is over, `commit` more
    for each shard. Of a task, on one slot: `wave` until a task begins where another has ended,
    `load` until it has its model, then `row`, `file` and `shard` for each of these.
    """

    start: float
    row: float
    load: float = 0.0
    wave: float = 0.0
    file: float = 0.0
    shard: float = 0.0
    plan: float = 0.0
    end: float = 0.0
    commit: float = 0.0
    crowd: float = 0.0


@dataclass(frozen=True)
class Work:
    """What a job has to do: all its `rows` and `files`, in so many `shards`, by so many `tasks`
    of about the same size."""

    rows: int
    files: int
    shards: int
    tasks: int


@dataclass(frozen=True)
class Cluster:
    """`nodes` that run `tasks_per_node` at once, on so many `cores` each; None: on as many."""

    nodes: int
    tasks_per_node: int
    cores: int | None = None

    @property
    def slots(self) -> int:
        return self.nodes * self.tasks_per_node

    def crowding(self, tasks: int) -> float:
        """How many of `tasks` share a core at first; 1 where there are cores enough."""
        at_once = min(tasks, self.slots) / self.nodes
        return max(1.0, at_once / (self.cores or self.tasks_per_node))


@dataclass(frozen=True)
class Forecast:
    """`start`, `work` and `end` follow one another, in seconds: until the first task begins, until
    the last one has ended, until the command is over. `last_wave` counts the tasks in the last of
    `waves`, of which each has room for `slots`."""

    start: float
    work: float
    end: float
    waves: int
    last_wave: int
    slots: int

    @property
    def seconds(self) -> float:
        """From the command to its end."""
        return self.start + self.work + self.end

    @property
    def last_wave_used(self) -> float:
        """The share of the slots that has a task in the last wave, 0..1."""
        return self.last_wave / self.slots

    @property
    def used(self) -> float:
        """The share of the slots that has a task, over all waves, 0..1."""
        return 1 - (1 - self.last_wave_used) / self.waves if self.waves else 0.0


def forecast(rates: Rates, work: Work, cluster: Cluster) -> Forecast:
    """What `work` takes on `cluster`. A job without rows has no tasks, and no waves.

    Raises UsageError for a cluster without a slot, or rows without a task.
    """
    if cluster.slots < 1:
        raise UsageError(
            f"{cluster.nodes} nodes with {cluster.tasks_per_node} tasks each: expected at least "
            f"one node that runs at least one task"
        )
    if work.tasks < 1 and work.rows:
        raise UsageError(f"{work.rows:,} rows in {work.tasks} tasks: expected at least one task")
    waves = -(-work.tasks // cluster.slots)
    crowding = cluster.crowding(work.tasks)
    return Forecast(
        start=rates.start + work.files * rates.plan + (crowding - 1) * rates.crowd,
        work=_work(rates, work, waves, crowding),
        end=rates.end + work.shards * rates.commit,
        waves=waves,
        last_wave=work.tasks - max(0, waves - 1) * cluster.slots,
        slots=cluster.slots,
    )


def _work(rates: Rates, work: Work, waves: int, crowding: float) -> float:
    """Seconds from the beginning of the first task to the end of the last one."""
    if not waves:
        return 0.0
    whole = work.rows * rates.row + work.files * rates.file + work.shards * rates.shard
    return (waves - 1) * rates.wave + waves * (rates.load + crowding * whole / work.tasks)
