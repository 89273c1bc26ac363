"""Results in any order, written in the order of the input."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mrmodel.errors import ModelOutputError
from mrmodel.formats.base import BadRow
from mrmodel.shards.shard import Piece, Shard
from mrmodel.tasks.forward import Failure, Success
from mrmodel.tasks.shard_writer import ShardWriter, metadata_of
from mrmodel.tasks.windows import Window


def window(rows, bad=()):
    ids = pa.RecordBatch.from_pydict({"id": list(rows), "other": ["o"] * len(rows)})
    letters = tuple(BadRow("/a", n, "Broken", "m", None) for n in bad)
    return Window(ids, ["/a"] * len(rows), np.array(rows), letters, 10)


def success(*indices, **columns):
    values = columns or {"y": [float(n) for n in indices]}
    return Success(np.array(indices), pa.RecordBatch.from_pydict(values))


def writer(tmp_path, keep=("id",), output_format="parquet"):
    return ShardWriter(str(tmp_path), keep, output_format, {})


def test_the_order_of_the_input_is_restored(tmp_path):
    out = writer(tmp_path)
    out.write(window([10, 11, 12, 13, 14]), [success(4, 0), success(2), success(3, 1)])
    out.close()
    found = pq.read_table(tmp_path / "part.parquet").to_pylist()
    assert found == [{"id": 10 + n, "y": float(n)} for n in range(5)]
    assert (out.rows_in, out.rows_ok, out.dead_letters.count) == (5, 5, 0)


def test_failed_rows_leave_the_part_and_become_letters(tmp_path):
    out = writer(tmp_path)
    results = [success(2), Failure(1, KeyError("no")), success(0)]
    out.write(window([5, 7, 8], bad=[6]), results)
    out.close()
    assert pq.read_table(tmp_path / "part.parquet")["id"].to_pylist() == [5, 8]
    assert (out.rows_in, out.rows_ok, out.dead_letters.count) == (4, 2, 2)
    assert list(out.dead_letters.errors) == ["Broken", "KeyError"]


def test_no_good_row_no_part(tmp_path):
    out = writer(tmp_path)
    out.write(window([0]), [Failure(0, ValueError("no"))])
    out.close()
    assert out.part_name is None
    assert [path.name for path in tmp_path.iterdir()] == ["bad.jsonl"]


def test_an_integer_batch_after_a_float_one(tmp_path):
    out = writer(tmp_path)
    out.write(window([0, 1]), [success(0, y=[0.5]), success(1, y=[1])])
    out.write(window([2]), [success(0, y=[2])])
    out.close()
    assert pq.read_table(tmp_path / "part.parquet")["y"].to_pylist() == [0.5, 1.0, 2.0]


def test_none_at_first(tmp_path):
    """The first window may hold no value of an optional column."""
    out = writer(tmp_path)
    out.write(window([0, 1]), [success(0, y=[None]), success(1, y=[None])])
    out.write(window([2]), [success(0, y=["late"])])
    out.close()
    assert pq.read_table(tmp_path / "part.parquet")["y"].to_pylist() == [None, None, "late"]


@pytest.mark.parametrize("later", [{"y": [0.5]}, {"y": ["a"]}, {"z": [1]}, {"y": [1], "z": [1]}])
def test_outputs_that_change(tmp_path, later):
    out = writer(tmp_path)
    out.write(window([0]), [success(0, y=[1])])
    with pytest.raises(ModelOutputError, match="predict returned"):
        out.write(window([1]), [success(0, **later)])


def test_an_output_with_the_name_of_a_kept_column(tmp_path):
    with pytest.raises(ModelOutputError, match="returned column 'id', which is also"):
        writer(tmp_path).write(window([0]), [success(0, id=[1])])
    writer(tmp_path, keep=("other",)).write(window([0]), [success(0, id=[1])])


def test_jsonl(tmp_path):
    out = writer(tmp_path, keep=(), output_format="jsonl")
    out.write(window([0, 1]), [success(1, 0)])
    out.close()
    assert out.part_name == "part.jsonl"
    assert (tmp_path / "part.jsonl").read_text() == '{"y": 0.0}\n{"y": 1.0}\n'


def test_what_a_part_says_of_itself():
    shard = Shard(tuple(Piece(f"/{n}", n, 5, 9) for n in range(300)))
    told = metadata_of("abc", shard, "1.0")
    assert told["mrmodel.source"].splitlines()[:2] == ["/0:0+5", "/1:1+5"]
    assert len(told["mrmodel.source"].splitlines()) == 100  # of 10,000 files, footers would swell
    assert told["mrmodel.shard"] == shard.key
