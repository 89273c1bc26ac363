"""Parquet: row groups to pieces, types, broken files, and memory."""

from __future__ import annotations

import random
import subprocess
import sys
import textwrap

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mrmodel.errors import InputError
from mrmodel.formats import get_format
from mrmodel.formats.base import InspectOptions
from mrmodel.formats.parquet import middle_byte
from mrmodel.shards.shard import Piece
from tests.formats.helpers import bad, column, numbers, pieces, read, rows, whole, write


def make(path, data, **options) -> str:
    table = data if isinstance(data, pa.Table) else pa.table(data)
    pq.write_table(table, path, **options)
    return str(path)


def inspect(*uris, columns=None, **types):
    return get_format("parquet").inspect(list(uris), InspectOptions(columns, types))


def test_rows_in_the_order_and_types_asked_for(tmp_path):
    uri = make(tmp_path / "f.parquet", {"a": [1, 2, None], "b": ["x", "y", "z"], "c": [1.0] * 3})
    schema = [("b", pa.large_string()), ("day", pa.string()), ("a", pa.float64())]
    blocks = read("parquet", whole(uri, day="mon"), schema)
    assert rows(blocks) == [
        {"b": "x", "day": "mon", "a": 1.0},
        {"b": "y", "day": "mon", "a": 2.0},
        {"b": "z", "day": "mon", "a": None},
    ]
    assert numbers(blocks) == [0, 1, 2]


def test_partition_column_wins_over_the_files_own(tmp_path):
    uri = make(tmp_path / "f.parquet", {"a": [1], "day": ["no"]})
    assert rows(read("parquet", whole(uri, day="yes"), [("day", pa.string())])) == [{"day": "yes"}]


def test_pieces_hold_every_row_once_with_its_number(tmp_path):
    uri = make(tmp_path / "f.parquet", {"i": list(range(2000))}, row_group_size=70)
    size, rng = whole(uri).size, random.Random(5)
    (groups,) = inspect(uri).row_groups
    middles = [middle for _, middle in groups]
    for cuts in ([], middles[:3], [m + 1 for m in middles], [rng.randrange(size) for _ in "12345"]):
        found = []
        for piece in pieces(uri, cuts):
            blocks = read("parquet", piece, [("i", pa.int64())])
            inside = [n for n, m in groups if piece.start <= m < piece.start + piece.length]
            assert len(numbers(blocks)) == sum(inside)  # as planning counts them
            assert list(column(blocks, "i")) == numbers(blocks)
            found += numbers(blocks)
        assert found == list(range(2000))


@pytest.mark.parametrize("row_group_size", [70, 2000])
@pytest.mark.parametrize("cuts", [[], [1], [69, 70, 71], [700, 1400], [1999]])
def test_pieces_hold_the_rows_that_they_name(tmp_path, row_group_size, cuts):
    uri = make(tmp_path / "f.parquet", {"i": list(range(2000))}, row_group_size=row_group_size)
    size = whole(uri).size
    ends = [*cuts, 2000]
    for first, end in zip([0, *cuts], ends, strict=True):
        piece = Piece(uri, first, end - first, size, rows=(first, end))
        blocks = read("parquet", piece, [("i", pa.int64())], block_rows=64)
        assert list(column(blocks, "i")) == numbers(blocks) == list(range(first, end))


def test_inspection_counts_rows(tmp_path):
    one = make(tmp_path / "1.parquet", {"i": range(25)}, row_group_size=10)
    none = make(tmp_path / "0.parquet", {"i": pa.array([], pa.int64())})
    found = inspect(one, none)
    assert found.rows == [25, 0]
    assert [rows for rows, _ in found.row_groups[0]] == [10, 10, 5]
    assert found.schema == pa.schema([("i", pa.int64())])


def test_middle_byte_lies_in_the_group(tmp_path):
    uri = make(tmp_path / "f.parquet", {"s": [f"{i % 9}" for i in range(999)]}, row_group_size=333)
    meta = pq.read_metadata(uri)
    middles = [middle_byte(meta.row_group(i)) for i in range(3)]
    starts = [meta.row_group(i).column(0).dictionary_page_offset for i in range(3)]
    assert starts[0] < middles[0] < starts[1] < middles[1] < starts[2] < middles[2]


def test_file_without_rows(tmp_path):
    uri = make(tmp_path / "f.parquet", {"a": pa.array([], pa.int64())})
    assert rows(read("parquet", whole(uri), [("a", pa.int64())])) == []


def test_odd_column_names(tmp_path):
    data = {
        "a.b": [1],
        "a": [{"b": 2, "c": 3}],
        "x, y {z}": [4],
        "naïve 漢": [5],
        "a.b.c": ["six"],
        "list.element": [[7]],
    }
    uri = make(tmp_path / "f, {1} ü.parquet", data)
    schema = inspect(uri).schema
    for name in data:
        blocks = read("parquet", whole(uri), [schema.field(name)])
        assert rows(blocks) == [{name: data[name][0]}]
    assert rows(read("parquet", whole(uri), schema)) == [{k: v[0] for k, v in data.items()}]


