"""--dtype auto: what is measured, what is taken, and that it stays."""

import pyarrow.parquet as pq
import pytest

from mrmodel.driver import trial
from mrmodel.driver.trial import AS_IT_IS, Choice, Form, Tried
from mrmodel.errors import ModelError, UsageError
from tests.driver import helpers

# sleeps as long as the dtype of its weights says: what is fast is known
TIMED = """
    class Model(mrmodel.Predictor):
        inputs = ["x"]

        def load(self, weights, device):
            self.net = torch.nn.Linear(1, 1)
            torch.nn.init.constant_(self.net.weight, 1.0)
            torch.nn.init.zeros_(self.net.bias)

        def predict(self, batch):
            kind = getattr(self.net, "weight", None)
            kind = str(getattr(kind, "dtype", "int8"))
            time.sleep(SECONDS[kind])
            return {"y": torch.as_tensor(batch["x"]).float() * (1 + OFF[kind])}

    SECONDS = {"torch.float32": 0.1, "torch.bfloat16": 0.02, "int8": 0.01}
    OFF = {"torch.float32": 0.0, "torch.bfloat16": 0.01, "int8": 0.1}
"""
BFLOAT16, INT8 = Form("bfloat16"), Form(quantize="int8")


@pytest.fixture
def timed(tmp_path):
    data = helpers.parquet(tmp_path / "in.parquet", range(1, 21))

    def run(*changes, **options):
        code = TIMED
        for old, new in changes:
            assert old in code
            code = code.replace(old, new)
        ref = helpers.model(tmp_path, code)
        return helpers.run(ref, data, tmp_path / "out", dtype="auto", **options)

    return run


def taken(run):
    form = run.model["form"]["form"]
    return form["quantize"] or form["dtype"]


def values(run):
    return [row["y"] for row in pq.read_table(run.output).to_pylist()]


def test_the_fastest_within_the_tolerance_is_taken(timed):
    run = timed()
    assert taken(run) == "bfloat16"
    assert values(run)[:2] == pytest.approx([1.01, 2.02])
    found = {Tried(**{**one, "form": Form(**one["form"])}) for one in run.model["form"]["tried"]}
    far = {str(one.form): round(one.difference, 4) for one in found}
    assert far == {"bfloat16": 0.01, "int8": 0.1}
    assert all(one.speed > 1.5 for one in found)


def test_a_larger_tolerance_lets_more_in(timed):
    assert taken(timed(tolerance=0.2)) == "int8"


def test_a_smaller_one_leaves_the_model_as_it_is(timed):
    run = timed(tolerance=0.001)
    assert taken(run) == "float32"
    assert values(run)[:2] == [1.0, 2.0]


def test_what_is_slower_is_never_taken(timed):
    slower = '"torch.bfloat16": 0.02, "int8": 0.01}', '"torch.bfloat16": 0.2, "int8": 0.1}'
    assert taken(timed(slower, tolerance=1.0)) == "float32"


def test_a_form_that_fails_is_told_and_left(timed):
    run = timed(("time.sleep", 'assert kind != "torch.bfloat16"; time.sleep'), tolerance=0.05)
    assert taken(run) == "float32"
    assert run.model["form"]["tried"][0]["failed"] == "on 20 of 20 rows"


def test_a_resumed_run_keeps_to_what_was_taken(timed, tmp_path, monkeypatch):
    """Measured again it may be another, and no finished shard would count."""
    first = timed()
    (tmp_path / "out" / "_SUCCESS").unlink()
    monkeypatch.setattr(trial, "choose", None)
    again = timed(resume=True)
    assert again.model["form"] == first.model["form"]
    assert again.started == first.started  # every shard was finished already


def test_it_is_for_one_model_without_another_form(timed):
    with pytest.raises(UsageError, match="--dtype auto and --quantize: expected at most one"):
        timed(quantize="int8")


def test_no_rows_are_no_reason(tmp_path):
    data = helpers.parquet(tmp_path / "in.parquet", [])
    run = helpers.run(helpers.model(tmp_path, TIMED), data, tmp_path / "out", dtype="auto")
    assert taken(run) == "float32"
    assert run.model["form"]["rows"] == 0


def test_a_model_that_fails_on_all_rows_says_so(timed):
    with pytest.raises(ModelError, match="fails on every row of the sample"):
        timed(("kind = getattr", 'raise ValueError("never"); kind = getattr'))


def test_a_bad_row_in_the_sample_is_the_jobs_to_tell_of(timed):
    prepare = """def prepare(self, batch):
            if 7 in batch["x"]:
                raise KeyError("no such word")
            return {"x": batch["x"]}

        def size(self, prepared):
            return prepared["x"]

        def predict"""
    run = timed(("def predict", prepare), max_bad="1")
    assert run.rows == {"in": 20, "ok": 19, "bad": 1}
    assert run.model["form"]["rows"] == 20


def test_a_choice_says_why():
    tried = (Tried(BFLOAT16, 2.5, 0.004), Tried(INT8, failed="no linear layer"))
    told = str(Choice(BFLOAT16, 0.02, 256, tried))
    assert told == (
        "--dtype auto takes bfloat16, of 256 rows with a tolerance of 0.02: bfloat16 is 2.50 x as "
        "fast, differs by 0.004; int8 fails (no linear layer)"
    )
    assert str(AS_IT_IS) == "float32"


def test_a_sample_is_not_more_than_it_has_to_be(monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(trial, "SECONDS", 0.1)
    monkeypatch.setattr(trial, "difference", lambda one, other: seen.append(1) or 0.0)
    data = helpers.parquet(tmp_path / "in.parquet", range(1, 300))
    run = helpers.run(helpers.model(tmp_path, TIMED), data, tmp_path / "out", dtype="auto")
    assert 32 <= run.model["form"]["rows"] <= 64
    assert len(seen) == 2 * run.model["form"]["rows"]
