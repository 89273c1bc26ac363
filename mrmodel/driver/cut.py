"""How the input of a job is cut: as asked for, as an earlier run did, or, on a cluster, by the
containers that it has and the rate at which the model went before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mrmodel.driver.earlier import earlier_size
from mrmodel.driver.ledger import Record
from mrmodel.driver.model_files import ModelFiles
from mrmodel.driver.rates import rate_key, remember_rate, remembered_rate
from mrmodel.driver.target import Target
from mrmodel.runners.base import Launcher
from mrmodel.shards.hadoop import usual_block_size
from mrmodel.shards.plan import Plan
from mrmodel.shards.shard import Shard
from mrmodel.shards.waves import Cut, best_cut
from mrmodel.specs import ExecutionSpec
from mrmodel.units import AUTO


class Cutter:
    """Cuts the input of one job. `told` is for run.json: ``shard_size`` and, where that was
    chosen, what `Cut` says of it."""

    def __init__(self, launcher: Launcher, execution: ExecutionSpec, say: Callable[[str], None]):
        self._launcher, self._execution, self._say = launcher, execution, say
        self._is_cluster = execution.runner == "hadoop"
        self._key = ""
        self.told: dict[str, Any] = {}

    def shards(
        self,
        target: Target,
        files: ModelFiles,
        plan: Plan,
        identity: dict[str, str],
        shard_size: int,
        earlier: tuple[Shard, ...],
    ) -> tuple[Shard, ...]:
        """The input of `plan` as shards of `shard_size` bytes, if that was asked for; `earlier` are
        those of the run that is resumed."""
        self._key = rate_key(identity, plan.format, self._execution)
        self.told = {"shard_size": shard_size}
        if self._is_cluster and self._execution.shard_size == AUTO:
            before = earlier_size(target) if earlier else None
            self.told = {"shard_size": before} if before else self._chosen(files, plan).to_dict()
        size = self.told["shard_size"]
        return self._launcher.shards(plan, size, self._execution, earlier)

    def learn(self, records: Sequence[Record]) -> None:
        """Keep the rate at which tasks made `records`, for the next job of this model."""
        if self._is_cluster:
            remember_rate(self._key, records)

    def _chosen(self, files: ModelFiles, plan: Plan) -> Cut:
        cut = best_cut(
            lambda size: self._launcher.shards(plan, size, self._execution),
            plan.sources,
            usual_block_size(plan.sources),
            self._launcher.room(self._execution, files.weights_bytes),
            remembered_rate(self._key),
        )
        self._say(str(cut))
        return cut
