"""--deep: a job of one task, started as every job is, that looks at a node from inside."""

from __future__ import annotations

import json
import secrets
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from mrmodel import storage
from mrmodel.driver.checks.base import (
    CONFIGURATION,
    SERVICE,
    Check,
    Facts,
    Finding,
    counted,
    fail,
    ok,
    skip,
    warn,
)
from mrmodel.driver.checks.hdfs import try_to_delete
from mrmodel.driver.checks.machine import judge_python, numbers
from mrmodel.driver.signals import terminate_is_interrupt
from mrmodel.errors import JobError, MrmodelError, ServiceError
from mrmodel.specs import ExecutionSpec

SECONDS = 300  # for the whole job; queues can be long
_INPUT = b"mrmodel doctor\n"
_NOT_TRIED = "nobody looked at a node from inside: --deep runs a one-task job there"
_DETAIL_LINES = 8
_LONGEST = 300


def not_tried(facts: Facts) -> Finding:
    """In place of the job, without --deep."""
    return skip(_NOT_TRIED)


def check_job(facts: Facts) -> Finding:
    """Run the job; what it told is in ``facts.task``."""
    started = time.monotonic()
    base = facts.home or tempfile.gettempdir()
    folder = storage.join(base, f".mrmodel-doctor-{secrets.token_hex(4)}")
    try:
        page = _run(facts, folder)
        facts.task = read_report(storage.join(folder, "output"))
    except MrmodelError as error:
        code = SERVICE if isinstance(error, ServiceError) else CONFIGURATION
        detail = "\n".join(error.detail.splitlines()[-_DETAIL_LINES:])
        return replace(fail(_cut(error.message), _remedy(error), code), detail=detail)
    finally:
        try_to_delete(folder)
    seconds = time.monotonic() - started
    return ok(f"ran on {facts.task['host']} in {seconds:.0f} s{page and f' ({page})'}")


def _run(facts: Facts, folder: str) -> str:
    """Run the probe with everything it needs below `folder`; the name of its application."""
    from mrmodel.runners.base import launcher_for

    uri = storage.join(folder, "input.txt")
    storage.write_bytes(uri, _INPUT)
    launcher = launcher_for(facts.request.runner)
    with tempfile.TemporaryDirectory(prefix="mrmodel-", ignore_cleanup_errors=True) as here:
        launch = _launch(facts, launcher, folder, Path(here))
        launcher.check([folder])
        with terminate_is_interrupt(), deadline(SECONDS, lambda: launcher.snapshot().applications):
            launcher.run(launch)
    return ", ".join(launcher.snapshot().applications)


def _launch(facts: Facts, launcher: Any, folder: str, here: Path) -> Any:
    """The job as `launcher` wants it: one small file, no model."""
    import pyarrow as pa

    from mrmodel.jobs.mr_probe import MRProbe
    from mrmodel.runners.base import Launch
    from mrmodel.shards.plan import Plan, Source
    from mrmodel.tasks.staging import Staging

    source = Source(storage.join(folder, "input.txt"), len(_INPUT))
    execution = _execution(facts, folder)
    plan = Plan("text", pa.schema([]), None, (), (source,), ())
    staging = Staging(storage.join(folder, "staging"))
    return Launch(
        job_class=MRProbe,
        spec=_task_spec(staging.uri),
        plan=plan,
        shards=launcher.shards(plan, 1 << 20, execution),
        finished=frozenset(),
        execution=execution,
        folder=here,
        staging=staging,
    )


def _task_spec(staging: str) -> Any:
    import pyarrow as pa

    from mrmodel.tasks.spec import TaskData, TaskModel, TaskSpec, encode_schema

    data = TaskData("text", encode_schema(pa.schema([])), None, ())
    return TaskSpec("doctor", TaskModel({}, "").to_dict(), data.to_dict(), staging)


def _execution(facts: Facts, folder: str) -> ExecutionSpec:
    request = facts.request
    return ExecutionSpec(
        runner=request.runner,
        memory=request.memory,
        python=request.python,
        # not 1: hadoop jar tells why an attempt failed only while the job goes on
        jobconf={"mapreduce.job.name": "mrmodel doctor", "mapreduce.map.maxattempts": "2"},
        mrjob_args=("--output-dir", storage.join(folder, "output")),
    )


