"""JSON values as Arrow columns, strictly: a value fits its column's type or is a fault.

What fits: an integer where a float is expected (rounded to the nearest), a whole float where an
integer is, text or an integer for a timestamp, text for other times and dates, text or a number
for a decimal; an object's missing fields are null and its other fields are left out. Nothing else
is converted: not text to numbers, not numbers to text, not true to 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.types as kinds

from mrmodel.formats.columns import Column, cast_column, misfit

_NULL = type(None)


def convert(values: Sequence[Any], field: pa.Field, remedy: str = "") -> Column:
    """`values`, as json.loads makes them, as a column of the type of `field`."""
    try:
        if _is_plain(values, field.type):
            return Column(pa.array(values, field.type))
        if _is_written(values, field.type):
            return cast_column(pa.array(values, pa.string()), field, remedy)
    except (pa.ArrowException, OverflowError, UnicodeEncodeError):
        pass  # find out which value it is
    found, faults = [], {}
    for index, value in enumerate(values):
        try:
            found.append(_scalar(_coerce(value, field.type), field.type))
        except (TypeError, ValueError, OverflowError, pa.ArrowException):
            found.append(None)
            faults[index] = misfit(field, value, remedy)
    return Column(pa.array(found, field.type), faults)


def _scalar(value: Any, kind: pa.DataType) -> Any:
    """`value`, once Arrow has taken it alone (an integer may be too large, text not Unicode)."""
    pa.array([value], kind)
    return value


def _is_plain(values: Sequence[Any], kind: pa.DataType) -> bool:
    """Whether Arrow's own conversion of all `values` at once is as strict as _coerce. It is not
    where types differ: it cuts 1.5 to 1, makes true 1.0 and spells text out into a list."""
    there = set(map(type, values)) - {_NULL}
    if kinds.is_boolean(kind):
        return there <= {bool}
    if kinds.is_integer(kind):
        return there <= {int}
    if kinds.is_floating(kind):
        return there <= {int, float}
    if _is_text(kind):
        return there <= {str}
    if _is_any_list(kind):
        inner = chain.from_iterable(v for v in values if v is not None)
        return there <= {list} and _is_plain(list(inner), kind.value_type)
    if kinds.is_struct(kind):
        rows = [v for v in values if v is not None] if there <= {dict} else None
        return rows is not None and all(
            _is_plain([row.get(f.name) for row in rows], f.type) for f in kind
        )
    return not there


def _is_written(values: Sequence[Any], kind: pa.DataType) -> bool:
    """Whether all `values` are times, dates or decimals as text."""
    times = kinds.is_temporal(kind) and not kinds.is_duration(kind)
    return (times or kinds.is_decimal(kind)) and set(map(type, values)) <= {str, _NULL}


def _is_text(kind: pa.DataType) -> bool:
    return kinds.is_string(kind) or kinds.is_large_string(kind)


def _is_any_list(kind: pa.DataType) -> bool:
    return kinds.is_list(kind) or kinds.is_large_list(kind) or kinds.is_fixed_size_list(kind)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _coerce(value: Any, kind: pa.DataType) -> Any:
    """`value` as what Arrow takes for `kind`. Raises TypeError or ValueError when it does not
    fit."""
    if value is None:
        return None
    for is_kind, convert_value in _COERCIONS:
        if is_kind(kind):
            return convert_value(value, kind)
    raise TypeError(f"JSON has no values of type {kind}")


def _exactly(*types: type) -> Callable[[Any, pa.DataType], Any]:
    def check(value: Any, kind: pa.DataType) -> Any:
        if type(value) not in types:
            raise TypeError
        return value

    return check


def _integer(value: Any, kind: pa.DataType) -> int:
    if not _is_number(value) or int(value) != value:
        raise TypeError
    return int(value)


def _float(value: Any, kind: pa.DataType) -> float:
    if not _is_number(value):
        raise TypeError
    return float(value)


def _binary(value: Any, kind: pa.DataType) -> bytes:
    if not isinstance(value, str):
        raise TypeError
    return value.encode()


def _decimal(value: Any, kind: pa.DataType) -> Any:
    if not isinstance(value, str) and not _is_number(value):
        raise TypeError
    return pa.scalar(str(value)).cast(kind).as_py()


def _timestamp(value: Any, kind: pa.DataType) -> Any:
    return value if type(value) is int else _time(value, kind)


def _time(value: Any, kind: pa.DataType) -> Any:
    if not isinstance(value, str):
        raise TypeError
    return pa.scalar(value).cast(kind)


def _list(value: Any, kind: pa.DataType) -> list:
    if not isinstance(value, list):
        raise TypeError
    return [_coerce(item, kind.value_type) for item in value]


def _struct(value: Any, kind: pa.DataType) -> dict:
    if not isinstance(value, dict):
        raise TypeError
    return {field.name: _coerce(value.get(field.name), field.type) for field in kind}


def _map(value: Any, kind: pa.DataType) -> list:
    if not isinstance(value, dict) or not _is_text(kind.key_type):
        raise TypeError
    return [(key, _coerce(item, kind.item_type)) for key, item in value.items()]


_COERCIONS: list[tuple[Callable, Callable]] = [
    (kinds.is_boolean, _exactly(bool)),
    (kinds.is_integer, _integer),
    (kinds.is_floating, _float),
    (_is_text, _exactly(str)),
    (lambda kind: kinds.is_binary(kind) or kinds.is_large_binary(kind), _binary),
    (kinds.is_decimal, _decimal),
    (kinds.is_timestamp, _timestamp),
    (lambda kind: kinds.is_temporal(kind) and not kinds.is_duration(kind), _time),
    (_is_any_list, _list),
    (kinds.is_struct, _struct),
    (kinds.is_map, _map),
]


def infer(values: Sequence[Any]) -> pa.DataType | None:
    """The type of JSON `values`: bool, int64, double, string, lists and structs of them; null where
    all are null; None when they have no type in common."""
    there = set(map(type, values)) - {_NULL}
    if there == {list}:
        inner = infer(list(chain.from_iterable(v for v in values if v is not None)))
        return inner and pa.list_(inner)
    if there == {dict}:
        return _infer_struct([v for v in values if v is not None])
    if there == {int}:
        whole = all(-(2**63) <= v < 2**63 for v in values if v is not None)
        return pa.int64() if whole else pa.float64()
    if there == {int, float}:
        return pa.float64()
    names = {bool: pa.bool_(), float: pa.float64(), str: pa.string()}
    return pa.null() if not there else names.get(there.pop()) if len(there) == 1 else None


def _infer_struct(rows: list[dict]) -> pa.DataType | None:
    names = dict.fromkeys(chain.from_iterable(rows))
    types = {name: infer([row.get(name) for row in rows]) for name in names}
    return None if None in types.values() else pa.struct(list(types.items()))


def settled(kind: pa.DataType) -> pa.DataType:
    """`kind` with strings for what was null in the whole sample."""
    if kinds.is_null(kind):
        return pa.string()
    if kinds.is_list(kind):
        return pa.list_(settled(kind.value_type))
    if kinds.is_struct(kind):
        return pa.struct([(f.name, settled(f.type)) for f in kind])
    return kind
