"""JSON Lines: strict values, bad lines, types from a sample."""

from __future__ import annotations

import bz2
import datetime
import json
import random
from decimal import Decimal

import pyarrow as pa
import pytest

from mrmodel.errors import InputError, UsageError
from mrmodel.formats import get_format
from mrmodel.formats.base import InspectOptions
from tests.formats.helpers import bad, column, numbers, pieces, read, rows, whole, write


def lines(*values) -> str:
    return "".join((v if isinstance(v, str) else json.dumps(v)) + "\n" for v in values)


def inspect(*uris, columns=None, **types):
    return get_format("jsonl").inspect(list(uris), InspectOptions(columns, types))


def inferred(tmp_path, *values, **types) -> dict[str, str]:
    schema = inspect(write(tmp_path / "f.jsonl", lines(*values)), **types).schema
    return {field.name: str(field.type).replace("item: ", "") for field in schema}


def test_rows(tmp_path):
    text = lines({"a": 1, "b": "x", "extra": [1]}, {"b": None}, {"b": "z", "a": 2.5})
    uri = write(tmp_path / "f.jsonl", text)
    schema = [("b", pa.string()), ("a", pa.float64()), ("day", pa.string())]
    assert rows(read("jsonl", whole(uri, day="mon"), schema)) == [
        {"b": "x", "a": 1.0, "day": "mon"},
        {"b": None, "a": None, "day": "mon"},
        {"b": "z", "a": 2.5, "day": "mon"},
    ]


def test_blank_lines_are_no_rows(tmp_path):
    uri = write(tmp_path / "f.jsonl", '\n{"a": 1}\n  \r\n\n{"a": 2}\n\n')
    blocks = read("jsonl", whole(uri), [("a", pa.int64())])
    assert list(column(blocks, "a")) == [1, 2]
    assert numbers(blocks) == [0, 1]


def test_bad_lines_cost_their_neighbours_nothing(tmp_path):
    deep = "[" * 100_000
    data = (
        b'{"a": 0}\n{"a": 1\n[2]\n\n"three"\n{"a": 4}\n{"a": "\xff"}\n'
        + deep.encode()
        + b'\n{"a": 7}\n{"a": 8} x\n'
    )
    blocks = read("jsonl", whole(write(tmp_path / "f.jsonl", data)), [("a", pa.int64())])
    assert list(column(blocks, "a")) == [0, 4, 7]
    assert numbers(blocks) == [0, 4, 7]
    found = bad(blocks)
    assert [b.row for b in found] == [1, 2, 3, 5, 6, 8]
    assert [b.error for b in found] == [
        "JSONDecodeError",
        "TypeError",
        "TypeError",
        "UnicodeDecodeError",
        "RecursionError",
        "JSONDecodeError",
    ]
    assert found[0].record == '{"a": 1'
    assert "expected a JSON object per line but received '[2]'" in found[1].message
    assert len(found[4].record) == 10_000


FITS = [
    (pa.int64(), 2**63 - 1, 2**63 - 1),
    (pa.int64(), 3.0, 3),
    (pa.int8(), -128, -128),
    (pa.uint64(), 2**64 - 1, 2**64 - 1),
    (pa.float64(), 5, 5.0),
    (pa.float64(), 2**60 + 1, float(2**60)),
    (pa.float64(), 10**25, 1e25),
    (pa.float32(), 0.5, 0.5),
    (pa.float64(), float("inf"), float("inf")),
    (pa.bool_(), True, True),
    (pa.string(), "é\u0000", "é\u0000"),
    (pa.large_string(), "x", "x"),
    (pa.binary(), "ä", "ä".encode()),
    (pa.timestamp("s"), "2026-01-02T03:04:05", datetime.datetime(2026, 1, 2, 3, 4, 5)),
    (pa.timestamp("ms"), 1500, datetime.datetime(1970, 1, 1, 0, 0, 1, 500_000)),
    (pa.date32(), "2026-01-02", datetime.date(2026, 1, 2)),
    (pa.decimal128(5, 2), "1.50", Decimal("1.50")),
    (pa.decimal128(5, 2), 2, Decimal("2.00")),
    (pa.list_(pa.float32()), [1, 2.5, None], [1.0, 2.5, None]),
    (pa.list_(pa.float32(), 2), [1, 2], [1.0, 2.0]),
    (pa.list_(pa.list_(pa.int64())), [[1], [], None], [[1], [], None]),
    (pa.struct([("p", pa.int64()), ("q", pa.string())]), {"p": 1, "z": 0}, {"p": 1, "q": None}),
    (pa.map_(pa.string(), pa.int64()), {"k": 1}, [("k", 1)]),
    (pa.string(), None, None),
]


