"""A predict job from beginning to end, on the inline runner."""

import json
import os
import threading

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mrmodel.driver.run import Run
from mrmodel.errors import (
    InputError,
    JobError,
    LedgerError,
    ModelError,
    ModelOutputError,
    UsageError,
)
from tests.driver import helpers
from tests.driver.helpers import COUNTING, Listener, bad, ids, model, names, parquet, rows, run


def test_predictions_in_input_order(tmp_path):
    files = [parquet(tmp_path / f"{n}.parquet", range(n * 50, n * 50 + 50)) for n in range(3)]
    out = tmp_path / "out"
    found = run(model(tmp_path), files, out)
    assert rows(out) == [{"id": n, "twice": 2.0 * n} for n in range(150)]
    assert names(out) == ["_SUCCESS", "_mrmodel", "part-00000.parquet"]
    assert names(tmp_path / "out" / "_mrmodel") == ["run.json"]
    assert found.success and found.rows == {"in": 150, "ok": 150, "bad": 0}
    assert helpers.staging(out).exists() is False


def test_run_json_is_the_run_that_is_returned(tmp_path):
    data = parquet(tmp_path / "a.parquet", range(50))
    found = run(model(tmp_path), data, tmp_path / "out")
    written = json.loads((tmp_path / "out" / "_mrmodel" / "run.json").read_text())
    assert Run.from_dict(written) == Run.from_dict(json.loads(json.dumps(found.to_dict())))
    assert written["rows"] == {"in": 50, "ok": 50, "bad": 0}
    assert written["model"]["ref"] == f"{tmp_path}/model.py:Model"
    assert len(written["model"]["sha256"]) == 64
    assert written["inputs"] == [{"uri": str(data), "bytes": data.stat().st_size, "rows": 50}]
    assert written["runner"] == "inline"
    assert {"mrmodel", "python", "torch", "pyarrow", "numpy"} <= set(written["versions"])
    phases = {"total", "start", "load", "read", "prepare", "forward", "write"}
    assert set(written["seconds"]) == phases
    assert written["rows_per_second"] > 0 and 0 <= written["forward_share"] <= 1
    (shard,) = written["shards"]
    assert shard["rows"] == {"in": 50, "ok": 50, "bad": 0}
    assert shard["pieces"][0]["uri"] == str(data)
    assert shard["output"] == "part-00000.parquet"


def test_each_part_says_where_it_comes_from(tmp_path):
    data = parquet(tmp_path / "a.parquet", range(50))
    found = run(model(tmp_path), data, tmp_path / "out")
    told = pq.read_schema(tmp_path / "out" / "part-00000.parquet").metadata
    assert told[b"mrmodel.model_sha256"].decode() == found.model["sha256"]
    assert told[b"mrmodel.source"].decode() == f"{data}:0+{data.stat().st_size}"
    assert told[b"mrmodel.shard"].decode() == found.shards[0]["shard"]


def test_arrays_are_fixed_size_lists(tmp_path):
    code = """
        class Model(mrmodel.Predictor):
            inputs = ["x"]

            def predict(self, batch):
                n = len(batch["x"])
                return {"vector": torch.zeros(n, 3), "matrix": np.ones((n, 2, 2), np.int64),
                        "flag": batch["x"] > 1, "word": ["a"] * n}
    """
    run(model(tmp_path, code), parquet(tmp_path / "a.parquet", range(3)), tmp_path / "out")
    schema = pq.read_schema(tmp_path / "out" / "part-00000.parquet")
    assert schema.field("vector").type == pa.list_(pa.field("element", pa.float32()), 3)
    assert pa.types.is_fixed_size_list(schema.field("matrix").type)
    assert (schema.field("flag").type, schema.field("word").type) == (pa.bool_(), pa.string())
    table = pq.read_table(tmp_path / "out")  # as a folder, like Spark and pandas do
    assert table.num_rows == 3
    vectors = np.stack(table["vector"].combine_chunks().to_numpy(zero_copy_only=False))
    assert vectors.shape == (3, 3)


