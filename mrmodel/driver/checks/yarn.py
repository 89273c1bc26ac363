"""YARN: whether it answers, its nodes, and whether a job's containers fit them."""

from __future__ import annotations

from collections import Counter
from typing import Any

from mrmodel.driver.checks import rest
from mrmodel.driver.checks.base import (
    SERVICE,
    Check,
    Facts,
    Finding,
    Node,
    counted,
    fail,
    ok,
    skip,
    warn,
)
from mrmodel.runners.hadoop_conf import check_resource_manager
from mrmodel.units import parse_size

_USABLE = "RUNNING"
_GONE = ("DECOMMISSIONED", "SHUTDOWN")  # on purpose


def check_manager(facts: Facts) -> Finding:
    """The ResourceManager: its port first, then its pages, which tell of nodes and progress."""
    pages = check_resource_manager(facts.conf)
    address = next(rpc for rpc, page in facts.conf.resource_managers() if page == pages)
    try:
        told = rest.get_json(f"{pages}/ws/v1/cluster/info").get("clusterInfo") or {}
    except rest.NoAnswerError as error:
        return _without_pages(address, pages, error)
    facts.pages = pages
    return ok(f"{address} answers: Hadoop {told.get('hadoopVersion', '?')}, pages at {pages}")


def _without_pages(address: str, pages: str, error: rest.NoAnswerError) -> Finding:
    told = f"its pages at {pages} do not answer ({error})"
    if error.refused or rest.is_alive(address):
        return warn(
            f"{address} answers, but {told}",
            "jobs run, but without progress: check yarn.resourcemanager.webapp.address and whether "
            "a firewall or login is in the way",
        )
    return fail(
        f"the ResourceManager at {address} takes connections and says nothing; {told}",
        "it hangs, or that is another service's port: see its log, or yarn.resourcemanager.address",
        SERVICE,
    )


def check_nodes(facts: Facts) -> Finding:
    """How many nodes there are, in which state, and what each offers."""
    if not facts.pages:
        return skip("only the ResourceManager's pages tell")
    told = (rest.get_json(f"{facts.pages}/ws/v1/cluster/nodes").get("nodes") or {}).get("node")
    facts.nodes = [_node(node, facts.pages) for node in told or []]
    states = Counter(node.state for node in facts.nodes)
    usable = [node for node in facts.nodes if node.state == _USABLE]
    if not usable:
        found = ", ".join(f"{n} {state.lower()}" for state, n in states.items()) or "none"
        return fail(f"no node runs (there are: {found})", "start the NodeManagers", SERVICE)
    found = f"{len(usable)} running: {_offers(usable)}; {sum(n.free_mb for n in usable)} MB free"
    bad = [node for node in facts.nodes if node.state not in (_USABLE, *_GONE)]
    if bad:
        names = ", ".join(f"{node.name} is {node.state.lower()}" for node in bad[:5])
        return warn(f"{found}; {names}", "see those nodes with: yarn node -list -all")
    return ok(found)


def _node(told: dict[str, Any], pages: str) -> Node:
    scheme = pages.partition("://")[0]
    return Node(
        name=told["nodeHostName"],
        state=told["state"],
        memory_mb=told["usedMemoryMB"] + told["availMemoryMB"],
        vcores=told["usedVirtualCores"] + told["availableVirtualCores"],
        free_mb=told["availMemoryMB"],
        page=f"{scheme}://{told['nodeHTTPAddress']}" if told.get("nodeHTTPAddress") else "",
    )


def _offers(nodes: list[Node]) -> str:
    """``each 4096 MB, 2 vcores``, or ``2 with 4096 MB, 2 vcores; 1 with 8192 MB, 4 vcores``."""
    kinds = Counter(f"{node.memory_mb} MB, {counted(node.vcores, 'vcore')}" for node in nodes)
    if len(kinds) == 1:
        return f"each {next(iter(kinds))}"
    return "; ".join(f"{number} with {kind}" for kind, number in kinds.most_common(5))


def check_task_memory(facts: Facts) -> Finding:
    """Whether a container of a job, and its application master, fit the nodes and the limits."""
    task, master = asked_mb(facts), int(_setting(facts, "yarn.app.mapreduce.am.resource.mb", 1536))
    asked = max(task, master)
    most = int(_setting(facts, "yarn.scheduler.maximum-allocation-mb", 8192))
    sizes = [node.memory_mb for node in facts.nodes if node.state == _USABLE]
    found = f"a task asks for {task} MB, its job's master for {master} MB"
    if asked > most:
        return fail(
            f"{found}; the scheduler gives at most {most} MB",
            f"use --memory {most}MB or less, or raise yarn.scheduler.maximum-allocation-mb",
        )
    if sizes and asked > max(sizes):
        remedy = f"use --memory {max(sizes)}MB or less, or larger nodes"
        return fail(f"{found}; the largest node has {max(sizes)} MB", remedy)
    fit = sum(size >= task for size in sizes)
    if fit < len(sizes):
        return warn(f"{found}; only {fit} of {len(sizes)} nodes are that large", "lower --memory")
    places = f"fits {fit} of {len(sizes)} nodes" if sizes else "nodes unknown"
    return ok(f"{found}; {places}, the scheduler gives up to {most} MB")


def asked_mb(facts: Facts) -> int:
    """Megabytes of a container: --memory, or what a job with a small model asks for."""
    from mrmodel.runners.hadoop import BASE_MEMORY_MB

    if facts.request.memory:
        return max(1, parse_size(facts.request.memory, "--memory") >> 20)
    return BASE_MEMORY_MB


def _setting(facts: Facts, name: str, default: int) -> str:
    return rest.setting(facts, name, str(default))[0]


CHECKS = [
    Check(
        "yarn",
        check_manager,
        needs=("configuration",),
        remedy="start YARN, or correct yarn.resourcemanager.hostname in yarn-site.xml",
    ),
    Check("nodes", check_nodes, needs=("yarn",), remedy="see yarn node -list -all"),
    Check("task memory", check_task_memory, needs=("nodes", "mrjob")),
]
