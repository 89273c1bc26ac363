"""How much of a cluster the jobs of one queue may have, from what YARN's scheduler tells."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def most_of(scheduler: dict[str, Any] | None, queue: str, cluster: dict[str, float]) -> float:
    """The largest part of the cluster that one user's jobs in `queue` may have, from 0 to 1;
    `scheduler` is the answer of YARN's Cluster Scheduler API, `cluster` has the ``memory`` (in
    megabytes) and ``vCores`` of all nodes. 1 where nobody says otherwise.
    """
    told = ((scheduler or {}).get("scheduler") or {}).get("schedulerInfo") or {}
    if told.get("type") == "fairScheduler":
        limits = [_fair(found, cluster) for found in _way_to(told.get("rootQueue") or {}, queue)]
    else:
        limits = [_capacity(found) for found in _way_to(told, queue)[-1:]]
    return min([1.0, *limits])


def _capacity(queue: dict[str, Any]) -> float:
    """Of the capacity scheduler, which sums up what the queues above allow. A user may have
    userLimitFactor (1 by default, -1 for no limit) times what the queue is sure of, however idle
    the others are."""
    most, sure = queue.get("absoluteMaxCapacity", 100.0), queue.get("absoluteCapacity", 0.0)
    factor = queue.get("userLimitFactor", -1)
    if factor >= 0 and sure > 0:
        most = min(most, sure * factor)
    return most / 100


def _fair(queue: dict[str, Any], cluster: dict[str, float]) -> float:
    most = queue.get("maxResources") or {}
    return min(most.get(name, size) / size for name, size in cluster.items())


def _way_to(root: dict[str, Any], queue: str) -> list[dict[str, Any]]:
    """The queues from `root` to the one called `queue` (``night`` or ``root.team.night``), that
    one last; empty where there is none."""
    for way in _ways(root, []):
        path = way[-1].get("queuePath") or way[-1].get("queueName", "")
        if queue in (path, f"root.{path}") or path.endswith(f".{queue}"):
            return way
    return []


def _ways(queue: dict[str, Any], above: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    way = [*above, queue]
    below = (queue.get("queues") or queue.get("childQueues") or {}).get("queue") or []
    if not below:
        yield way
    for one in below:
        yield from _ways(one, way)
