"""The state of a metric as tensors, and many states as one.

Merging does what torchmetrics does between the processes of a distributed job
(``Metric._sync_dist``): states are summed, put side by side, or handed to ``compute`` in a stack,
as each metric says. Here a shard is what a process is there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

_UPDATES = "updates"
# those that can be taken in one after the other; the others wait until all are there
_PAIRWISE = {
    "dim_zero_sum": torch.add,
    "dim_zero_max": torch.maximum,
    "dim_zero_min": torch.minimum,
}


def state_of(metric: Any) -> dict[str, torch.Tensor]:
    """The state of `metric` by name; of a list of tensors, which grows with the rows, all in one.

    A list that is empty has no entry.
    """
    found = {_UPDATES: torch.tensor(metric._update_count)}
    for name in metric._reductions:
        value = getattr(metric, name)
        if isinstance(value, list):
            if value:
                found[name] = torch.cat([torch.atleast_1d(part) for part in value])
        else:
            found[name] = value.detach()
    return {name: value.cpu().contiguous().clone() for name, value in found.items()}


class Merge:
    """States of one metric, taken in one after the other into the fresh metric `into`."""

    def __init__(self, into: Any):
        self._metric = into
        self._lists = {n for n, value in into._defaults.items() if isinstance(value, list)}
        self._merged: dict[str, torch.Tensor] = {}
        self._waiting: dict[str, list[torch.Tensor]] = {}
        self._updates = 0

    def add(self, state: dict[str, torch.Tensor]) -> None:
        """Take in one state, as `state_of` gives it."""
        if not int(state[_UPDATES]):
            return
        self._updates += int(state[_UPDATES])
        for name, reduction in self._metric._reductions.items():
            if name not in state:
                continue
            combine = _PAIRWISE.get(getattr(reduction, "__name__", ""))
            if combine is None or name in self._lists:
                self._waiting.setdefault(name, []).append(state[name])
            elif name in self._merged:
                self._merged[name] = combine(self._merged[name], state[name])
            else:
                self._merged[name] = state[name]

    @property
    def has_rows(self) -> bool:
        """Whether any state that was taken in has seen a row."""
        return self._updates > 0

    def result(self) -> Any:
        """The metric in the state that all rows together give."""
        for name, value in self._merged.items():
            setattr(self._metric, name, value)
        for name, values in self._waiting.items():
            setattr(self._metric, name, self._together(name, values))
        self._metric._update_count = self._updates
        self._metric._computed = None
        return self._metric

    def _together(self, name: str, values: list[torch.Tensor]) -> Any:
        if name in self._lists:
            return [torch.cat(values)]
        if len(values) == 1:
            return values[0]
        stack = torch.stack(values)
        reduction = self._metric._reductions[name]
        return stack if reduction is None else reduction(stack)


def merged(into: Any, states: Iterable[dict[str, torch.Tensor]]) -> Any:
    """`into`, a fresh metric, in the state that `states` together give."""
    merge = Merge(into)
    for state in states:
        merge.add(state)
    return merge.result()