def test_nested_and_encoded_columns(tmp_path):
    table = pa.table(
        {
            "d": pa.array(["x", "y", "x"]).dictionary_encode(),
            "l": pa.array([[1, 2], None, []], pa.list_(pa.int16())),
            "f": pa.array([[1, 2], [3, 4], [5, 6]], pa.list_(pa.float32(), 2)),
            "s": [{"p": 1, "q": ["r"]}] * 3,
            "m": pa.array([[("k", 1)]] * 3, pa.map_(pa.string(), pa.int64())),
            "t": pa.array([1, 2, 3], pa.timestamp("us", "UTC")),
        }
    )
    uri = make(tmp_path / "f.parquet", table)
    schema = inspect(uri).schema
    assert schema.field("d").type == pa.string()
    assert schema.field("f").type == pa.list_(pa.float32(), 2)
    found = pa.Table.from_batches([b.batch for b in read("parquet", whole(uri), schema)])
    assert found.to_pylist() == table.to_pylist()


def test_tensor_column_is_a_fixed_size_list(tmp_path):
    tensor = pa.FixedShapeTensorArray.from_numpy_ndarray(np.ones((3, 2, 2), np.float32))
    uri = make(tmp_path / "f.parquet", pa.table({"x": tensor}))
    schema = inspect(uri).schema
    assert schema.field("x").type == pa.list_(pa.float32(), 4)
    assert rows(read("parquet", whole(uri), schema)) == [{"x": [1.0] * 4}] * 3


def test_value_that_cannot_be_cast_is_a_bad_row(tmp_path):
    data = {"a": [1, 300, 3, -129], "s": ["p", "q", "r", "s"]}
    uri = make(tmp_path / "f.parquet", data)
    blocks = read("parquet", whole(uri), [("a", pa.int8()), ("s", pa.string())])
    assert rows(blocks) == [{"a": 1, "s": "p"}, {"a": 3, "s": "r"}]
    assert numbers(blocks) == [0, 2]
    first, second = bad(blocks)
    assert (first.row, first.error) == (1, "TypeError")
    assert first.message == "column 'a': expected int8 but received 300"
    assert first.record == '{"a": 300, "s": "q"}'
    assert second.row == 3


def test_lists_of_another_length_are_bad_rows(tmp_path):
    uri = make(tmp_path / "f.parquet", {"v": [[1.0, 2.0], [3.0], [4.0, 5.0]]})
    blocks = read("parquet", whole(uri), [("v", pa.list_(pa.float32(), 2))])
    assert rows(blocks) == [{"v": [1.0, 2.0]}, {"v": [4.0, 5.0]}]
    assert [b.row for b in bad(blocks)] == [1]


def test_cast_that_does_not_exist_names_file_column_and_types(tmp_path):
    uri = make(tmp_path / "f.parquet", {"v": [[1.0]]})
    expected = r"f\.parquet: column 'v' is list<.*cannot be read as int64"
    with pytest.raises(InputError, match=expected):
        read("parquet", whole(uri), [("v", pa.int64())])


@pytest.mark.parametrize(
    ("one", "other", "common"),
    [
        (pa.int32(), pa.int64(), pa.int64()),
        (pa.float64(), pa.float32(), pa.float64()),
        (pa.string(), pa.large_string(), pa.large_string()),
        (pa.dictionary(pa.int8(), pa.string()), pa.string(), pa.string()),
        (pa.null(), pa.string(), pa.string()),
    ],
)
def test_types_that_go_together(tmp_path, one, other, common):
    uris = [
        make(tmp_path / f"{i}.parquet", {"a": pa.array([None], kind)})
        for i, kind in enumerate((one, other))
    ]
    assert inspect(*uris).schema.field("a").type == common
    for uri in uris:
        assert rows(read("parquet", whole(uri), [("a", common)])) == [{"a": None}]


def test_type_that_differs_in_one_file(tmp_path):
    good = [make(tmp_path / f"{i}.parquet", {"a": [1]}) for i in range(3)]
    odd = make(tmp_path / "odd.parquet", {"a": ["x"]})
    expected = (
        r"odd\.parquet: column 'a' is string but int64 in .*0\.parquet: "
        r"convert .* --type a=TYPE"
    )
    with pytest.raises(InputError, match=expected):
        inspect(*good, odd)
    assert inspect(*good, odd, a="string").schema.field("a").type == pa.string()


def test_column_that_lacks_in_one_file(tmp_path):
    one = make(tmp_path / "1.parquet", {"a": [1], "b": [1]})
    two = make(tmp_path / "2.parquet", {"a": [1]})
    expected = r"2\.parquet: expected a column 'b' but its columns are 'a'"
    for columns in (None, ("b",)):
        with pytest.raises(InputError, match=expected):
            inspect(one, two, columns=columns)
    assert inspect(one, two, columns=("a",)).schema.names == ["a"]
    with pytest.raises(InputError, match=r"1\.parquet: has a column 'b' that .*2\.parquet lacks"):
        inspect(two, one)
    with pytest.raises(InputError, match=expected):
        read("parquet", whole(two), [("b", pa.int64())])


