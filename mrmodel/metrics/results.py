"""From merged metrics to numbers that JSON can hold."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch

from mrmodel.metrics.collector import OVERALL, SHARDS, GroupMerge

_INTERVAL = (2.5, 97.5)  # percent


def group_result(values: Iterable[bytes]) -> dict[str, Any]:
    """What the states `values` of one group give: ``{"group", "overall", "rows",
    "shards", "metrics"}``; `overall` says that the group is all rows.

    Each metric is ``{"name", "text", "value"}``, with ``low`` and ``high``, the 95 % interval by
    percentiles of the resamples, where there are such. A value is a number, a list of numbers, or
    None for what is not a number, as are the bounds of a group of one shard that resamples of
    shards would give.
    """
    merge = GroupMerge()
    for value in values:
        merge.add(value)
    tells = merge.resample != SHARDS or merge.shards > 1
    metrics = [
        {"name": spec.name, "text": spec.text, **_result(found, tells)}
        for spec, found in merge.metrics()
    ]
    return {
        "group": json.loads(merge.name) if merge.name else None,
        "overall": merge.name == OVERALL,
        "rows": merge.rows,
        "shards": merge.shards,
        "metrics": metrics,
    }


def group_json(values: Iterable[bytes]) -> bytes:
    """`group_result` as JSON."""
    return json.dumps(group_result(values), ensure_ascii=False).encode()


def _result(found: Iterator[Any], tells: bool) -> dict[str, Any]:
    """The first of `found` and an interval by the others, which are resamples; no bounds unless
    they say something of the spread (`tells`)."""
    value, *resamples = [_number(metric) for metric in found]
    result = {"value": _plain(value)}
    if not resamples:
        return result
    low = high = np.full_like(value, np.nan)
    if tells:
        low, high = np.nanpercentile(np.stack(resamples), _INTERVAL, axis=0)
    return {**result, "low": _plain(low), "high": _plain(high)}


def _number(metric: Any) -> np.ndarray:
    """What `metric` computes; NaN where it has seen too little to say."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = metric.compute()
    if isinstance(found, dict):
        found = torch.stack([torch.as_tensor(found[name]) for name in sorted(found)])
    if isinstance(found, tuple | list):
        found = torch.cat([torch.atleast_1d(torch.as_tensor(part)) for part in found])
    return torch.as_tensor(found).detach().double().numpy()


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.ndim:
        return [_plain(part) for part in value]
    number = float(value)
    return number if math.isfinite(number) else None
