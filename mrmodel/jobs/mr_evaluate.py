"""Evaluate as an mrjob job: mappers measure their shards, reducers merge the measures.

On the nodes this file is mapper and reducer. What goes between them is bytes (`tensors.wire`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mrjob.step import MRStep

from mrmodel.imports import quick_imports
from mrmodel.jobs.mr_predict import MRPredict, load_dotted
from mrmodel.tasks.run import NewTask, reduce_as_process, reduce_in_process, sending
from mrmodel.tensors.wire import PARTITIONER


class MRReduced(MRPredict):
    """A job whose reducers make one file of each group: what ``REDUCE`` names does, of the group's
    values in the order of their shards."""

    REDUCE: str

    def steps(self) -> list[MRStep]:
        return [MRStep(mapper=self.mapper, reducer=self.reducer)]

    def reducer(self, key: Any, values: Iterator[Any]) -> Iterator[tuple[Any, Any]]:
        """Never called: `run_reducer` reads the records itself, as bytes."""
        yield from ()

    def run_reducer(self, step_num: int = 0) -> None:
        """Run one reduce task."""
        spec_file = Path(self.options.task_spec)
        if self.is_in_process():
            reduce_in_process(spec_file, self.stdin, self.stderr, load_dotted(self.REDUCE))
            return
        with quick_imports():
            reduce = load_dotted(self.REDUCE)
        reduce_as_process(spec_file, reduce)

    def new_task(self) -> NewTask:
        return sending(super().new_task())

    def sort_values(self) -> bool:
        """By whole lines, where mrjob sorts; Hadoop sorts by the bytes of the key."""
        return self.options.runner != "hadoop"

    def partitioner(self) -> str | None:
        return PARTITIONER if self.options.runner == "hadoop" else None


class MREvaluate(MRReduced):
    """The job: one map task per shard, one record per shard and group to the reducers. Subclass
    it in a script to fix what the options would say, as with `MRPredict`."""

    TASK = "mrmodel.tasks.evaluate:EvaluateTask"
    REDUCE = "mrmodel.metrics.results:group_json"
    DRIVER = "mrmodel.driver.script:run_evaluate_script"
    LABEL: str | None = None
    PREDICTION: str | None = None
    METRICS: tuple[str, ...] = ()

    def configure_args(self) -> None:
        super().configure_args()
        # --label and --bootstrap are options of mrjob
        self.add_passthru_arg("--label-column", help="the column with the right answers")
        self.add_passthru_arg("--prediction", help="the model's output column to score")
        self.add_passthru_arg("--metric", action="append", help="NAME[:k=v,...]; repeatable")
        self.add_passthru_arg("--group-by", help="measure each of this column's values, too")
        self.add_passthru_arg("--resamples", type=int, default=0, help="for 95%% intervals")
        self.add_passthru_arg("--resample", default="rows", help="what is drawn: rows or shards")


if __name__ == "__main__":
    MREvaluate.run()