def test_jsonl_output(tmp_path):
    code = """
        class Model(mrmodel.Predictor):
            inputs = ["x"]

            def predict(self, batch):
                return {"y": [float("nan"), float("inf"), 1.5], "b": [b"x", b"", b"\\xff"]}
    """
    times = pa.array([1001, 0, None], pa.timestamp("ns"))
    data = parquet(tmp_path / "a.parquet", range(3), at=times)
    out = tmp_path / "out"
    run(model(tmp_path, code), data, out, output_format="jsonl", batch_size="3")
    lines = [json.loads(line) for line in (out / "part-00000.jsonl").read_text().splitlines()]
    assert lines == [
        {"id": 0, "at": "1970-01-01T00:00:00.000001001", "y": None, "b": "eA=="},
        {"id": 1, "at": "1970-01-01T00:00:00", "y": None, "b": ""},
        {"id": 2, "at": None, "y": 1.5, "b": "/w=="},
    ]


def test_empty_folder_is_complete(tmp_path):
    (tmp_path / "in").mkdir()
    found = run(model(tmp_path), tmp_path / "in", tmp_path / "out")
    assert found.success and found.rows == {"in": 0, "ok": 0, "bad": 0}
    assert names(tmp_path / "out") == ["_SUCCESS", "_mrmodel"]


def test_empty_files_have_no_rows(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jsonl").touch()
    parquet(tmp_path / "pq" / "a.parquet", [])
    for folder in ("in", "pq"):
        found = run(model(tmp_path), tmp_path / folder, tmp_path / f"out-{folder}")
        assert found.success and found.rows["in"] == 0


def test_odd_names_of_paths_and_columns(tmp_path):
    folder = tmp_path / "a b,{c} é 日本" / "in%20 [x]"
    folder.mkdir(parents=True)
    odd = "x, {y} é\t日本.z"
    pq.write_table(pa.table({odd: [1.0, 2.0], "k y": ["a", "b"]}), folder / "d,#?.parquet")
    code = f"""
        class Model(mrmodel.Predictor):
            inputs = [{odd!r}]

            def predict(self, batch):
                return {{"out, é": batch[{odd!r}] * 2}}
    """
    out = tmp_path / "o,u t{é}"
    run(model(tmp_path, code), folder, out)
    assert rows(out) == [{"k y": "a", "out, é": 2.0}, {"k y": "b", "out, é": 4.0}]


def test_partitions_become_columns(tmp_path):
    for day, first in (("2026-01-01", 0), ("2026-01-02", 10)):
        parquet(tmp_path / "in" / f"dt={day}" / "a.parquet", range(first, first + 2))
    run(model(tmp_path), tmp_path / "in", tmp_path / "out")
    found = [(row["id"], str(row["dt"])) for row in rows(tmp_path / "out")]
    days = ["2026-01-01"] * 2 + ["2026-01-02"] * 2
    assert found == list(zip([0, 1, 10, 11], days, strict=True))


def test_keep_and_inputs(tmp_path):
    data = parquet(tmp_path / "a.parquet", range(2), extra=pa.array(["a", "b"]))
    run(model(tmp_path), data, tmp_path / "out", keep=("extra", "x"))
    assert rows(tmp_path / "out")[1] == {"extra": "b", "x": 1.0, "twice": 2.0}
    run(model(tmp_path), data, tmp_path / "none", keep=())
    assert rows(tmp_path / "none")[1] == {"twice": 2.0}


def test_row_numbers_of_dead_letters_in_a_file_that_was_cut(tmp_path):
    """A task cannot know how many lines lie before its piece; the driver can."""
    lines = [{"id": n, "x": n, "pad": "." * (n % 97)} for n in range(60_000)]
    wrong = [0, 1, 777, 20_000, 31_415, 45_000, 59_999]
    for n in wrong:
        lines[n] = "{no json"
    data = helpers.jsonl(tmp_path / "a.jsonl", lines)
    found = run(model(tmp_path), data, tmp_path / "out", max_bad="7", shard_size="1MB")
    assert len(found.shards) > 3
    assert [letter["row"] for letter in bad(tmp_path / "out")] == wrong
    assert ids(tmp_path / "out") == [n for n in range(60_000) if n not in wrong]


def test_helper_code_from_py_files(tmp_path):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "factor.py").write_text("FACTOR = 3")
    (tmp_path / "m").mkdir()
    code = """
        import factor

        class Model(mrmodel.Predictor):
            inputs = ["x"]

            def predict(self, batch):
                return {"y": batch["x"] * factor.FACTOR}
    """
    data = parquet(tmp_path / "a.parquet", range(2))
    lib = (str(tmp_path / "lib" / "factor.py"),)
    run(model(tmp_path / "m", code), data, tmp_path / "out", py_files=lib)
    assert rows(tmp_path / "out")[1]["y"] == 3.0


