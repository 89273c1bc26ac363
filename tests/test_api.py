"""The Python face: the same job, its run as an object."""

import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import mrmodel
from mrmodel.errors import OutputExistsError, TooManyBadRowsError, UsageError

MODEL = """
import mrmodel

class Half(mrmodel.Predictor):
    inputs = ["x"]

    def predict(self, batch):
        if (batch["x"] < 0).any():
            raise ValueError("negative")
        return {"half": batch["x"] / 2}
"""


@pytest.fixture
def model(tmp_path):
    (tmp_path / "half.py").write_text(MODEL)
    return f"{tmp_path / 'half.py'}:Half"


@pytest.fixture
def data(tmp_path):
    pq.write_table(pa.table({"id": [1, 2, 3], "x": [2.0, -1.0, 6.0]}), tmp_path / "data.parquet")
    return tmp_path / "data.parquet"


def test_predict_returns_the_run(model, data, tmp_path):
    run = mrmodel.predict(model, data, tmp_path / "out", max_bad=1, batch_size=2)
    assert run.rows == {"in": 3, "ok": 2, "bad": 1}
    assert run.success
    assert [(name, rows) for name, rows, _ in run.errors] == [("ValueError", 1)]
    assert pq.read_table(run.output).to_pydict() == {"id": [1, 3], "half": [1.0, 3.0]}


def test_predict_takes_a_class_that_lives_in_a_file(model, data, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    import half

    run = mrmodel.predict(half.Half, [data], tmp_path / "out", max_bad="50%")
    assert run.rows["ok"] == 2
    sys.modules.pop("half")


def test_too_many_bad_rows_is_an_exception_with_the_run(model, data, tmp_path):
    with pytest.raises(TooManyBadRowsError, match="1 of 3 rows are bad") as raised:
        mrmodel.predict(model, data, tmp_path / "out")
    assert raised.value.run.rows["bad"] == 1
    with pytest.raises(OutputExistsError):
        mrmodel.predict(model, data, tmp_path / "out")


def test_train_returns_what_was_done(data, tmp_path):
    (tmp_path / "line.py").write_text(
        "import torch\ndef line():\n    return torch.nn.Linear(1, 1, bias=False)\n"
    )
    run = mrmodel.train(
        f"{tmp_path}/line.py:line", data, tmp_path / "ck", inputs=["x"], label="id", loss="mse",
        lr=0.01, rounds=2, validation=data, threads=1,
    )  # fmt: skip
    assert (run.rounds, len(run.history)) == (2, 2)
    assert run.validation_loss < run.history[0]["loss"]
    with pytest.raises(UsageError, match="unknown key 'wrokers'"):
        mrmodel.train("m.py:Net", data, tmp_path / "more", wrokers=2)


def test_class_without_a_file_is_refused(data, tmp_path):
    class Local(mrmodel.Predictor):
        pass

    with pytest.raises(UsageError, match="tasks must be able to import it"):
        mrmodel.predict(Local, data, tmp_path / "out")


def test_unknown_option_is_refused(model, data, tmp_path):
    with pytest.raises(UsageError, match="unknown key 'wrokers'"):
        mrmodel.predict(model, data, tmp_path / "out", wrokers=2)
