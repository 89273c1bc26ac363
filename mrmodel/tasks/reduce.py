"""A reduce task: the records of a group become one file, whichever attempts there are."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable, Iterable, Iterator

from mrmodel.errors import MrmodelError
from mrmodel.tasks.clock import Clock
from mrmodel.tasks.code import reach_code
from mrmodel.tasks.context import TaskContext
from mrmodel.tasks.pulse import Pulse, pulse_of
from mrmodel.tasks.reporter import Reporter
from mrmodel.tasks.spec import TaskSpec
from mrmodel.tasks.staging import Staging
from mrmodel.tensors import wire

PHASES = ("receive", "add", "write")
Reduce = Callable[[Iterable[bytes]], bytes]


def reduce_groups(
    spec: TaskSpec,
    context: TaskContext,
    reporter: Reporter,
    records: Iterable[wire.Record],
    reduce: Reduce,
) -> None:
    """Write ``STAGING/reduced/GROUP`` for every group of `records`, which are sorted: what `reduce`
    makes of its values, in the order of the shards.

    All attempts write the same, so it does not matter which of them is last. Raises MrmodelError;
    its last words are in the staging folder by then.
    """
    staging = Staging(spec.staging, spec.identity)
    attempt = f"{context.attempt}-{os.getpid()}"
    try:
        with pulse_of(spec, staging, attempt, reporter) as pulse:
            reach_code(spec.task_model)
            begun, clock, first = time.time(), Clock(PHASES), b""
            for group, found in wire.grouped(clock.each("receive", records)):
                first = first or group
                result = _timed(clock, reduce, _values(found, pulse))
                with clock.phase("write"):
                    staging.reduced(group.hex(), result)
            if spec.training and first:
                staging.report_seconds("reduce", first.hex(), begun, clock.seconds)
    except Exception as error:
        detail = "" if isinstance(error, MrmodelError) else traceback.format_exc()
        staging.report_error(attempt, error, detail)
        raise


def read_reduced(staging: Staging) -> dict[bytes, bytes]:
    """What reducers wrote, by group."""
    return {bytes.fromhex(name): data for name, data in staging.read_reduced().items()}


def _timed(clock: Clock, reduce: Reduce, values: Iterable[bytes]) -> bytes:
    """What `reduce` makes of `values`; adding is what it does beside waiting for them."""
    begun, received = time.perf_counter(), clock.seconds["receive"]
    result = reduce(values)
    waited = clock.seconds["receive"] - received
    clock.add("add", time.perf_counter() - begun - waited)
    return result


def _values(records: Iterable[wire.Record], pulse: Pulse) -> Iterator[bytes]:
    for record in records:
        pulse.beat(f"reducing shard {record.shard}")
        yield record.value
