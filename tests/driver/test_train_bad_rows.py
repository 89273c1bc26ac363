"""The rows that training cannot take: each once in CHECKPOINTS/_bad, whatever read it how often."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import mrmodel
from mrmodel.cli.main import main
from mrmodel.errors import MrmodelError
from tests.driver.helpers import bad, jsonl, names

MODES = {
    "gradient": {"sync": "gradient", "rounds": 3},
    "lbfgs": {"sync": "gradient", "rounds": 1, "optimizer": "lbfgs"},
    "local": {"sync": "local", "rounds": 3, "inner_steps": 40, "optimizer": "sgd"},
    "allreduce": {"sync": "allreduce", "rounds": 2, "optimizer": "sgd"},
}
BROKEN = [3, 4, 57, 401, 799]  # of 800 lines
NULL = 500


@pytest.fixture
def lake(tmp_path):
    """Lines, which are cut between workers, and a small Parquet file with a null."""
    random = np.random.default_rng(1)
    rows = [{"x": [x, -x], "y": x, "more": "m" * 900} for x in random.random(800).tolist()]
    lines = ["{broken" if n in BROKEN else {**row, "n": n} for n, row in enumerate(rows)]
    lines[NULL] = {**lines[NULL], "y": None}
    jsonl(tmp_path / "in" / "a.jsonl", lines)
    (tmp_path / "net.py").write_text(
        "import torch\ndef net():\n    return torch.nn.Linear(2, 1).double()\n"
    )
    return tmp_path


def train(lake, mode="gradient", data=None, **options):
    options = {"shard_size": "64KB", "batch_size": 16, "lr": 0.01, **MODES[mode], **options}
    return mrmodel.train(
        f"{lake}/net.py:net", data or lake / "in", lake / "ck", inputs=["x"], label="y",
        loss="mse", **{"max_bad": "1%", **options},
    )  # fmt: skip


def told(lake):
    return [(letter["row"], letter["error"]) for letter in bad(lake / "ck")]


WANTED = sorted([*((n, "JSONDecodeError") for n in BROKEN), (NULL, "NullInput")])


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("gradient", {}),
        ("gradient", {"runner": "local", "workers": 2}),
        ("lbfgs", {}),
        ("local", {}),
        ("allreduce", {}),
        ("allreduce", {"runner": "local", "workers": 2, "shard_size": "200KB"}),
    ],
)
def test_each_once_with_its_place(lake, mode, options):
    run = train(lake, mode, **options)
    found = sorted(bad(lake / "ck"), key=lambda letter: letter["row"])
    assert [letter["row"] for letter in found] == [n for n, _ in WANTED]
    assert {letter["source"] for letter in found} == {str(lake / "in" / "a.jsonl")}
    assert sorted(found[0]) == ["error", "message", "record", "row", "source"]
    assert found[0]["record"] == "{broken"
    assert json.loads(found[4]["record"])["y"] is None
    assert found[4]["error"] == "NullInput"
    assert run.bad == run.history[0]["bad"] == len(WANTED)
    assert names(lake) == ["ck", "in", "net.py"]


@pytest.mark.parametrize("mode", ["gradient", "local", "allreduce"])
def test_too_many_are_where_the_error_says(lake, mode):
    with pytest.raises(MrmodelError, match=f"6 of [0-9]+ rows .*see {lake}/ck/_bad: mend them, or"):
        train(lake, mode, max_bad="5")
    assert len(told(lake)) == 6
    run = train(lake, mode, max_bad="6")  # what a first round left is nothing to ask about
    assert run.rounds == MODES[mode]["rounds"]


@pytest.mark.parametrize("mode", ["gradient", "local", "allreduce"])
def test_resume_overwrite_and_keep_last(lake, mode):
    train(lake, mode, rounds=1, keep_last=1)
    first = bad(lake / "ck")
    run = train(lake, mode, rounds=2, keep_last=1, resume=True)
    assert (run.rounds, run.bad) == (2, 6)
    assert bad(lake / "ck") == first
    assert "round-000001" not in names(lake / "ck")
    pq.write_table(pa.table({"x": [[0.0, 1.0]], "y": [0.5]}), lake / "good.parquet")
    run = train(lake, mode, data=lake / "good.parquet", rounds=1, overwrite=True)
    assert run.bad == 0
    assert not (lake / "ck" / "_bad").exists()


def test_mended_rows_are_not_bad_any_more(lake):
    """A run that is resumed looks again."""
    code = lake / "in" / "b.jsonl"
    jsonl(code, [{"x": [1.0, 2.0], "y": 1.0, "more": "", "n": 0}, "{broken"])
    with pytest.raises(MrmodelError, match="7 of 802 rows"):
        train(lake, max_bad="6")
    jsonl(code, [{"x": [1.0, 2.0], "y": 1.0, "more": "", "n": 0}])
    train(lake, max_bad="6", resume=True)
    assert len(bad(lake / "ck")) == 6


def test_local_steps_tell_of_the_rows_that_they_came_to(lake):
    """Two steps of a shard do not read it to its end; more rounds come further."""
    one = {"inner_steps": 1, "batch_size": 8, "max_bad": "50%"}
    jsonl(lake / "in" / "a.jsonl", [{"x": [1.0, 2.0], "y": 1.0}] * 20_000 + ["{broken"])
    run = train(lake, "local", rounds=1, shard_size="128MB", **one)
    assert (run.bad, told(lake)) == (0, [])
    steps = {**one, "inner_steps": 3000}
    run = train(lake, "local", rounds=1, shard_size="128MB", overwrite=True, **steps)
    assert (run.bad, told(lake)) == (1, [(20_000, "JSONDecodeError")])


def test_the_summary_names_the_folder(lake, capfd):
    words = ["train", f"{lake}/net.py:net", lake / "in", "-o", lake / "ck", "--inputs", "x",
             "--label", "y", "--loss", "mse", "--rounds", 1, "--max-bad", "1%"]  # fmt: skip
    assert main([str(word) for word in words]) == 0
    assert f"bad rows       6, in {lake}/ck/_bad" in capfd.readouterr().out
