"""Predict as an mrjob job: a map-only step whose mapper runs shards through a model.

Run as a job script it takes mrjob's own options (``-r``, ``-D``, ``--conf-path``, …) beside
mrmodel's; on the nodes the same file is the mapper.
"""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mrjob.job import MRJob
from mrjob.step import MRStep

from mrmodel.imports import quick_imports
from mrmodel.tasks.run import NewTask, run_as_process, run_in_process

RUNNERS = {
    "inline": "mrmodel.runners.inline:InlineRunner",
    "local": "mrmodel.runners.local:LocalRunner",
    "hadoop": "mrmodel.runners.streaming:HadoopRunner",
}

# what mrjob logs is for those who ask for it (-v), as with every library
logging.getLogger("mrjob").addHandler(logging.NullHandler())


class MRPredict(MRJob):
    """The job. Subclass it in a script to fix what the options would say: ``MODEL``,
    ``WEIGHTS``, ``INPUTS``, ``KEEP``."""

    MODEL: str | None = None
    WEIGHTS: str | None = None
    INPUTS: str | None = None
    KEEP: str | None = None
    # named, not imported: no process needs all of them
    TASK = "mrmodel.tasks.predict:predict_task"
    DRIVER = "mrmodel.driver.script:run_script"

    def configure_args(self) -> None:
        super().configure_args()
        self.add_passthru_arg("--model", help="file.py:Name, package.module:Name or a .pt2 file")
        self.add_passthru_arg("--weights", help="safetensors or state dict, file or folder")
        self.add_passthru_arg("--inputs", help="columns the model reads: COL,...")
        self.add_passthru_arg("--batch-size", default="auto", help="auto or a number of rows")
        self.add_passthru_arg("--shard-size", default="auto", help="bytes per map task")
        self.add_passthru_arg("--max-bad", default="0", help="bad rows allowed: N or P%%")
        self.add_passthru_arg("--overwrite", action="store_true", help="replace the output")
        self.add_passthru_arg("--resume", action="store_true", help="run what is not finished")
        self.add_file_arg("--task-spec", help="what tasks are told (made by the driver)")
        self.add_file_arg("--files-by-split", help="files that Hadoop cuts (made by the driver)")
        self.configure_output()

    def configure_output(self) -> None:
        """Add the options that say what a row of the output is."""
        self.add_passthru_arg("--keep", help="columns joined to the output: COL,...")
        self.add_passthru_arg("--output-format", default="parquet", choices=["parquet", "jsonl"])

    def steps(self) -> list[MRStep]:
        return [MRStep(mapper=self.mapper)]

    def mapper(self, key: Any, value: Any) -> Iterator[tuple[Any, Any]]:
        """Never called: `run_mapper` reads the shards itself, columnar and not line by line."""
        yield from ()

    def run_mapper(self, step_num: int = 0) -> None:
        """Run one map task."""
        spec_file = Path(self.options.task_spec)
        files = self.options.files_by_split
        if self.is_in_process():
            run_in_process(spec_file, self.stdin, self.stdout, self.stderr, self.new_task())
            return
        with quick_imports():
            new_task = self.new_task()
        run_as_process(spec_file, Path(files) if files else None, new_task)

    def new_task(self) -> NewTask:
        """What makes the tasks of this job."""
        return load_dotted(self.TASK)

    def is_in_process(self) -> bool:
        """Whether the runner's process is the task's (the inline runner)."""
        return self.stdin is not getattr(sys.__stdin__, "buffer", None)

    def hadoop_input_format(self) -> str | None:
        """One line of the manifest per task; files that are read by splits need no format."""
        if self.options.runner != "hadoop" or self.options.files_by_split:
            return None
        return "org.apache.hadoop.mapred.lib.NLineInputFormat"

    def hadoop_output_format(self) -> str | None:
        """Tasks put their output into the staging folder themselves; Hadoop has none to commit."""
        if self.options.runner != "hadoop":
            return None
        return "org.apache.hadoop.mapred.lib.NullOutputFormat"

    def run_job(self) -> None:
        """Plan, run, check and commit (``python job.py -r RUNNER INPUT... --output-dir OUT``)."""
        load_dotted(self.DRIVER)(self)

    def _runner_class(self) -> type:
        """Our own runners under mrjob's names; mrjob's for the others."""
        name = self.options.runner or "inline"
        return load_dotted(RUNNERS[name]) if name in RUNNERS else super()._runner_class()


def load_dotted(path: str) -> Any:
    """The object at ``module:name``."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


if __name__ == "__main__":
    MRPredict.run()
