"""From what Hadoop prints when a job fails to one line: the cause, and what to do."""

from __future__ import annotations

import re
from collections.abc import Callable

from mrmodel.errors import JobError, MrmodelError, ServiceError, TaskKilledError, UsageError

_Rule = tuple[re.Pattern[str], Callable[[re.Match[str]], MrmodelError]]

_RULES: list[_Rule] = [
    (
        re.compile(
            r"running .*?beyond (?:the )?'?physical'? memory limits?\.?"
            r"(?:.*?Current usage: (?P<used>[\d.]+ \wB) of (?P<limit>[\d.]+ \wB))?",
            re.IGNORECASE | re.DOTALL,
        ),
        lambda m: TaskKilledError(
            f"YARN killed a task for memory: its container used {m['used'] or 'more'} of "
            f"{m['limit'] or 'its'} physical memory (mapreduce.map.memory.mb); raise --memory, or "
            f"lower --batch-size"
        ),
    ),
    (
        re.compile(
            r'Cannot run program "(?P<program>[^"]+)".*?(?:error=2|No such file)', re.DOTALL
        ),
        lambda m: JobError(
            f"the nodes have no {m['program']}: expected the interpreter there; name one that "
            f"they have with --python"
        ),
    ),
    (
        re.compile(r"exitCode: 137|exit code 137|Exit code is 137"),
        lambda m: TaskKilledError(
            "a task was killed from outside (exit code 137): most often for memory; raise "
            "--memory, or lower --batch-size"
        ),
    ),
    (
        re.compile(r"No module named '(?P<module>[\w.]+)'"),
        lambda m: JobError(
            f"a task could not import {m['module']}: expected the nodes' Python to have it; name "
            f"another with --python, install it there, or send it along with --py-files"
        ),
    ),
    (
        re.compile(r"Invalid resource request.*", re.IGNORECASE),
        lambda m: UsageError(f"YARN refused the job: {m[0]}; lower --memory or --vcores"),
    ),
    (
        re.compile(r"(?:AccessControlException|Permission denied): (?P<why>.*)"),
        lambda m: UsageError(f"Hadoop denied access: {m['why']}"),
    ),
    (
        re.compile(r"(?P<queue>submitted .*? to unknown queue.*|unknown queue.*)", re.IGNORECASE),
        lambda m: UsageError(f"YARN refused the job: {m['queue']}; see --jobconf"),
    ),
    (
        re.compile(r"Timed out after (?P<seconds>\d+) secs"),
        lambda m: TaskKilledError(
            f"YARN killed a task that said nothing for {m['seconds']} s "
            f"(mapreduce.task.timeout): it hung, or its node was too busy"
        ),
    ),
    (
        re.compile(r"(?P<what>Connection refused|UnknownHostException.*|NoRouteToHost.*)"),
        lambda m: ServiceError(f"the cluster could not be reached: {m['what']}"),
    ),
]


def explain(text: str) -> MrmodelError | None:
    """The error that `text` (of ``hadoop jar``, of task logs) tells of; None if unknown."""
    for pattern, make in _RULES:
        match = pattern.search(text)
        if match:
            return make(match)
    return None
