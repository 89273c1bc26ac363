"""Several loaded models as one Predictor."""

import numpy as np
import pytest

from mrmodel.errors import ModelOutputError
from mrmodel.models.ensemble import Ensemble, Member, told_by
from mrmodel.models.predictor import Predictor
from mrmodel.tensors.aggregation import parse_aggregation


class Plus(Predictor):
    """x + `number`, in place, as careless models work."""

    def __init__(self, number):
        self.number = number

    def predict(self, batch):
        batch["x"] += self.number
        return {"y": batch["x"]}


class Sized(Plus):
    def prepare(self, batch):
        return {"x": batch["x"] * 10}

    def size(self, prepared):
        return prepared["x"]


def ensemble(*predictors, how="mean", columns=None):
    members = [Member(f"m{n}", p, columns) for n, p in enumerate(predictors)]
    return Ensemble(members, parse_aggregation(how) if how else None)


def run(model, **columns):
    found = model.predict(model.prepare({n: np.array(v, float) for n, v in columns.items()}))
    return {name: column.to_pylist() for name, column in found.items()}


def test_every_model_has_its_columns_to_itself():
    assert run(ensemble(Plus(1), Plus(2), Plus(6)), x=[1, 2]) == {"y": [4, 5]}


def test_each_prepares_for_itself():
    model = ensemble(Plus(0), Sized(0))
    assert not hasattr(model, "size")
    assert run(model, x=[2, 4]) == {"y": [11, 22]}


def test_sizes_are_added_up_where_all_have_one():
    model = ensemble(Sized(0), Sized(0), Sized(0))
    assert model.size(model.prepare({"x": np.array([1.0, 2.0])})).tolist() == [30, 60]


def test_side_by_side():
    assert run(ensemble(Plus(1), Plus(2), how=None), x=[1, 2]) == {"y": [[2, 3], [3, 4]]}


def test_a_model_reads_its_own_columns():
    class Names(Predictor):
        def predict(self, batch):
            return {"y": ["+".join(batch)] * len(batch["x"])}

    assert run(ensemble(Names(), Names(), how="concat", columns=("x",)), x=[1], z=[2]) == {
        "y": [["x", "x"]]
    }


def test_the_batch_size_of_exported_models():
    small, large = Plus(0), Plus(0)
    small.batch_size, large.batch_size = 4, 16
    assert ensemble(small, Plus(0), large).batch_size == 16
    assert ensemble(Plus(0), Plus(1)).batch_size is None


class Other(Predictor):
    def __init__(self, output):
        self.output = output

    def predict(self, batch):
        if isinstance(self.output, Exception):
            raise self.output
        return self.output


@pytest.mark.parametrize(
    ("output", "received"),
    [
        ({"z": np.zeros(2)}, r"z \(double\)"),
        ({"y": np.zeros((2, 3), np.float32)}, r"y \(float\[3\]\)"),
        ({"y": np.zeros(2), "z": ["a", "b"]}, r"y \(double\), z \(string\)"),
    ],
)
def test_outputs_that_differ(output, received):
    expected = rf"expected y \(double\) as model m0 gives, but received {received} from model m1"
    with pytest.raises(ModelOutputError, match=expected):
        run(ensemble(Plus(0), Other(output)), x=[1, 2])


def test_errors_name_their_model():
    with pytest.raises(ModelOutputError, match="model m1: predict returned 3 rows in column 'y'"):
        run(ensemble(Plus(0), Other({"y": np.zeros(3)})), x=[1, 2])
    with pytest.raises(KeyError, match="unlucky") as raised:
        run(ensemble(Plus(0), Other(KeyError("unlucky"))), x=[1, 2])
    assert told_by(raised.value) == "m1"
    assert told_by(KeyError("another")) is None
