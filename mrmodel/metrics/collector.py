"""All metrics of a shard: overall and per group, and as often again as the bootstrap asks.

The bootstrap is that of Efron (1979), with the row counts of each resample drawn as independent
Poisson(1) numbers, so that one pass over the rows does (Chamandy et al., "Estimating uncertainty
for massive data streams", 2012). The counts come from the seed and the shard, not from the attempt.

Rows that were made together are less different than those of other shards, and an interval that
takes them one by one is too narrow. The cluster bootstrap draws whole shards (Cameron, Gelbach &
Miller, "Bootstrap-based improvements for inference with clustered errors", 2008): a count for each
shard, which the reducers need but the mappers do not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import safetensors.torch
import torch

from mrmodel.errors import MetricError, MrmodelError
from mrmodel.metrics.building import build, completed
from mrmodel.metrics.names import MetricSpec
from mrmodel.metrics.states import Merge, state_of
from mrmodel.tensors.wire import Record, group_of

ROWS, SHARDS = "rows", "shards"  # what a bootstrap draws
OVERALL = ""  # of all rows; the names of groups are JSON


@dataclass
class _Group:
    """`metrics` has a row for each metric, of the metric itself and its resamples."""

    metrics: list[list[Any]]
    rows: int = 0


@dataclass
class Collector:
    """Takes in the rows of one shard. `resamples` is the bootstrap's number, 0 for none, and
    `resample` what it draws, ROWS or SHARDS."""

    specs: Sequence[MetricSpec]
    resamples: int
    seed: int
    shard: str
    resample: str = ROWS
    _groups: dict[str, _Group] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._random = _random_of(self.seed, self.shard)
        self._copies = self.resamples if self.resample == ROWS else 0

    def add(
        self, predictions: Any, labels: Any, groups: Sequence[Any] | None = None, *more: Any
    ) -> None:
        """Rows: tensors or lists of one length. `groups` has the group of each, None where there
        are none; `more` are further arguments of the metrics' update."""
        rows = len(labels)
        counts = self._random.poisson(1.0, (self._copies, rows))
        columns = (predictions, labels, *more)
        self._add(OVERALL, columns, np.arange(rows), counts)
        for name, indices in _rows_by_group(groups).items():
            self._add(name, tuple(_take(c, indices) for c in columns), indices, counts)

    def _add(
        self, name: str, columns: tuple[Any, ...], indices: np.ndarray, counts: np.ndarray
    ) -> None:
        if name not in self._groups:
            self._groups[name] = _Group(self._fresh(columns[0]))
        group = self._groups[name]
        group.rows += len(indices)
        for spec, (metric, *resampled) in zip(self.specs, group.metrics, strict=True):
            _update(spec, metric, columns)
            for copy, of_rows in zip(resampled, counts[:, indices], strict=True):
                again = np.repeat(np.arange(len(indices)), of_rows)
                if len(again):
                    _update(spec, copy, tuple(_take(column, again) for column in columns))

    def _fresh(self, predictions: Any) -> list[list[Any]]:
        self.specs = [completed(spec, predictions) for spec in self.specs]
        return [[build(spec) for _ in range(1 + self._copies)] for spec in self.specs]

    def records(self) -> list[Record]:
        """What reducers get of this shard: a record for each group."""
        return [
            Record(group_of(name), self.shard, self._dump(name, group))
            for name, group in sorted(self._groups.items())
        ]

    def _dump(self, name: str, group: _Group) -> bytes:
        tensors = {
            f"{number}/{copy}/{key}": value
            for number, metrics in enumerate(group.metrics)
            for copy, metric in enumerate(metrics)
            for key, value in state_of(metric).items()
        }
        about = {"group": name, "rows": group.rows, "metrics": [s.to_dict() for s in self.specs]}
        if self.resample == SHARDS:
            about["often"] = how_often(self.seed, self.shard, self.resamples)
        # one entry: safetensors writes several in any order, and bytes must be the same
        return safetensors.torch.save(tensors, {"about": json.dumps(about)})


def how_often(seed: int, shard: str, resamples: int) -> list[int]:
    """How often `shard` is in each of the resamples of shards."""
    return _random_of(seed, shard).poisson(1.0, resamples).tolist()


def _random_of(seed: int, shard: str) -> np.random.Generator:
    return np.random.default_rng([seed, int(shard, 16)])


