"""Arrow types: from the names people give, without encodings, and common to several files."""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.types as kinds

from mrmodel.errors import UsageError

_LIST = re.compile(r"^list<(.+)>$")
_FIXED_LIST = re.compile(r"^(?:list|fixed_size_list)<(.+)>\[(\d+)\]$")
_DECIMAL = re.compile(r"^decimal(?:128)?\((\d+), ?(-?\d+)\)$")
_ZONED = re.compile(r"^timestamp\[(s|ms|us|ns), ?(?:tz=)?(.+)\]$")
_ALIASES = {"int": "int64", "float": "float32", "timestamp": "timestamp[us]", "date": "date32"}
_FLOATS = (pa.float16(), pa.float32(), pa.float64())
_SIGNED = (pa.int8(), pa.int16(), pa.int32(), pa.int64())
_UNSIGNED = (pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())


def parse_type(name: str, column: str = "") -> pa.DataType:
    """The Arrow type called `name`: ``int64``, ``float32``, ``string``, ``bool``, ``list<T>``,
    ``list<T>[N]`` (all of N values), ``timestamp[ms]``, ``timestamp[us, UTC]``,
    ``decimal(P, S)``, ``date32``…

    Raises UsageError for a name that is none.
    """
    found = _parse(name.strip())
    if found is None:
        raise UsageError(
            f"--type {column}={name}: expected a type such as int64, float32, string, bool, "
            f"list<float32>, list<float32>[384] or timestamp[ms] but received {name!r}"
        )
    return found


def _parse(name: str) -> pa.DataType | None:
    if match := _LIST.match(name):
        inner = _parse(match[1].strip())
        return inner and pa.list_(inner)
    if match := _FIXED_LIST.match(name):
        inner = _parse(match[1].strip())
        return inner and pa.list_(inner, int(match[2]))
    if match := _ZONED.match(name):
        return pa.timestamp(match[1], match[2])
    try:
        if match := _DECIMAL.match(name):
            return pa.decimal128(int(match[1]), int(match[2]))
        return pa.type_for_alias(_ALIASES.get(name, name))
    except ValueError:
        return None


def plain(kind: pa.DataType) -> pa.DataType:
    """`kind` without encoding: dictionaries, views and extension types as what they hold."""
    if kinds.is_dictionary(kind) or isinstance(kind, pa.RunEndEncodedType):
        return plain(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):
        return plain(kind.storage_type)
    if kind == pa.string_view():
        return pa.string()
    if kind == pa.binary_view():
        return pa.binary()
    return kind


def unify(a: pa.DataType, b: pa.DataType, mix_numbers: bool = False) -> pa.DataType | None:
    """The type that holds every value of both; None when there is none.

    Integers and floats widen among themselves; with `mix_numbers` an integer and a float are a
    double. ``null`` (a column that is all nulls) gives way to anything.
    """
    if a == b or kinds.is_null(b):
        return a
    if kinds.is_null(a):
        return b
    for ladder in (_FLOATS, _SIGNED, _UNSIGNED, (pa.string(), pa.large_string())):
        if a in ladder and b in ladder:
            return max(a, b, key=ladder.index)
    if {a, b} == {pa.binary(), pa.large_binary()}:
        return pa.large_binary()
    if kinds.is_integer(a) and kinds.is_integer(b):
        return _signed_and_unsigned(a, b)
    if mix_numbers and _is_number(a) and _is_number(b):
        return pa.float64()
    return _unify_nested(a, b, mix_numbers)


def _is_number(kind: pa.DataType) -> bool:
    return kinds.is_integer(kind) or kinds.is_floating(kind)


def _signed_and_unsigned(a: pa.DataType, b: pa.DataType) -> pa.DataType | None:
    signed, unsigned = (a, b) if a in _SIGNED else (b, a)
    bits = max(signed.bit_width, 2 * unsigned.bit_width)
    return next((kind for kind in _SIGNED if kind.bit_width == bits), None)


def _unify_nested(a: pa.DataType, b: pa.DataType, mix: bool) -> pa.DataType | None:
    if _is_list(a) and _is_list(b):
        inner = unify(a.value_type, b.value_type, mix)
        large = kinds.is_large_list(a) or kinds.is_large_list(b)
        return inner and (pa.large_list(inner) if large else pa.list_(inner))
    if kinds.is_fixed_size_list(a) and kinds.is_fixed_size_list(b) and a.list_size == b.list_size:
        inner = unify(a.value_type, b.value_type, mix)
        return inner and pa.list_(inner, a.list_size)
    if kinds.is_struct(a) and kinds.is_struct(b):
        return _unify_structs(a, b, mix)
    return None


def _is_list(kind: pa.DataType) -> bool:
    return kinds.is_list(kind) or kinds.is_large_list(kind)


def _unify_structs(a: pa.DataType, b: pa.DataType, mix: bool) -> pa.DataType | None:
    fields = {f.name: f.type for f in a}
    for field in b:
        both = unify(fields[field.name], field.type, mix) if field.name in fields else field.type
        if both is None:
            return None
        fields[field.name] = both
    return pa.struct(list(fields.items()))