def test_two_columns_of_one_name(tmp_path):
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    uri = make(tmp_path / "f.parquet", table)
    with pytest.raises(InputError, match="two columns are called 'a'"):
        inspect(uri)


def broken_files(path) -> dict[str, bytes]:
    pq.write_table(pa.table({"a": range(1000)}), path)
    data = path.read_bytes()
    return {
        "cut": data[:-100],
        "empty": b"",
        "text": b"hello, this is no Parquet file at all",
        "footer": data[:-8] + b"\xff\xff\xff\x7fPAR1",
    }


@pytest.mark.parametrize("name", ["cut", "empty", "text", "footer"])
def test_file_that_is_not_whole(tmp_path, name):
    uri = write(tmp_path / "f.parquet", broken_files(tmp_path / "good.parquet")[name])
    expected = r"f\.parquet: not a whole Parquet file \(.*\): is it truncated"
    with pytest.raises(InputError, match=expected):
        inspect(uri)
    with pytest.raises(InputError, match=expected):
        read("parquet", whole(uri), [("a", pa.int64())])


def test_file_that_breaks_inside_names_the_row_group(tmp_path):
    path = tmp_path / "f.parquet"
    make(path, {"a": np.random.default_rng(0).random(5000)}, row_group_size=2500)
    data = bytearray(path.read_bytes())
    column = pq.read_metadata(path).row_group(1).column(0)
    start = column.dictionary_page_offset or column.data_page_offset
    data[start : start + 200] = b"\xff" * 200
    uri = write(path, bytes(data))
    with pytest.raises(InputError, match=r"f\.parquet: row group 1 cannot be read"):
        read("parquet", whole(uri), [("a", pa.float64())])


def test_columns_that_nobody_asks_for_are_not_read(tmp_path):
    path = tmp_path / "f.parquet"
    make(path, {"a": list(range(5000)), "b": np.random.default_rng(0).random(5000)})
    data = bytearray(path.read_bytes())
    column = pq.read_metadata(path).row_group(0).column(1)
    start = column.dictionary_page_offset or column.data_page_offset
    data[start : start + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    uri = write(path, bytes(data))
    blocks = read("parquet", whole(uri), [("a", pa.int64())])
    assert [row["a"] for row in rows(blocks)] == list(range(5000))


def test_file_that_changed_since_planning(tmp_path):
    uri = make(tmp_path / "f.parquet", {"a": [1]})
    with pytest.raises(InputError, match="it has changed"):
        read("parquet", Piece(uri, 0, 5, 5), [("a", pa.int64())])


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"gone\.parquet: expected a file but there is none"):
        inspect(str(tmp_path / "gone.parquet"))


def test_blocks_are_bounded(tmp_path):
    uri = make(
        tmp_path / "f.parquet", {"s": [f"{i:0100}" for i in range(20_000)], "i": range(20_000)}
    )
    blocks = read("parquet", whole(uri), inspect(uri).schema, block_bytes=100_000)
    assert max(b.batch.nbytes for b in blocks) <= 100_000
    assert len(blocks) < 60
    blocks = read("parquet", whole(uri), [("i", pa.int64())], block_rows=3000)
    assert max(len(b.rows) for b in blocks) == 3000


def test_repeated_long_values_do_not_make_large_blocks(tmp_path):
    uri = make(tmp_path / "f.parquet", {"s": ["x" * 5000] * 8000})  # a dictionary of one value
    blocks = read("parquet", whole(uri), [("s", pa.string())], block_bytes=1 << 20)
    assert max(b.batch.nbytes for b in blocks) <= 1 << 20


MEASURE = """
    import os, sys, threading, time
    import psutil
    from mrmodel.formats import get_format
    from mrmodel.formats.base import InspectOptions, ReadOptions
    from mrmodel.shards.shard import Piece

    uri = sys.argv[1]
    size = os.path.getsize(uri)
    reader = get_format("parquet")
    schema = reader.inspect([uri], InspectOptions()).schema
    process = psutil.Process()
    before, peak, rows = process.memory_info().rss, 0, 0
    for block in reader.read(Piece(uri, 0, size, size), ReadOptions(schema)):
        rows += len(block.rows)
        peak = max(peak, process.memory_info().rss)
    print(peak - before, rows)
"""


def test_memory_is_flat_in_the_size_of_a_row_group(tmp_path):
    peaks = []
    for megabytes in (40, 200):
        count = megabytes * (1 << 20) // 40
        rng = np.random.default_rng(0)
        data = {f"f{i}": rng.random(count, dtype=np.float32) for i in range(10)}
        uri = make(tmp_path / "f.parquet", data, row_group_size=count, use_dictionary=False)
        del data
        assert pq.read_metadata(uri).num_row_groups == 1
        out = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(MEASURE), uri],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        assert int(out[1]) == count
        peaks.append(int(out[0]))
    assert peaks[1] - peaks[0] < 20 << 20, peaks
    assert peaks[1] < 120 << 20, peaks
