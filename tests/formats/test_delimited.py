"""CSV and TSV: RFC 4180, rows that are short or long, conversions, cut files."""

from __future__ import annotations

import csv
import datetime
import gzip
import io
import random

import pyarrow as pa
import pytest

from mrmodel.errors import InputError
from mrmodel.formats import delimited, get_format, records
from mrmodel.formats.base import InspectOptions
from tests.formats.helpers import bad, column, numbers, pieces, read, rows, whole, write

AB = [("a", pa.string()), ("b", pa.string())]


def inspect(*uris, columns=None, **types):
    return get_format("csv").inspect(list(uris), InspectOptions(columns, types))


def inferred(tmp_path, text, **types) -> dict[str, str]:
    schema = inspect(write(tmp_path / "f.csv", text), **types).schema
    return {field.name: str(field.type) for field in schema}


def test_rows(tmp_path):
    uri = write(tmp_path / "f.csv", "a,b,c\n1,x,0.5\r\n2,,\n3,z z,-1e3")
    schema = [("c", pa.float32()), ("b", pa.string()), ("day", pa.string()), ("a", pa.int64())]
    blocks = read("csv", whole(uri, day="mon"), schema)
    assert rows(blocks) == [
        {"c": 0.5, "b": "x", "day": "mon", "a": 1},
        {"c": None, "b": "", "day": "mon", "a": 2},
        {"c": -1000.0, "b": "z z", "day": "mon", "a": 3},
    ]
    assert numbers(blocks) == [0, 1, 2]


def test_tsv(tmp_path):
    uri = write(tmp_path / "f.tsv.gz", gzip.compress(b'a\tb\n1,5\t"x\ty"\n'))
    assert rows(read("csv", whole(uri), AB)) == [{"a": "1,5", "b": "x\ty"}]


def test_quotes(tmp_path):
    text = (
        'a,"b"\n"x, y","say ""hi"""\n"",5" disk\nlone\rreturn," "\n"l1\n\nl3","x"\n"p","q\r\nr"\n'
    )
    uri = write(tmp_path / "f.csv", "\ufeff" + text)
    assert [tuple(row.values()) for row in rows(read("csv", whole(uri), AB))] == [
        ("x, y", 'say "hi"'),
        ("", '5" disk'),
        ("lone\rreturn", " "),
        ("l1\n\nl3", "x"),
        ("p", "q\nr"),
    ]


def test_header_with_line_breaks(tmp_path):
    uri = write(tmp_path / "f.csv", '\n"a\nx",b\n1,2\n3,4\n')
    schema = [("a\nx", pa.int64())]
    for cut in range(whole(uri).size + 1):
        found = [i for p in pieces(uri, [cut]) for i in column(read("csv", p, schema), "a\nx")]
        assert found == [1, 3]


def test_same_as_the_csv_module(tmp_path, monkeypatch):
    rng = random.Random(11)
    values = ["", "a", ",", '"', '""', "\n", "x\ny", "é", " ", "1", "longer text", '",\n"']
    table = [[rng.choice(values) + rng.choice(values) for _ in "abc"] for _ in range(400)]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([["a", "b", "c"], *table])
    uri = write(tmp_path / "f.csv", text.getvalue())
    schema = [(name, pa.string()) for name in "abc"]
    for chunk in (50, 1 << 20):
        # small chunks: records that go on in the next
        monkeypatch.setattr("mrmodel.formats.lines.CHUNK_BYTES", chunk)
        blocks = read("csv", whole(uri), schema, block_rows=9)
        assert [list(row.values()) for row in rows(blocks)] == table
        assert not bad(blocks)


def test_every_row_once_at_every_cut(tmp_path):
    text = 'i,s\n0,é\r\n\n1,"x, y"\n2,\n3,zzzzzzzzzzzzzzzz\n4,"漢"'
    uri = write(tmp_path / "f.csv", text)
    schema = [("i", pa.int64())]
    for cut in range(len(text.encode()) + 1):
        for other in (cut, (cut * 7) % len(text.encode())):
            blocks = [read("csv", piece, schema) for piece in pieces(uri, [cut, other])]
            assert [i for b in blocks for i in column(b, "i")] == [0, 1, 2, 3, 4]
            assert all(numbers(b) == list(range(len(numbers(b)))) for b in blocks)


def test_cut_file_with_a_line_break_in_quotes_names_the_remedy(tmp_path):
    uri = write(tmp_path / "f.csv", 'a,b\n1,2\n3,"x\ny"\n5,6\n')
    found = [b for piece in pieces(uri, [9]) for b in read("csv", piece, AB)]
    assert list(column(found, "a")) == ["1", "5"]
    assert {row.error for row in bad(found)} == {"UnbalancedQuote", "FieldCount"}
    assert "--shard-size larger than the file" in bad(found)[0].message


