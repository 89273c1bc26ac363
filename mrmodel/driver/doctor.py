"""``mrmodel doctor``: check after check, from this machine to the inside of a node."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from mrmodel.driver.checks import client, hdfs, machine, settings, task, yarn
from mrmodel.driver.checks.base import (
    CONFIGURATION,
    SERVICE,
    Check,
    Facts,
    Finding,
    Request,
    fail,
    skip,
)
from mrmodel.errors import MrmodelError, ServiceError, UsageError
from mrmodel.units import parse_size

_IN_ORDER = ("ok", "warn")
_BUG = "this is a bug in mrmodel: please report it"


@dataclass(frozen=True)
class Report:
    """Check name → finding, in the order of the checks, and what the one-task job told."""

    findings: dict[str, Finding]
    task: dict[str, Any]

    @property
    def exit_code(self) -> int:
        """2 where the configuration or installation is wrong, even if a service does not answer
        either: 4 means that trying again later may help."""
        codes = {finding.exit_code for finding in self.findings.values()}
        return next((code for code in (CONFIGURATION, SERVICE) if code in codes), 0)

    @property
    def counts(self) -> Counter[str]:
        return Counter(finding.mark for finding in self.findings.values())

    def to_dict(self) -> dict[str, Any]:
        names = ("mark", "found", "remedy", "detail")
        checks = [
            {"check": check, **{name: getattr(finding, name) for name in names}}
            for check, finding in self.findings.items()
        ]
        return {"exit_code": self.exit_code, "checks": checks, "task": self.task or None}


def checks_for(request: Request) -> list[Check]:
    """What to look at, in order. Raises UsageError for options that do not go together."""
    on_cluster = request.runner == "hadoop"
    for option in ("python", "memory"):
        if getattr(request, option) and not on_cluster:
            raise UsageError(f"--{option} is about the nodes of a cluster: expected -r hadoop too")
    if request.memory:
        parse_size(request.memory, "--memory")
    checks = [*machine.CHECKS]
    if on_cluster:
        checks += [*client.CHECKS, *hdfs.CHECKS, *yarn.CHECKS, *settings.CHECKS]
    if request.deep:
        return [*checks, job_check(on_cluster), *task.CHECKS]
    return [*checks, *task.NOT_DEEP] if on_cluster else checks


def job_check(on_cluster: bool) -> Check:
    """The check that runs a job of one task, after those that it needs."""
    local = ("torch", "numpy", "pyarrow", "mrjob", "temporary folder")
    cluster = ("streaming jar", "home folder", "yarn", "nodes", "task memory")
    return Check("one-task job", task.check_job, local + cluster if on_cluster else local)


def examine(
    request: Request,
    on_start: Callable[[str], None] = lambda name: None,
    on_finding: Callable[[str, Finding], None] = lambda name, finding: None,
) -> Report:
    """Run the checks for `request` one after the other, telling of each as it begins and ends."""
    facts = Facts(request)
    findings: dict[str, Finding] = {}
    for check in checks_for(request):
        on_start(check.name)
        findings[check.name] = _find(check, facts, findings)
        on_finding(check.name, findings[check.name])
    return Report(findings, facts.task)


def _lacking(check: Check, findings: dict[str, Finding]) -> tuple[str, ...]:
    """The checks that failed and that `check` needs, or that those it needs would have needed."""
    roots: dict[str, None] = {}
    for name in check.needs:
        if findings[name].mark not in _IN_ORDER:
            roots.update(dict.fromkeys(findings[name].lacking or (name,)))
    return tuple(roots)


def _find(check: Check, facts: Facts, findings: dict[str, Finding]) -> Finding:
    lacking = _lacking(check, findings)
    if lacking:
        return replace(skip(f"needs {' and '.join(lacking)}"), lacking=lacking)
    try:
        return check.run(facts)
    except ServiceError as error:
        return fail(error.message, check.remedy, SERVICE)
    except MrmodelError as error:
        return fail(error.message, check.remedy)
    except OSError as error:
        return fail(f"{type(error).__name__}: {error}", check.remedy)
    except Exception as error:  # noqa: BLE001 the other checks still have something to say
        return fail(f"{type(error).__name__}: {error}", check.remedy or _BUG)