def test_the_books_are_checked_against_the_plan(tmp_path, monkeypatch):
    """The footer promises more rows than the reader gives."""
    from mrmodel.formats.parquet import ParquetFormat

    read = ParquetFormat.read
    monkeypatch.setattr(ParquetFormat, "read", lambda *args: list(read(*args))[:-1])
    data = parquet(tmp_path / "a.parquet", range(20_000))
    with pytest.raises(LedgerError, match="planned 20000, read"):
        run(model(tmp_path), data, tmp_path / "out")
    assert names(tmp_path) == ["a.parquet", "model.py"]


def test_a_file_that_changes_between_planning_and_reading(tmp_path):
    data = parquet(tmp_path / "a.parquet", range(50))

    class Changing(Listener):
        def watch(self, *args):
            parquet(data, range(60))
            return self

    with pytest.raises(InputError, match="it has changed; run the job again"):
        run(model(tmp_path), data, tmp_path / "out", Changing())
    assert names(tmp_path) == ["a.parquet", "model.py"]


def test_a_file_that_breaks_in_the_middle(tmp_path):
    """Its footer is whole, so that planning sees nothing wrong."""
    data = parquet(tmp_path / "a.parquet", range(20_000))
    content = bytearray(data.read_bytes())
    content[1000:20_000] = bytes(19_000)
    data.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.parquet: row group 0 cannot be read"):
        run(model(tmp_path), data, tmp_path / "out")
    assert names(tmp_path) == ["a.parquet", "model.py"]


def test_a_shard_that_nobody_ran(tmp_path, monkeypatch):
    from mrmodel.runners.inline import InlineLauncher

    monkeypatch.setattr(InlineLauncher, "run", lambda self, launch: None)
    with pytest.raises(LedgerError, match="1 of 1 shards are not finished"):
        run(model(tmp_path), parquet(tmp_path / "a.parquet", range(5)), tmp_path / "out")


@pytest.mark.parametrize(
    ("body", "error", "message"),
    [
        ("return {'y': batch['x'][1:]}", ModelOutputError, "19 rows in column 'y' for a batch"),
        ("return None", ModelOutputError, "predict returned None"),
        ("return {'id': batch['x']}", ModelOutputError, "column 'id', which is also"),
        ("raise MemoryError('no room')", JobError, "out of memory on a batch of a single row"),
        ("sys.exit()", JobError, r"sys\.exit\(None\)"),
    ],
)
def test_a_job_that_fails_leaves_nothing(tmp_path, body, error, message):
    code = f"""
        class Model(mrmodel.Predictor):
            inputs = ["x"]

            def predict(self, batch):
                {body}
    """
    data = parquet(tmp_path / "a.parquet", range(20))
    before = threading.active_count()
    with pytest.raises(error, match=message) as raised:
        run(model(tmp_path, code), data, tmp_path / "out", batch_size="20")
    assert raised.value.exit_code == 1
    assert "\n" not in raised.value.message
    assert names(tmp_path) == ["a.parquet", "model.py"]
    assert threading.active_count() <= before + 1


def test_a_model_that_does_not_load(tmp_path):
    code = """
        class Model(mrmodel.Predictor):
            inputs = ["x"]

            def load(self, weights, device):
                self.find({})

            def find(self, table):
                return table["weights"]
    """
    data = parquet(tmp_path / "a.parquet", range(20))
    with pytest.raises(ModelError, match="the model failed to load: KeyError") as raised:
        run(model(tmp_path, code), data, tmp_path / "out")
    assert 'return table["weights"]' in raised.value.detail
    assert "mrmodel/tasks" not in raised.value.detail
    assert names(tmp_path) == ["a.parquet", "model.py"]


def test_inputs_that_are_one_str(tmp_path):
    """Each letter would be a column."""
    code = helpers.DOUBLER.replace('inputs = ["x"]', 'inputs = "text"')
    with pytest.raises(ModelError, match=r"write inputs = \['text'\]"):
        run(model(tmp_path, code), parquet(tmp_path / "a.parquet", [1]), tmp_path / "out")