def test_short_and_long_rows(tmp_path):
    uri = write(tmp_path / "f.csv", "a,b\n1,2\n3\n4,5,6\n7,8\n")
    blocks = read("csv", whole(uri), AB)
    assert list(column(blocks, "a")) == ["1", "7"]
    assert numbers(blocks) == [0, 3]
    assert [(b.row, b.error, b.message, b.record) for b in bad(blocks)] == [
        (1, "FieldCount", "expected 2 fields but received 1", "3"),
        (2, "FieldCount", "expected 2 fields but received 3", "4,5,6"),
    ]


def test_quote_that_is_never_closed_costs_one_row(tmp_path):
    lines = [f'{i},"x {i}"' if i % 3 == 0 else f"{i},x" for i in range(1000)]
    lines[500] = '500,"oops'
    lines[700] = '700,"oops" here'
    uri = write(tmp_path / "f.csv", "a,b\n" + "\n".join(lines))
    blocks = read("csv", whole(uri), AB, block_rows=100)
    assert [(b.row, b.error) for b in bad(blocks)] == [
        (500, "MisplacedQuote"),
        (700, "MisplacedQuote"),
    ]
    assert len(rows(blocks)) == 998


def test_quote_that_is_open_to_the_end_costs_one_row(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "MAX_RECORD", 200)
    monkeypatch.setattr("mrmodel.formats.lines.CHUNK_BYTES", 64)
    text = "a,b\n" + '0,"oops\n' + "".join(f"{i},x\n" for i in range(1, 200)) + '200,"end'
    blocks = read("csv", whole(write(tmp_path / "f.csv", text)), AB)
    assert [(b.row, b.error) for b in bad(blocks)] == [
        (0, "UnbalancedQuote"),
        (200, "UnbalancedQuote"),
    ]
    assert list(column(blocks, "a")) == [str(i) for i in range(1, 200)]


CONVERSIONS = [
    (pa.int64(), " 12 ", 12),
    (pa.int64(), "", None),
    (pa.int64(), "  ", None),
    (pa.float64(), "1e3", 1000.0),
    (pa.float32(), ".5", 0.5),
    (pa.bool_(), "TRUE", True),
    (pa.bool_(), "0", False),
    (pa.string(), " x ", " x "),
    (pa.large_string(), "", ""),
    (pa.timestamp("s"), "2026-01-02 03:04:05", datetime.datetime(2026, 1, 2, 3, 4, 5)),
    (pa.date32(), "2026-01-02", datetime.date(2026, 1, 2)),
    (pa.list_(pa.float32()), '"[1, 2.5]"', [1.0, 2.5]),
    (pa.list_(pa.float32(), 2), "", None),
    (pa.struct([("p", pa.int64())]), '"{""p"": 1}"', {"p": 1}),
]


@pytest.mark.parametrize(("kind", "text", "expected"), CONVERSIONS)
def test_conversion(tmp_path, kind, text, expected):
    uri = write(tmp_path / "f.csv", f"a,i\n{text},0\n")
    blocks = read("csv", whole(uri), [("a", kind)])
    assert rows(blocks) == [{"a": expected}], bad(blocks)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (pa.int64(), "1.5"),
        (pa.int64(), "x"),
        (pa.int8(), "128"),
        (pa.float64(), "1,5"),
        (pa.bool_(), "yes"),
        (pa.date32(), "2.1.2026"),
        (pa.list_(pa.float32()), "[1"),
        (pa.list_(pa.float32(), 2), "[1]"),
    ],
)
def test_value_that_does_not_fit_is_a_bad_row(tmp_path, kind, text):
    uri = write(tmp_path / "f.csv", f'i,a\n0,\n1,"{text}"\n2,\n')
    blocks = read("csv", whole(uri), [("i", pa.int64()), ("a", kind)])
    assert list(column(blocks, "i")) == [0, 2]
    (row,) = bad(blocks)
    assert (row.row, row.error, row.record) == (1, "TypeError", f'1,"{text}"')
    assert row.message.startswith(f"column 'a': expected {kind} but received ")
    assert text in row.message


def test_line_that_is_not_utf8(tmp_path):
    uri = write(tmp_path / "f.csv", b'a,b\n1,2\n\xff,3\n"4\n\xff",5\n6,7\n')
    blocks = read("csv", whole(uri), AB)
    assert list(column(blocks, "a")) == ["1", "6"]
    assert bad(blocks)[0].error == "UnicodeDecodeError"