@pytest.mark.parametrize(("kind", "value", "expected"), FITS)
def test_value_that_fits(tmp_path, kind, value, expected):
    for others in ([], [{"a": "misfit"} if kind != pa.string() else {"a": 1}]):
        # with a misfit beside it the value goes the slow way, which must give the same
        uri = write(tmp_path / "f.jsonl", lines({"a": value}, *others))
        schema = [("a", kind)]
        assert list(column(read("jsonl", whole(uri), schema), "a"))[:1] == [expected]


MISFITS = [
    (pa.int64(), 1.5),
    (pa.int64(), "1"),
    (pa.int64(), True),
    (pa.int64(), 2**63),
    (pa.int64(), float("nan")),
    (pa.int8(), 128),
    (pa.float64(), True),
    (pa.float64(), "nan"),
    (pa.float64(), 10**400),
    (pa.bool_(), 1),
    (pa.string(), 1),
    (pa.string(), True),
    (pa.string(), ["x"]),
    (pa.string(), "\ud800"),
    (pa.list_(pa.string()), "abc"),
    (pa.list_(pa.float64()), [1.0, True]),
    (pa.list_(pa.int64()), [1, 2.5]),
    (pa.list_(pa.int64()), {"a": 1}),
    (pa.list_(pa.float32(), 2), [1.0]),
    (pa.struct([("p", pa.int64())]), {"p": "x"}),
    (pa.struct([("p", pa.int64())]), [["p", 1]]),
    (pa.timestamp("s"), "yesterday"),
    (pa.timestamp("s"), 1.5),
    (pa.decimal128(3, 2), "123.45"),
    (pa.duration("s"), "5"),
]


@pytest.mark.parametrize(("kind", "value"), MISFITS)
def test_value_that_does_not_fit_is_a_bad_row(tmp_path, kind, value):
    uri = write(tmp_path / "f.jsonl", lines({"a": None, "i": 0}, {"a": value, "i": 1}, {"i": 2}))
    blocks = read("jsonl", whole(uri), [("a", kind), ("i", pa.int64())])
    assert list(column(blocks, "i")) == [0, 2]
    (row,) = bad(blocks)
    assert (row.row, row.error) == (1, "TypeError")
    assert row.message.startswith(f"column 'a': expected {kind} but received ")
    assert row.message.endswith("--type a=TYPE")
    assert json.loads(row.record)["i"] == 1


def test_huge_integer_literal_is_a_bad_row(tmp_path):
    uri = write(tmp_path / "f.jsonl", '{"a": ' + "9" * 5000 + '}\n{"a": 1}\n')
    blocks = read("jsonl", whole(uri), [("a", pa.float64())])
    assert list(column(blocks, "a")) == [1.0]
    assert [b.row for b in bad(blocks)] == [0]


def test_pieces_hold_every_row_once(tmp_path):
    rng = random.Random(1)
    text = "".join(
        rng.choice(["", "\n", "\r\n"]) + json.dumps({"i": i, "s": "é" * (i % 30)}) + "\r\n"
        for i in range(300)
    )
    uri = write(tmp_path / "f.jsonl", text)
    for _ in range(20):
        cuts = [rng.randint(0, len(text.encode())) for _ in range(6)]
        found = [
            i
            for piece in pieces(uri, cuts)
            for i in column(read("jsonl", piece, [("i", pa.int64())], block_rows=7), "i")
        ]
        assert found == list(range(300))