class GroupMerge:
    """The states of one group, taken in shard by shard. `resample` is what was drawn of them."""

    def __init__(self) -> None:
        self.name, self.resample = OVERALL, ROWS
        self.rows = self.shards = 0
        self._specs: list[MetricSpec] = []
        self._merges: list[list[Merge]] = []

    def add(self, value: bytes) -> None:
        """Take in the value of a `Collector`'s record."""
        about = _about(value)
        specs = [MetricSpec.from_dict(spec) for spec in about["metrics"]]
        tensors = safetensors.torch.load(value)
        if not self._merges:
            self.name, self._specs = about["group"], specs
            self._merges = [[] for _ in specs]
        self.rows += about["rows"]
        self.shards += 1
        self._check(about["group"], specs)
        self.resample = SHARDS if "often" in about else ROWS
        for (number, copy), state in _states(tensors).items():
            self._merge(number, copy).add(state)
            for resample, often in enumerate(about.get("often", ()), 1):
                for _ in range(often):
                    self._merge(number, resample).add(state)

    def _merge(self, number: int, copy: int) -> Merge:
        of_metric = self._merges[number]
        while len(of_metric) <= copy:
            of_metric.append(Merge(build(self._specs[number])))
        return of_metric[copy]

    def metrics(self) -> list[tuple[MetricSpec, Iterator[Any]]]:
        """Each metric in the state that all shards together give, and its resamples', once: those
        that are large need not all be there. Resamples without a row are left out."""
        return [
            (spec, _results(merges)) for spec, merges in zip(self._specs, self._merges, strict=True)
        ]

    def _check(self, name: str, specs: list[MetricSpec]) -> None:
        if (name, specs) != (self.name, self._specs):
            raise MetricError(
                f"shards do not measure the same thing: {[s.text for s in self._specs]} of "
                f"{self.name} but {[s.text for s in specs]} of {name}; give the metrics' "
                f"arguments (task, num_classes) with --metric"
            )


def _results(merges: list[Merge]) -> Iterator[Any]:
    yield merges.pop(0).result()
    while merges:
        merge = merges.pop(0)
        if merge.has_rows:
            yield merge.result()


def _about(value: bytes) -> dict[str, Any]:
    """What `Collector._dump` wrote beside the tensors."""
    size = int.from_bytes(value[:8], "little")
    return json.loads(json.loads(value[8 : 8 + size])["__metadata__"]["about"])


def _states(tensors: dict[str, torch.Tensor]) -> dict[tuple[int, int], dict[str, torch.Tensor]]:
    found: dict[tuple[int, int], dict[str, torch.Tensor]] = {}
    for key in sorted(tensors, key=_place):
        number, copy, name = key.split("/", 2)
        found.setdefault((int(number), int(copy)), {})[name] = tensors[key]
    return found


def _place(key: str) -> tuple[int, int, str]:
    number, copy, name = key.split("/", 2)
    return int(number), int(copy), name


def _rows_by_group(groups: Sequence[Any] | None) -> dict[str, np.ndarray]:
    found: dict[str, list[int]] = {}
    for index, value in enumerate(groups if groups is not None else ()):
        found.setdefault(json.dumps(value, default=str, ensure_ascii=False), []).append(index)
    return {name: np.array(indices) for name, indices in found.items()}


def _take(values: Any, indices: np.ndarray) -> Any:
    if isinstance(values, list):
        return [values[i] for i in indices]
    return values[torch.from_numpy(indices)]


def _update(spec: MetricSpec, metric: Any, columns: tuple[Any, ...]) -> None:
    _check_classes(spec, *columns[:2])
    try:
        metric.update(*columns)
    except MrmodelError:
        raise
    except Exception as error:
        told = " ".join(str(error).split())
        shapes = f"predictions are {_shape(columns[0])}, labels {_shape(columns[1])}"
        raise MetricError(f"--metric {spec.text}: {told} ({shapes})") from error


def _check_classes(spec: MetricSpec, predictions: Any, labels: Any) -> None:
    """torchmetrics counts the classes that it sees, but does not look which they are."""
    classes = spec.args.get("num_classes")
    if not isinstance(classes, int):
        return
    for name, values in (("labels", labels), ("predictions", predictions)):
        if not isinstance(values, torch.Tensor) or values.ndim != 1:
            continue
        if values.is_floating_point():
            raise MetricError(
                f"--metric {spec.text}: the {name} are {_shape(values)}: expected classes, whole "
                f"numbers from 0 to {classes - 1}"
            )
        ignored = spec.args.get("ignore_index")
        wrong = [v for v in values[(values < 0) | (values >= classes)].tolist() if v != ignored]
        if wrong:
            raise MetricError(
                f"--metric {spec.text}: the {name} hold class {wrong[0]}, but there are "
                f"{classes} classes, 0 to {classes - 1}: give the right num_classes, or leave such "
                f"rows out with ignore_index"
            )


def _shape(values: Any) -> str:
    if not isinstance(values, torch.Tensor):
        return f"{len(values)} values of type {type(values[0]).__name__}"
    kind = str(values.dtype).removeprefix("torch.")
    return f"{kind} {tuple(values.shape)} from {values.min().item():g} to {values.max().item():g}"
