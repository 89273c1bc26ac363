"""Where a task finds itself: Hadoop's (or mrjob's imitation of its) environment variables."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from mrmodel.machine import cores


@dataclass(frozen=True)
class TaskContext:
    """`attempt` names this attempt uniquely; `split` is (uri, start, length) of the split that
    Hadoop gave, None when the task reads a manifest; `vcores` is the container's share."""

    attempt: str
    host: str
    split: tuple[str, int, int] | None
    vcores: int | None
    is_hadoop: bool

    @classmethod
    def from_environment(
        cls, environ: Mapping[str, str] = os.environ, has_driver: bool = False
    ) -> TaskContext:
        """`has_driver`: the driver runs beside the task; a container is then the driver's own, as
        where a notebook or a workflow runs on YARN."""
        is_hadoop = "CONTAINER_ID" in environ and not has_driver
        attempt = environ.get("mapreduce_task_attempt_id", "attempt")
        # mrjob's local runners repeat attempt names from run to run; the process is unique
        unique = attempt if is_hadoop else f"{attempt}-{os.getpid()}"
        return cls(
            attempt=re.sub(r"[^\w-]", "_", unique),
            host=socket.gethostname(),
            split=_split(environ) if is_hadoop else None,
            vcores=_integer(environ.get("mapreduce_map_cpu_vcores")) if is_hadoop else None,
            is_hadoop=is_hadoop,
        )

    def threads(self, asked: int | None) -> int:
        """How many of torch's threads a task has: as `asked` for, or a core each."""
        return asked or self.vcores or cores()


def _split(environ: Mapping[str, str]) -> tuple[str, int, int] | None:
    uri = environ.get("mapreduce_map_input_file")
    start = _integer(environ.get("mapreduce_map_input_start"))
    length = _integer(environ.get("mapreduce_map_input_length"))
    return None if uri is None or start is None or length is None else (uri, start, length)


def _integer(text: str | None) -> int | None:
    return int(text) if text and text.lstrip("-").isdigit() else None
