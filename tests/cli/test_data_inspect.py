"""`mrmodel data inspect`, as a person and as a script read it."""

import json
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from mrmodel.cli.data_inspect import inspect
from mrmodel.errors import InputError, UsageError


def run(*arguments):
    result = CliRunner().invoke(inspect, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def lake(tmp_path):
    for day in ("2026-01-01", "2026-01-02"):
        folder = tmp_path / f"dt={day}"
        folder.mkdir()
        columns = {"id": list(range(5000)), "text": [f"row {n} [b]" for n in range(5000)]}
        table = pa.table({**columns, "vector": [[float(n)] * 384 for n in range(5000)]})
        pq.write_table(table, folder / "a.parquet", row_group_size=1000)
    return tmp_path


def test_people_see_columns_rows_sizes_and_a_sample(lake):
    output = run(lake, "--rows", 2)
    lines = [" ".join(line.split()) for line in output.splitlines()]
    assert "format parquet" in lines
    assert "rows 10,000" in lines
    assert any(line.startswith("files 2 (") for line in lines)
    assert any(line.startswith("row groups 10 (min ") for line in lines)
    assert "partition dt: 2 values" in lines
    assert any(line.startswith("shards 1 (") for line in lines)
    assert "row 0 [b]" in output and "row 2 [b]" not in output
    assert "2026-01-01" in output


@pytest.mark.parametrize("width", [40, 80, 200])
def test_every_column_type_and_row_is_shown_at_any_width(tmp_path, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    columns = {f"column {n}": [f"cell {n}.{row}" for row in range(5)] for n in range(30)}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    output = run(tmp_path)
    cells = [f"cell {n}.{row}" for n in range(30) for row in range(5)]
    assert all(text in output for text in ["column 29", "string", *cells])
    assert max(len(line) for line in output.splitlines()) <= width or width < 80


def test_scripts_read_json(lake):
    found = json.loads(run(lake, "--json", "--shard-size", "10KB", "--rows", 3))
    assert (found["rows"], found["exact"], found["files"]) == (10_000, True, 2)
    assert found["columns"]["dt"] == "string"
    assert found["row_groups"]["count"] == 10
    assert found["shards"]["count"] > 5
    assert found["data_local"] is None
    assert [row["id"] for row in found["sample"]] == [0, 1, 2]
    assert found["sample"][0]["vector"] == "[0.0, 0.0, 0.0, ... 384 in all]"


def test_rows_of_lines_are_an_estimate(tmp_path):
    for part in range(4):
        lines = (f'{{"id": {n:06}}}\n'.replace(" 0", " 1") for n in range(3000))
        (tmp_path / f"{part}.jsonl").write_text("".join(lines))
    found = json.loads(run(tmp_path, "--json"))
    assert not found["exact"] and 11_000 < found["rows"] < 13_000
    assert "≈ 12,000" in run(tmp_path)


def test_an_empty_folder(tmp_path):
    output = run(tmp_path)
    assert "rows        0" in output and "shards      0" in output


def test_sample_rows_can_be_none(lake):
    assert json.loads(run(lake, "--json", "--rows", 0))["sample"] == []


def test_errors_are_those_of_planning(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        run(tmp_path / "none")
    with pytest.raises(UsageError, match="--shard-size: expected a size"):
        run(tmp_path, "--shard-size", "big")


def test_help_has_examples_and_comes_without_pyarrow():
    assert "mrmodel data inspect hdfs:///data/reviews" in run("--help")
    code = "import sys, mrmodel.cli.data_inspect; sys.exit('pyarrow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
