"""Part files and dead letters as others read them."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mrmodel.errors import ModelOutputError
from mrmodel.formats.base import BadRow
from mrmodel.tasks import parts
from mrmodel.tasks.parts import DeadLetters, JsonlPart, ParquetPart


def batch(**columns):
    return pa.RecordBatch.from_pydict(columns)


def parquet(tmp_path, *batches):
    part = ParquetPart(str(tmp_path / "part.parquet"), {"who": "é"})
    for one in batches:
        part.write(one)
    part.close()
    return tmp_path / "part.parquet"


def test_metadata_of_the_input_and_ours(tmp_path):
    told = pa.schema([("x", pa.int64())], {"pandas": "{}"})
    path = parquet(tmp_path, pa.RecordBatch.from_pydict({"x": [1]}, told))
    metadata = pq.read_schema(path).metadata
    assert (metadata[b"who"].decode(), metadata[b"pandas"]) == ("é", b"{}")


def test_row_groups_bound_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "ROW_GROUP_BYTES", 8000)
    path = parquet(tmp_path, *(batch(x=np.arange(100) + n) for n in range(35)))
    meta = pq.read_metadata(path)
    assert [meta.row_group(i).num_rows for i in range(meta.num_row_groups)] == [1000] * 3 + [500]
    assert pq.read_table(path)["x"].to_pylist() == [n + i for n in range(35) for i in range(100)]


def test_what_was_none_at_first_gets_its_type_from_later_rows(tmp_path):
    path = parquet(tmp_path, batch(x=[None, None]), batch(x=["a", None]))
    assert pq.read_table(path)["x"].to_pylist() == [None, None, "a", None]
    assert pq.read_schema(path).field("x").type == pa.string()


def test_a_type_that_comes_too_late(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "ROW_GROUP_BYTES", 1)
    with pytest.raises(ModelOutputError, match="only None in column 'x' at first"):
        parquet(tmp_path, batch(x=[None], y=[1]), batch(x=["a"], y=[2]))


def test_an_empty_part_is_closed(tmp_path):
    part = JsonlPart(str(tmp_path / "part.jsonl"), {})
    part.close()
    assert (tmp_path / "part.jsonl").read_bytes() == b""


def test_jsonl(tmp_path):
    part = JsonlPart(str(tmp_path / "part.jsonl"), {})
    part.write(batch(x=[1.5, float("nan")], s=["é\n", None]))
    part.write(batch(x=[2.0], s=["c"]))
    part.close()
    text = (tmp_path / "part.jsonl").read_text("utf-8")
    assert text == '{"x": 1.5, "s": "é\\n"}\n{"x": null, "s": null}\n{"x": 2.0, "s": "c"}\n'


def test_dead_letters(tmp_path):
    letters = DeadLetters(str(tmp_path / "bad.jsonl"))
    letters.write([])
    assert list(tmp_path.iterdir()) == []
    letters.write([BadRow("/a", 3, "KeyError", "'x'", '{"id": 3}')])
    letters.write([BadRow("/a", 9, "KeyError", "'y'", None), BadRow("/b", 0, "E", "\udcff", "")])
    letters.close()
    found = [json.loads(line) for line in (tmp_path / "bad.jsonl").read_text().splitlines()]
    assert found[0] == {
        "source": "/a", "row": 3, "error": "KeyError", "message": "'x'", "record": '{"id": 3}',
    }  # fmt: skip
    assert len(found) == letters.count == 3
    assert letters.errors == {
        "KeyError": {"count": 2, "example": "'x'"},
        "E": {"count": 1, "example": "\udcff"},
    }
