"""A job whose tasks do what the names of their shards' files say; it needs no torch."""

import json
import os
import sys
import time
from importlib import import_module
from pathlib import Path

from mrjob.job import MRJob

from mrmodel.errors import ModelOutputError
from mrmodel.tasks.staging import Staging


class MRFake(MRJob):
    """Finishes a shard of the file ``ok``; dies of the others."""

    def configure_args(self):
        super().configure_args()
        self.add_file_arg("--task-spec")

    def mapper(self, key, value):
        yield key, value

    def run_mapper(self, step_num=0):
        staging = Staging(json.loads(Path(self.options.task_spec).read_text())["staging"])
        for line in self.stdin:
            self._do(staging, json.loads(line)["pieces"][0]["uri"])

    def _runner_class(self):
        # not for the workers, which start the quicker without it
        return import_module("mrmodel.runners.local").LocalRunner

    def _do(self, staging, name):
        with open(f"{staging.uri}-tried", "a") as file:
            file.write(f"{name}\n")
        if name.startswith("kill"):
            os.kill(os.getpid(), 9)
        elif name == "exit":
            print("my last words", file=sys.stderr)
            os._exit(7)
        elif name == "error":
            staging.report_error("attempt", ModelOutputError("what it was"))
            sys.exit(1)
        elif name == "sleep":
            time.sleep(60)
        record = {"shard": name, "part": None, "rows": {"in": 0, "ok": 0, "bad": 0}}
        staging.finish(staging.start("a", name), name, record)


if __name__ == "__main__":
    MRFake.run()
