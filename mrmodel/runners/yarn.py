"""What YARN and MapReduce tell over HTTP of a job that runs, and how to end one."""

from __future__ import annotations

import http.client
import json
import logging
import subprocess
import urllib.request
from dataclasses import dataclass
from typing import Any

from mrmodel.runners.queues import most_of
from mrmodel.tasks.reporter import GROUP

_TIMEOUT = 5.0
_log = logging.getLogger("mrmodel")


@dataclass(frozen=True)
class JobProgress:
    """Maps of a job and the counters of its tasks so far (name → value, mrmodel's own group)."""

    done: int = 0
    running: int = 0
    counters: tuple[tuple[str, int], ...] = ()

    def counter(self, name: str) -> int:
        return dict(self.counters).get(name, 0)


def progress(pages: str, application: str) -> JobProgress | None:
    """How far `application` is, from its application master; None when it does not say."""
    job = application.replace("application_", "job_")
    base = f"{pages}/proxy/{application}/ws/v1/mapreduce/jobs/{job}"
    told = _get(base)
    if told is None or "job" not in told:
        return None
    counters = _get(f"{base}/counters") or {}
    return JobProgress(
        # mapsCompleted counts failed ones too
        done=told["job"]["successfulMapAttempts"],
        running=told["job"]["mapsRunning"],
        counters=tuple(_own_counters(counters)),
    )


def node_memory(pages: str) -> int | None:
    """Megabytes of the largest node; None when YARN does not say."""
    return max((memory for memory, _ in _node_sizes(pages)), default=None)


def room(pages: str, memory: int, vcores: int, queue: str) -> int | None:
    """How many containers of `memory` megabytes the nodes hold at once for jobs in `queue`,
    whatever runs there now; None when YARN does not say. `vcores` count where the scheduler counts
    them."""
    sizes = _node_sizes(pages)
    if not sizes:
        return None
    total_memory, total_vcores = map(sum, zip(*sizes, strict=True))
    share = most_of(
        _get(f"{pages}/ws/v1/cluster/scheduler"),
        queue,
        {"memory": total_memory, "vCores": total_vcores},
    )
    held = sum(_holds(size, memory, vcores) for size in sizes)
    return min(held, _holds((share * total_memory, share * total_vcores), memory, vcores))


def _node_sizes(pages: str) -> list[tuple[int, int]]:
    """(megabytes, vcores) of each node that runs; none when YARN does not say."""
    nodes = _within(_get(f"{pages}/ws/v1/cluster/nodes"), "nodes", "node")
    return [
        (n["usedMemoryMB"] + n["availMemoryMB"], n["usedVirtualCores"] + n["availableVirtualCores"])
        for n in nodes
        if n["state"] == "RUNNING"
    ]


def _holds(size: tuple[float, float], memory: int, vcores: int) -> int:
    """Containers that fit (megabytes, vcores)."""
    return int(min(size[0] // memory, size[1] // vcores))


def kill(hadoop: str, application: str) -> None:
    """End `application`, by the command that comes with Hadoop: it knows how to log in. A failure
    is logged, not raised."""
    yarn = hadoop[: -len("hadoop")] + "yarn"
    try:
        subprocess.run(
            [yarn, "application", "-kill", application],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        # why the job is ended matters more to the person
        _log.warning("%s could not be killed: %s", application, error)


def diagnostics(history: str, application: str) -> str:
    """Why attempts of `application` failed, from the history server at the base URL `history`:
    Hadoop's client does not always print it. Empty when the server does not say."""
    job = application.replace("application_", "job_")
    base = f"{history}/ws/v1/history/mapreduce/jobs/{job}/tasks"
    for task in _within(_get(base), "tasks", "task"):
        if task["state"] == "FAILED":
            attempts = _within(_get(f"{base}/{task['id']}/attempts"), "taskAttempts", "taskAttempt")
            return "\n".join(attempt.get("diagnostics", "") for attempt in attempts)
    return ""


def task_logs(hadoop: str, application: str) -> str:
    """The end of the logs of the tasks of `application`, as far as YARN gives it out."""
    yarn = hadoop[: -len("hadoop")] + "yarn"
    command = [yarn, "logs", "-applicationId", application]
    ends = ["-log_files", "stderr,syslog", "-size", "-4000"]
    try:
        done = subprocess.run([*command, *ends], capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace")


def _within(told: dict[str, Any] | None, *names: str) -> list[dict[str, Any]]:
    """The list under `names`; YARN leaves out what is empty."""
    found: Any = told
    for name in names:
        found = (found or {}).get(name)
    return found or []


def _own_counters(told: dict[str, Any]) -> list[tuple[str, int]]:
    groups = _within(told, "jobCounters", "counterGroup")
    return [
        (counter["name"], int(counter["mapCounterValue"]))
        for group in groups
        if group["counterGroupName"] == GROUP
        for counter in group["counter"]
    ]


def _get(url: str) -> dict[str, Any] | None:
    request = urllib.request.Request(url, headers={"Accept": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
            return json.load(answer)
    except (OSError, ValueError, http.client.HTTPException):
        return None