def read_report(output: str) -> dict[str, Any]:
    """What the task told. Raises JobError when it told nothing."""
    from mrmodel.jobs.mr_probe import MARK

    parts = [e for e in storage.storage_for(output).ls(output) if e.name.startswith("part-")]
    for part in parts:
        for line in storage.read_bytes(part.uri).decode("utf-8", "replace").splitlines():
            key, _, value = line.partition("\t")
            if key == json.dumps(MARK):
                return json.loads(value)
    raise JobError("the task ended well but told nothing: its output is empty")


@contextmanager
def deadline(seconds: float, applications: Any) -> Iterator[None]:
    """Raise ServiceError in the main thread after `seconds`, as Ctrl-C would interrupt it, so
    that the launcher ends the application. No limit in other threads."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def expire(signum: int, frame: object) -> None:
        names = ", ".join(applications()) or "not even submitted"
        raise ServiceError(f"the job did not end in {seconds:.0f} s ({names}); it was cancelled")

    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _remedy(error: MrmodelError) -> str:
    if "did not end in" in error.message:
        return "is the queue full (yarn application -list), or --memory more than is free?"
    if any(f"import {name}" in error.message for name in ("distutils", "pipes")):
        return "on the nodes: pip install 'setuptools>=68' standard-pipes (mrjob needs them)"
    return "" if "--" in error.message else "see its logs, and the lines above"


def _cut(message: str) -> str:
    """Without the end of a command line that failed."""
    return message if len(message) <= _LONGEST else message[:_LONGEST] + "..."


def check_task_python(facts: Facts) -> Finding:
    """The interpreter on the node."""
    import sys

    version = tuple(facts.task["python"])
    found = judge_python(
        version, facts.task["executable"], "name another with --python, or install one there"
    )
    if found.mark == "ok" and version[:2] != sys.version_info[:2]:
        here = ".".join(map(str, sys.version_info[:2]))
        return warn(
            f"{found.found}, while this machine has {here}",
            "the same on both is safest: code that works here may not there",
        )
    return found


def check_task_packages(facts: Facts) -> Finding:
    """The libraries on the node against those here."""
    from mrmodel.jobs.mr_probe import packages

    there, missing = facts.task["versions"], facts.task["missing"]
    if missing:
        told = "; ".join(f"{name} cannot be imported ({why})" for name, why in missing.items())
        remedy = "install mrmodel in the nodes' Python, or name another with --python"
        return fail(told, remedy)
    here = packages()[0]
    listed = ", ".join(f"{name} {version}" for name, version in there.items())
    differing = [
        f"{name} {there[name]} (here {here[name]})"
        for name in there
        if name in here and numbers(there[name]) != numbers(here[name])
    ]
    if differing:
        remedy = "install the same versions on both, so that what works here works there"
        return warn(f"other than here: {', '.join(differing)}", remedy)
    return ok(f"{listed}; as here")


def check_task_data(facts: Facts) -> Finding:
    """Whether the task could read its input file."""
    told = facts.task["input"] or {"error": "the task received no file to read"}
    if "error" in told:
        remedy = "see that nodes reach the NameNode and DataNodes at the names they have here"
        return fail(f"the task could not read its input: {told['error']}", remedy)
    return ok(f"read its input from {told['uri'].partition('/.mrmodel')[0]} in {told['seconds']} s")


def check_task_resources(facts: Facts) -> Finding:
    """Memory, cores and disk as the task saw them."""
    task = facts.task
    found = f"{counted(task['cores'], 'core')}, {task['memory_mb']} MB memory, "
    found += f"{task['free_disk_mb']} MB disk free"
    if task["container_mb"]:
        found += f"; container of {task['container_mb']} MB, {counted(task['vcores'], 'vcore')}"
    if task["address_space_mb"] is not None:
        return warn(
            f"{found}; address space is limited to {task['address_space_mb']} MB (ulimit -v)",
            "lift it for the user that runs containers: torch maps much more than it uses",
        )
    return ok(found)


_TOLD = ("one-task job",)
CHECKS = [
    Check("task python", check_task_python, _TOLD),
    Check("task packages", check_task_packages, _TOLD),
    Check("task data", check_task_data, _TOLD),
    Check("task resources", check_task_resources, _TOLD),
]
NOT_DEEP = [Check("one-task job", not_tried)]
