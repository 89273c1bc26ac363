"""Models that get into trouble, in their first attempt only. Rows have an id; a shard is PER_SHARD
of them. They write what they did into the folder `notes`, which tests and nodes share here.
"""

import os
import signal
import time
from pathlib import Path

import mrmodel

PER_SHARD = 1024


def attempt():
    """The task attempt that this process is."""
    return os.environ["mapreduce_task_attempt_id"]  # noqa: SIM112 Hadoop names it so


def is_first():
    return attempt().endswith("_0")


class Notes(mrmodel.Predictor):
    """Notes which attempt predicted which rows of which shard: a line per batch."""

    inputs = ["id"]

    def __init__(self, notes):
        self.notes = Path(notes)

    def predict(self, batch):
        shard = int(batch["id"][0]) // PER_SHARD
        done = int(batch["id"][0]) % PER_SHARD / PER_SHARD
        self.trouble(shard, done)
        with (self.notes / "batches").open("a") as file:
            file.write(f"{attempt()} {shard} {len(batch['id'])}\n")
        return {"twice": batch["id"] * 2, "by": [attempt()] * len(batch["id"])}

    def trouble(self, shard, done):
        """What happens when the share `done` of `shard` has been predicted."""


class Trouble(Notes):
    """Four shards: the first is well; in the middle of the others the first attempt is killed,
    loses its JVM, or hangs."""

    def trouble(self, shard, done):
        if not is_first() or done < 0.5:
            return
        if shard == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        if shard == 2 and not (self.notes / "jvm").exists():
            (self.notes / "jvm").touch()
            os.kill(parent_jvm(), signal.SIGKILL)
        if shard == 3:
            time.sleep(3600)


class Slow(Notes):
    """The first attempt at the second shard would take minutes."""

    def trouble(self, shard, done):
        if shard == 1 and is_first():
            time.sleep(10)


class Gate(Notes):
    """Two shards go through; the others wait for the file ``open-APPLICATION`` in `notes`, having
    said so in ``waiting-APPLICATION-SHARD``."""

    def trouble(self, shard, done):
        _, cluster, number, *_ = attempt().split("_")
        application = f"application_{cluster}_{number}"
        while shard >= 2 and not (self.notes / f"open-{application}").exists():
            (self.notes / f"waiting-{application}-{shard}").touch()
            time.sleep(0.2)


class OtherGate(Gate):
    """Another model: what it says differs."""

    def predict(self, batch):
        found = super().predict(batch)
        return {**found, "twice": -found["twice"]}


def parent_jvm():
    """The nearest ancestor that is Java: the map task that started this process."""
    pid = os.getpid()
    while pid > 1:
        status = Path(f"/proc/{pid}/status").read_text()
        if status.splitlines()[0].split()[1] == "java":
            return pid
        pid = int(status.partition("PPid:")[2].split()[0])
    raise RuntimeError("no Java above this process")
