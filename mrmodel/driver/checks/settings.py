"""Settings of the cluster that jobs meet: committing, memory checks, logs, time limits."""

from __future__ import annotations

from mrmodel.driver.checks.base import Check, Facts, Finding, ok, warn
from mrmodel.driver.checks.rest import setting
from mrmodel.specs import ExecutionSpec

COMMITTER = "mapreduce.fileoutputcommitter.algorithm.version"
TIMEOUT = "mapreduce.task.timeout"
# tasks say that they are alive every 10 s (tasks/pulse.py)
SHORTEST_TIMEOUT = 60


def check_committer(facts: Facts) -> Finding:
    """Told for those who know what version 2 can do to output; our jobs do not depend on it."""
    value, origin = setting(facts, COMMITTER, "2")
    return ok(f"version {value} ({origin}); mrmodel's jobs set 1, and do not rely on it")


def check_memory_limits(facts: Facts) -> Finding:
    """Whether nodes kill a container for its address space, of which torch maps gigabytes."""
    page = next((node.page for node in facts.nodes if node.state == "RUNNING"), "")
    name = "yarn.nodemanager.{}-check-enabled"
    virtual, origin = setting(facts, name.format("vmem"), "true", page)
    physical, _ = setting(facts, name.format("pmem"), "true", page)
    told = f"physical memory is {'' if physical == 'true' else 'not '}limited to the container's"
    if virtual == "true":
        ratio, _ = setting(facts, "yarn.nodemanager.vmem-pmem-ratio", "2.1", page)
        return warn(
            f"{told}; virtual memory to {ratio} times that ({origin} setting), and torch maps much "
            "more than it uses",
            "set yarn.nodemanager.vmem-check-enabled to false on the nodes, or raise --memory when "
            "tasks are killed for virtual memory",
        )
    return ok(f"{told}; virtual memory is not limited ({origin} setting)")


def check_logs(facts: Facts) -> Finding:
    """Without aggregation the logs of tasks stay on the nodes."""
    value, origin = setting(facts, "yarn.log-aggregation-enable", "false")
    if value != "true":
        return warn(
            f"not collected ({origin} setting): what a failed task wrote stays on its node",
            "set yarn.log-aggregation-enable to true",
        )
    return ok("collected on the cluster's file system: yarn logs -applicationId ... shows them")


def check_timeout(facts: Facts) -> Finding:
    """Hadoop's watchdog beside ours."""
    value, origin = setting(facts, TIMEOUT, "600000")
    seconds = int(value) / 1000
    ours = f"tasks report every 10 s, until one batch takes --batch-timeout " \
           f"({ExecutionSpec().batch_timeout:.0f} s by default)"  # fmt: skip
    if seconds == 0:
        return ok(f"Hadoop never ends a silent task ({origin} setting); {ours}")
    found = f"Hadoop ends a task silent for {seconds:.0f} s ({origin} setting); {ours}"
    if seconds < SHORTEST_TIMEOUT:
        remedy = f"raise it: --jobconf {TIMEOUT}=600000"
        return warn(f"{found}, and busy nodes may be late", remedy)
    return ok(found)


CHECKS = [
    Check("committer", check_committer, needs=("yarn",)),
    Check("memory limits", check_memory_limits, needs=("yarn",)),
    Check("task logs", check_logs, needs=("yarn",)),
    Check("task timeout", check_timeout, needs=("yarn",)),
]