def test_options_are_checked_before_anything_is_touched(tmp_path):
    for options, message in [
        ({"overwrite": True, "resume": True}, "at most one"),
        ({"batch_size": "0"}, "--batch-size"),
        ({"batch_size": "many"}, "--batch-size"),
        ({"max_bad": "lots"}, "--max-bad"),
        ({"shard_size": "big"}, "--shard-size"),
        ({"runner": "emr"}, "later release"),
        ({"runner": "spark"}, "expected one of inline, local, hadoop"),
    ]:
        with pytest.raises(UsageError, match=message):
            run("no.py:Model", tmp_path / "nothing", tmp_path / "out", **options)


def test_out_of_memory_is_remembered_for_the_next_task(tmp_path):
    code = """
        class Model(mrmodel.Predictor):
            inputs = ["x"]

            def predict(self, batch):
                if len(batch["x"]) > 10:
                    raise torch.OutOfMemoryError("CUDA out of memory")
                with open(pathlib.Path(__file__).parent / "sizes", "a") as file:
                    file.write(f"{len(batch['x'])}\\n")
                return {"y": batch["x"]}
    """
    files = [parquet(tmp_path / "in" / f"{n}.parquet", range(100)) for n in range(3)]
    found = run(model(tmp_path, code), files, tmp_path / "out", shard_size="1")
    assert found.rows == {"in": 300, "ok": 300, "bad": 0}
    assert [shard["batch_size"] for shard in found.shards] == [8, 8, 8]
    sizes = [int(line) for line in (tmp_path / "sizes").read_text().split()]
    assert max(sizes) == 8


def test_a_bound_of_cost_is_remembered_for_the_next_task(tmp_path):
    code = """
        class Model(mrmodel.Predictor):
            inputs = ["x"]

            def prepare(self, batch):
                return {"x": batch["x"]}

            def size(self, prepared):
                return np.full(len(prepared["x"]), 10)

            def predict(self, batch):
                if len(batch["x"]) > 10:
                    raise torch.OutOfMemoryError("CUDA out of memory")
                with open(pathlib.Path(__file__).parent / "sizes", "a") as file:
                    file.write(f"{len(batch['x'])}\\n")
                return {"y": batch["x"]}
    """
    files = [parquet(tmp_path / "in" / f"{n}.parquet", range(100)) for n in range(3)]
    run(model(tmp_path, code), files, tmp_path / "out", shard_size="1")
    sizes = [int(line) for line in (tmp_path / "sizes").read_text().split()]
    # 16 rows were tried, and failed, in the first task alone
    assert sizes[:8] == [4, 4, 4, 8, 8, 8, 8, 8]
    assert sizes[-26:] == ([8] * 12 + [4]) * 2


def test_max_bad(tmp_path):
    from mrmodel.errors import TooManyBadRowsError

    data = parquet(tmp_path / "a.parquet", [*range(48), -1, -2])
    for allowed, good in [("0", False), ("1", False), ("2", True), ("3%", False), ("4%", True)]:
        out = tmp_path / f"out-{allowed}"
        if good:
            assert run(model(tmp_path, COUNTING), data, out, max_bad=allowed).success
        else:
            with pytest.raises(TooManyBadRowsError, match="2 of 50 rows are bad") as raised:
                run(model(tmp_path, COUNTING), data, out, max_bad=allowed)
            assert raised.value.exit_code == 3
            assert raised.value.run.errors == [("ValueError", 2, "x is negative")]
        assert (out / "_SUCCESS").exists() is good
        assert (len(ids(out)), len(bad(out))) == (48, 2)
        assert {"source", "row", "error", "message", "record"} == set(bad(out)[0])


@pytest.mark.parametrize("output_format", ["parquet", "jsonl"])
def test_a_file_whose_name_is_not_unicode(tmp_path, output_format):
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
    os.mkdir(folder)
    data = parquet(tmp_path / "b.parquet", [0, -1]).rename(f"{folder}/a.parquet")
    ref = model(tmp_path, COUNTING)
    run(ref, folder, tmp_path / "out", output_format=output_format, max_bad="1")
    assert ids(tmp_path / "out") == [0]
    assert bad(tmp_path / "out")[0]["source"] == str(data)
