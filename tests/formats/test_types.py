"""Names of types, and types common to several files."""

from __future__ import annotations

import pyarrow as pa
import pytest

from mrmodel.errors import UsageError
from mrmodel.formats.types import parse_type, plain, unify


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("int64", pa.int64()),
        ("int", pa.int64()),
        ("float", pa.float32()),
        ("double", pa.float64()),
        ("float64", pa.float64()),
        ("string", pa.string()),
        ("bool", pa.bool_()),
        ("date32", pa.date32()),
        ("timestamp", pa.timestamp("us")),
        ("timestamp[ms]", pa.timestamp("ms")),
        ("timestamp[us, UTC]", pa.timestamp("us", "UTC")),
        ("timestamp[us, tz=Europe/Paris]", pa.timestamp("us", "Europe/Paris")),
        ("decimal(10, 2)", pa.decimal128(10, 2)),
        ("list<float32>", pa.list_(pa.float32())),
        ("list<list<int8>>", pa.list_(pa.list_(pa.int8()))),
        ("list<float32>[384]", pa.list_(pa.float32(), 384)),
        ("fixed_size_list<float32>[3]", pa.list_(pa.float32(), 3)),
    ],
)
def test_parse_type(name, expected):
    assert parse_type(name) == expected


@pytest.mark.parametrize("name", ["", "number", "list<number>", "list<", "decimal(99,1)"])
def test_parse_type_that_is_none(name):
    with pytest.raises(UsageError, match="--type price=.*expected a type such as int64"):
        parse_type(name, "price")


@pytest.mark.parametrize("kind", [pa.int32(), pa.string(), pa.list_(pa.float32(), 3)])
def test_str_of_a_type_is_a_name_of_it(kind):
    assert parse_type(str(kind).replace("item: ", "")) == kind


def test_plain():
    assert plain(pa.dictionary(pa.int32(), pa.string())) == pa.string()
    assert plain(pa.string_view()) == pa.string()
    tensor = pa.fixed_shape_tensor(pa.float32(), (2, 3))
    assert plain(tensor) == pa.list_(pa.float32(), 6)
    assert plain(pa.list_(pa.int8())) == pa.list_(pa.int8())


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (pa.int8(), pa.int64(), pa.int64()),
        (pa.uint8(), pa.int8(), pa.int16()),
        (pa.uint32(), pa.int8(), pa.int64()),
        (pa.uint64(), pa.int64(), None),
        (pa.float32(), pa.float64(), pa.float64()),
        (pa.int64(), pa.float64(), None),
        (pa.string(), pa.large_string(), pa.large_string()),
        (pa.null(), pa.bool_(), pa.bool_()),
        (pa.string(), pa.int64(), None),
        (pa.list_(pa.float32()), pa.list_(pa.float64()), pa.list_(pa.float64())),
        (pa.list_(pa.float32(), 2), pa.list_(pa.float32(), 3), None),
        (pa.list_(pa.null()), pa.list_(pa.int64()), pa.list_(pa.int64())),
        (
            pa.struct([("a", pa.int8())]),
            pa.struct([("a", pa.int16()), ("b", pa.string())]),
            pa.struct([("a", pa.int16()), ("b", pa.string())]),
        ),
    ],
)
def test_unify(a, b, expected):
    assert unify(a, b) == expected
    assert unify(b, a) == expected


def test_unify_numbers_where_that_is_asked_for():
    assert unify(pa.int64(), pa.float64(), mix_numbers=True) == pa.float64()
    assert unify(pa.int64(), pa.string(), mix_numbers=True) is None
