"""Text: a row per line."""

from __future__ import annotations

import gzip
import random

import numpy as np
import pyarrow as pa
import pytest

from mrmodel.errors import InputError
from mrmodel.formats import get_format
from mrmodel.formats.base import InspectOptions
from tests.formats.helpers import bad, column, numbers, pieces, read, rows, whole, write

TEXT = [("text", pa.string())]


def test_rows(tmp_path):
    uri = write(tmp_path / "f.txt", "one\n\n  three \r\nvier ä\n")
    blocks = read("text", whole(uri), TEXT)
    assert list(column(blocks, "text")) == ["one", "", "  three ", "vier ä"]
    assert numbers(blocks) == [0, 1, 2, 3]


def test_line_that_is_not_utf8_is_a_bad_row(tmp_path):
    uri = write(tmp_path / "f.txt", b"one\n\xff\xfe\nthree\n")
    blocks = read("text", whole(uri), TEXT)
    assert list(column(blocks, "text")) == ["one", "three"]
    assert numbers(blocks) == [0, 2]
    (row,) = bad(blocks)
    assert (row.source, row.row, row.error, row.record) == (
        uri,
        1,
        "UnicodeDecodeError",
        "\\xff\\xfe",
    )


def test_record_of_a_bad_row_is_cut(tmp_path):
    uri = write(tmp_path / "f.txt", b"\xff" * 50_000)
    (row,) = bad(read("text", whole(uri), TEXT))
    assert len(row.record) == 10_000


def test_blocks_are_bounded_by_rows_and_bytes(tmp_path):
    uri = write(tmp_path / "f.txt", b"\n".join(b"x" * (i % 90) for i in range(5000)))
    by_rows = read("text", whole(uri), TEXT, block_rows=100)
    assert max(len(b.rows) for b in by_rows) <= 100
    by_bytes = read("text", whole(uri), TEXT, block_bytes=2000)
    assert max(b.batch.nbytes for b in by_bytes if len(b.rows) > 1) <= 2000
    assert rows(by_rows) == rows(by_bytes)
    assert numbers(by_bytes) == list(range(5000))


def test_bad_rows_stay_in_their_stretch(tmp_path):
    data = b"\n".join(b"\xff" if i % 7 == 0 else b"%d" % i for i in range(1000))
    blocks = read("text", whole(write(tmp_path / "f.txt", data)), TEXT, block_rows=10)
    assert len(bad(blocks)) == 143  # helpers.check has seen to their order


def test_pieces_hold_every_row_once(tmp_path):
    rng = random.Random(3)
    data = "\n".join("ü" * rng.randint(0, 30) for _ in range(500))
    uri = write(tmp_path / "f.txt", data)
    for count in (1, 2, 5, 20):
        cuts = [rng.randint(0, len(data.encode())) for _ in range(count)]
        blocks = [b for piece in pieces(uri, cuts) for b in read("text", piece, TEXT)]
        assert list(column(blocks, "text")) == data.split("\n")


def test_partition_columns_and_order(tmp_path):
    uri = write(tmp_path / "f.txt", "a\nb\n")
    schema = [("day", pa.date32()), ("text", pa.large_string()), ("n", pa.int32())]
    blocks = read("text", whole(uri, day="2026-01-02", n=None), schema)
    assert [str(row["day"]) for row in rows(blocks)] == ["2026-01-02"] * 2
    assert list(column(blocks, "n")) == [None, None]


def test_partition_value_that_does_not_fit(tmp_path):
    uri = write(tmp_path / "f.txt", "a\n")
    with pytest.raises(InputError, match="partition column 'n': expected int32 but received 'x'"):
        read("text", whole(uri, n="x"), [("n", pa.int32())])


def test_column_that_is_not_there(tmp_path):
    uri = write(tmp_path / "f.txt", "a\n")
    with pytest.raises(InputError, match="expected a column 'body' but its columns are 'text'"):
        read("text", whole(uri), [("body", pa.string())])
    with pytest.raises(InputError, match="expected a column 'body'"):
        get_format("text").inspect([uri], InspectOptions(columns=("body",)))


def test_inspect():
    found = get_format("text").inspect(["a", "b"], InspectOptions())
    assert found.schema == pa.schema(TEXT)
    assert found.rows == [None, None]


@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf"])
def test_empty_file(tmp_path, data):
    assert rows(read("text", whole(write(tmp_path / "f.txt", data)), TEXT)) == []


def test_empty_compressed_file(tmp_path):
    blocks = read("text", whole(write(tmp_path / "f.txt.gz", gzip.compress(b""))), TEXT)
    assert rows(blocks) == []
    assert blocks[0].rows.dtype == np.int64


def test_compressed(tmp_path):
    lines = [f"line {i}" for i in range(3000)]
    uri = write(tmp_path / "f.md.gz", gzip.compress("\n".join(lines).encode()))
    assert list(column(read("text", whole(uri), TEXT), "text")) == lines
