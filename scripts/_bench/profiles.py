"""Where the seconds of forward passes go, operator by operator."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from mrmodel.driver.trial import by_size, load
from mrmodel.imports import let_threads_sleep
from mrmodel.specs import ModelSpec
from mrmodel.tasks.clock import PHASES, Clock
from mrmodel.tasks.forward import Forward
from mrmodel.tasks.model import lay_out_weights, set_threads
from mrmodel.tasks.sizing import BatchSizer
from mrmodel.tensors.columns import take

from .report import markdown
from .workloads import Workload

TORCH = "torch's float32"
FORMS: Mapping[str, dict[str, str]] = {
    TORCH: {},
    "float32": {},
    "bfloat16": {"dtype": "bfloat16"},
    "int8": {"quantize": "int8"},
}
# the first that occurs in an operator's name is its group
GROUPS = (
    ("linear layers", ("linear", "mm", "matmul", "t_copy")),
    ("convolutions", ("conv",)),
    ("attention", ("scaled_dot_product", "softmax")),
    ("norms", ("norm",)),
    ("activations", ("gelu", "relu", "silu", "tanh", "sigmoid")),
    ("copies", ("copy", "clone", "to_dense", "contiguous")),
)
OTHER, OUTSIDE = "other operators", "outside of operators"


@dataclass(frozen=True)
class Profile:
    """`seconds` of forward passes over `rows` rows in all, and of each group of operators. What
    `operators` names are the dearest ones, in seconds."""

    form: str
    rows: int
    seconds: float
    groups: dict[str, float]
    operators: dict[str, float]


def profiled(*options: Any) -> Profile:
    """`profile` in a process of its own, in which OpenMP's threads sleep as they do in tasks: that
    is decided when torch is imported."""
    let_threads_sleep()
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(profile, *options).result()


def profile(form: str, workload: Workload, weights: Path, rows: pa.Table, threads: int) -> Profile:
    """Run the model in `form` over `rows`: once for nothing, once for the time, and once watched
    operator by operator; a watched pass is slower, so its shares are laid over the other's time."""
    set_threads(threads)
    inputs = list(workload.inputs or ())
    spec = ModelSpec(workload.reference, weights=str(weights), **FORMS[form])
    predictor = load(spec, inputs or None)
    if form != TORCH:
        lay_out_weights(predictor)
    run = _passes(predictor, inputs or predictor.inputs, workload.batch_size, rows)
    run()
    seconds = run()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as watched:
        slower = run()
    operators = {e.key: e.self_cpu_time_total / 1e6 for e in watched.key_averages()}
    return Profile(form, rows.num_rows, seconds, *_shares(operators, slower, seconds))


def _passes(
    predictor: Any, inputs: list[str], batch_size: int, rows: pa.Table
) -> Callable[[], float]:
    """What runs all of `rows` once, those of like size together, and says how many seconds the
    forward passes took; what prepares is left out."""
    batch = rows.select(inputs).combine_chunks().to_batches()[0]
    forward = Forward(
        predictor, inputs, BatchSizer(batch_size), Clock(PHASES), lambda rows, seconds: None
    )
    order, prepared = by_size(predictor, forward, batch)
    prepared = forward.prepare(batch) if prepared is None else prepared
    cuts = [order[begin : begin + batch_size] for begin in range(0, len(order), batch_size)]
    ready = [(indices, take(prepared, indices)) for indices in cuts]

    def run() -> float:
        begun = time.perf_counter()
        for indices, one in ready:
            forward.run(batch, indices, one, None)
        return time.perf_counter() - begun

    return run


def _shares(
    operators: dict[str, float], watched: float, seconds: float
) -> tuple[dict[str, float], dict[str, float]]:
    """(groups, the dearest operators), as parts of `seconds`."""
    scale = seconds / watched
    groups = dict.fromkeys([*(name for name, _ in GROUPS), OTHER], 0.0)
    for name, spent in operators.items():
        groups[group_of(name)] += spent * scale
    groups[OUTSIDE] = max(0.0, seconds - sum(groups.values()))
    dearest = sorted(operators.items(), key=lambda item: -item[1])[:8]
    return groups, {name: spent * scale for name, spent in dearest}


def group_of(operator: str) -> str:
    """The group of an operator of torch, such as ``aten::addmm``."""
    for group, words in GROUPS:
        if any(word in operator for word in words):
            return group
    return OTHER


def table(profiles: Sequence[Profile]) -> str:
    """Microseconds per row; a group with less than half a percent of every form is left out."""
    groups = [g for g in profiles[0].groups if any(p.groups[g] * 200 > p.seconds for p in profiles)]
    rows = [[p.form, *_per_row(p, [p.seconds, *(p.groups[g] for g in groups)])] for p in profiles]
    return markdown([["µs a row", "all", *groups], *rows])


def dearest(profile: Profile) -> str:
    """The operators that take most."""
    spent = _per_row(profile, profile.operators.values())
    named = ", ".join(f"{n} {s}" for n, s in zip(profile.operators, spent, strict=True))
    return f"{profile.form}: {named}"


def _per_row(profile: Profile, seconds: Iterable[float]) -> list[str]:
    return [f"{1e6 * spent / profile.rows:,.0f}" for spent in seconds]
