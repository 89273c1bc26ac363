"""How far the outputs of a model are from those of the same model in another form."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

_LISTS = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
_NOTHING = 1e-6  # noise around 0 is not to count as large


def difference(expected: pa.RecordBatch, found: pa.RecordBatch) -> float:
    """The largest difference of `found` to `expected`, outputs for the same rows, over rows and
    columns; infinite where columns differ.

    Of numbers with fractions it is ||found - expected|| / ||expected|| (Euclidean norms over the
    row's numbers in the column; absolute where ||expected|| is below 1e-6); infinite where
    one has a number and the other has none. Of anything else it is 1 where the values differ, and 0
    where they do not.
    """
    if expected.schema.names != found.schema.names or expected.num_rows != found.num_rows:
        return float("inf")
    columns = ((expected.column(name), found.column(name)) for name in expected.schema.names)
    return max((_of_column(*pair) for pair in columns), default=0.0)


def _of_column(expected: pa.Array, found: pa.Array) -> float:
    pairs = list(zip(expected.to_pylist(), found.to_pylist(), strict=True))
    measure = _of_numbers if _has_fractions(expected.type) else _of_others
    return max((measure(*pair) for pair in pairs), default=0.0)


def _of_others(expected: Any, found: Any) -> float:
    return float(expected != found)


def _of_numbers(expected: Any, found: Any) -> float:
    try:
        one, other = (np.asarray(value, dtype=np.float64).ravel() for value in (expected, found))
    except (TypeError, ValueError):  # lists of unequal lengths within
        return _of_others(expected, found)
    finite = np.isfinite(one)
    if one.shape != other.shape or not np.array_equal(finite, np.isfinite(other)):
        return float("inf")
    length = float(np.linalg.norm(one[finite]))
    far = float(np.linalg.norm(one[finite] - other[finite]))
    return far / length if length > _NOTHING else far


def _has_fractions(kind: pa.DataType) -> bool:
    while any(is_(kind) for is_ in _LISTS):
        kind = kind.value_type
    return pa.types.is_floating(kind)