def test_compressed(tmp_path):
    text = lines(*({"i": i} for i in range(5000)))
    uri = write(tmp_path / "f.json.bz2", bz2.compress(text.encode()))
    assert inspect(uri).schema == pa.schema([("i", pa.int64())])
    assert list(column(read("jsonl", whole(uri), [("i", pa.int64())]), "i")) == list(range(5000))


def test_inferred_types(tmp_path):
    assert inferred(
        tmp_path,
        {"i": 1, "f": 1, "b": True, "s": "x", "n": None, "l": [1], "v": [1.5], "e": []},
        {"i": 2, "f": 0.5, "b": None, "l": [], "v": [2], "big": 2**70, "o": {"p": 1}},
        "not JSON",
        {"o": {"q": [0.5]}, "late": "x"},
    ) == {
        "i": "int64",
        "f": "double",
        "b": "bool",
        "s": "string",
        "n": "string",
        "l": "list<int64>",
        "v": "list<double>",
        "e": "list<string>",
        "big": "double",
        "o": "struct<p: int64, q: list<double>>",
        "late": "string",
    }


def test_given_types_win(tmp_path):
    given = {"i": "float32", "v": "list<float32>", "other": "int64"}
    found = inferred(tmp_path, {"i": 1, "v": [1]}, {"i": "x"}, **given)
    assert found == {"i": "float", "v": "list<float>"}


def test_given_type_that_is_none(tmp_path):
    with pytest.raises(UsageError, match="--type i=number"):
        inferred(tmp_path, {"i": 1}, i="number")


def test_types_of_several_files(tmp_path):
    one = write(tmp_path / "1.jsonl", lines({"a": 1, "b": None}))
    two = write(tmp_path / "2.jsonl", lines({"a": 1.5, "b": "x", "c": True}))
    assert inspect(one, two).schema == pa.schema(
        [("a", pa.float64()), ("b", pa.string()), ("c", pa.bool_())]
    )
    assert inspect(one, two, columns=("b", "a")).schema.names == ["b", "a"]
    assert inspect(one, two).rows == [None, None]


def test_types_that_do_not_go_together(tmp_path):
    one = write(tmp_path / "1.jsonl", lines({"a": 1}))
    two = write(tmp_path / "2.jsonl", lines({"a": "x"}))
    expected = (
        r"2\.jsonl: column 'a' is string but int64 in .*1\.jsonl: "
        "give its type with --type a=TYPE"
    )
    with pytest.raises(InputError, match=expected):
        inspect(one, two)
    with pytest.raises(InputError, match="column 'a' holds 1 and 'x', .* --type a=TYPE"):
        inspect(write(tmp_path / "3.jsonl", lines({"a": 1}, {"a": "x"})))


def test_column_that_is_not_there(tmp_path):
    uri = write(tmp_path / "f.jsonl", lines({"a": 1, "b": 2}))
    expected = r"f\.jsonl: expected a column 'c' but its columns are 'a', 'b'"
    with pytest.raises(InputError, match=expected):
        inspect(uri, columns=("c",))
    schema = inspect(uri, columns=("a", "c"), c="float32").schema
    assert schema.field("c").type == pa.float32()


def test_file_that_is_not_json_lines(tmp_path):
    uri = write(tmp_path / "f.json", json.dumps([{"a": 1}], indent=1))
    with pytest.raises(InputError, match=r"f\.json: not JSON Lines: .* one object per line"):
        inspect(uri)


def test_empty_files(tmp_path):
    uri = write(tmp_path / "f.jsonl", "")
    assert inspect(uri).schema == pa.schema([])
    assert inspect(uri, columns=("a",)).schema == pa.schema([("a", pa.string())])
    assert rows(read("jsonl", whole(uri), [("a", pa.string())])) == []


def test_sample_is_spread_over_the_files(tmp_path):
    uris = [write(tmp_path / f"{i:03}.jsonl", lines({"a": i})) for i in range(99)]
    uris.append(write(tmp_path / "100.jsonl", lines({"a": 0.5})))
    assert inspect(*uris).schema.field("a").type == pa.float64()