def test_header_per_file_gives_the_order(tmp_path):
    one = write(tmp_path / "1.csv", "a,b\n1,x\n")
    two = write(tmp_path / "2.csv", "b,a\ny,2\n")
    schema = inspect(one, two).schema
    assert schema == pa.schema([("a", pa.int64()), ("b", pa.string())])
    found = [rows(read("csv", whole(uri), schema)) for uri in (one, two)]
    assert found == [[{"a": 1, "b": "x"}], [{"a": 2, "b": "y"}]]


def test_missing_column(tmp_path):
    one = write(tmp_path / "1.csv", "a,b\n1,2\n")
    two = write(tmp_path / "2.csv", "a\n1\n")
    expected = r"2\.csv: expected a column 'b' but its columns are 'a'"
    for columns in (None, ("b",)):
        with pytest.raises(InputError, match=expected):
            inspect(one, two, columns=columns)
    with pytest.raises(InputError, match=expected):
        read("csv", whole(two), AB)
    with pytest.raises(InputError, match="has a column 'b' that"):
        inspect(two, one)


def test_names_that_are_there_twice(tmp_path):
    uri = write(tmp_path / "f.csv", "a,b,a\n1,2,3\n")
    with pytest.raises(InputError, match=r"f\.csv: two columns are called 'a'"):
        inspect(uri)


@pytest.mark.parametrize("header", [b'"a,b\n1,2\n', b'"a"x,b\n1,2\n', b"\xff,b\n1,2\n"])
def test_header_that_cannot_be_read(tmp_path, header):
    uri = write(tmp_path / "f.csv", header)
    with pytest.raises(InputError, match=r"f\.csv: .*header line"):
        inspect(uri)


def test_inferred_types(tmp_path):
    text = (
        "i,f,m,b,s,n,hex,mixed,q\n"
        '1,0.5,1,true,x,,0x1F,1,"1,5"\n'
        "-2,nan,1.5,False,,,0x2F,x,2\n"
        ",,,,y,,,,\n"
        "too,short\n"
    )
    assert inferred(tmp_path, text, n="float32") == {
        "i": "int64",
        "f": "double",
        "m": "double",
        "b": "bool",
        "s": "string",
        "n": "float",
        "hex": "string",
        "mixed": "string",
        "q": "string",
    }


def test_types_of_several_files(tmp_path):
    one = write(tmp_path / "1.csv", "a,b\n1,\n")
    two = write(tmp_path / "2.csv", "a,b\n1.5,7\n")
    assert [str(t) for t in inspect(one, two).schema.types] == ["double", "int64"]
    three = write(tmp_path / "3.csv", "a,b\nx,7\n")
    with pytest.raises(InputError, match=r"3\.csv: column 'a' is string but double .*--type a="):
        inspect(one, two, three)
    schema = inspect(one, two, three, a="string", columns=("a",)).schema
    assert schema == pa.schema([("a", pa.string())])


def test_files_without_rows(tmp_path):
    empty = write(tmp_path / "0.csv", "")
    header = write(tmp_path / "1.csv", "a,b\n")
    assert inspect(empty, header).schema == pa.schema(AB)
    assert inspect(empty).schema == pa.schema([])
    for uri in (empty, header):
        assert rows(read("csv", whole(uri), AB)) == []


def test_header_that_is_longer_than_a_read(tmp_path):
    names = [f"column number {i} of many" for i in range(4_000)]
    text = ",".join(names) + "\n" + ",".join(map(str, range(4_000))) + "\n"
    uri = write(tmp_path / "f.csv", text)
    assert inspect(uri).schema.names == names
    for piece, expected in zip(pieces(uri, [500]), ([], [3999]), strict=True):
        found = read("csv", piece, [(names[-1], pa.int64())])
        assert list(column(found, names[-1])) == expected


@pytest.mark.parametrize(
    ("text", "hold"),
    [
        ("a,b\n1,2\n", False),
        ('a,b\n1,"x"\n2,"y ""z"""\n', False),
        ('a,b\n1,"x\ny"\n', True),
        ('a,b\n1,"x\r\ny"\n', True),
        ('a,b\n1,"never closed\n2,3\n', True),
        ("", False),
    ],
)
def test_line_breaks_in_fields_are_found(tmp_path, text, hold, monkeypatch):
    for size in (1, 3, 1 << 20):
        monkeypatch.setattr(delimited, "CHUNK_BYTES", size)
        assert get_format("csv").rows_span_lines(write(tmp_path / "f.csv", text)) is hold
