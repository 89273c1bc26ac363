"""Predictions of several models as one: hand-worked answers."""

import numpy as np
import pyarrow as pa
import pytest

from mrmodel.errors import ModelOutputError
from mrmodel.tensors.aggregation import parse_aggregation
from mrmodel.tensors.outputs import to_arrow
from mrmodel.tensors.side_by_side import alike, one_after_another, reduced, side_by_side


def outputs(*values, dtype=np.float32):
    """The column y of each model."""
    arrays = [np.array(v, dtype) for v in values]
    return [to_arrow({"y": array}, len(array)) for array in arrays]


def y(batches, how):
    found = reduced(batches, parse_aggregation(how))
    assert found.schema.names == ["y"]
    return found.column("y")


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("mean", [3.0, 2.0]),
        ("max", [5.0, 4.0]),
        ("vote", [2.0, 1.0]),
        ("concat", [[2.0, 2.0, 5.0], [4.0, 1.0, 1.0]]),
        ("topk:2", [[5.0, 2.0], [4.0, 1.0]]),
        ("topk:9", [[5.0, 2.0, 2.0], [4.0, 1.0, 1.0]]),
    ],
)
def test_numbers(how, expected):
    assert y(outputs([2, 4], [2, 1], [5, 1]), how).to_pylist() == expected


def test_vectors():
    batches = outputs([[0.6, 0.4], [0.1, 0.9]], [[0.2, 0.8], [0.3, 0.7]], [[0.4, 0.6], [0.8, 0.2]])
    mean = y(batches, "mean")
    assert mean.type == pa.list_(pa.float32(), 2)
    np.testing.assert_allclose(mean.to_pylist(), [[0.4, 0.6], [0.4, 0.6]], rtol=1e-6)
    np.testing.assert_allclose(y(batches, "max").to_pylist(), [[0.6, 0.8], [0.8, 0.9]], rtol=1e-6)
    assert y(batches, "vote").to_pylist() == [1, 1]


def test_the_best_brings_its_other_outputs_along():
    scores, labels = ([1.0, 9.0], [3.0, 2.0]), (["a", "b"], ["c", "d"])
    batches = [
        to_arrow({"s": np.array(s), "l": label}, 2) for s, label in zip(scores, labels, strict=True)
    ]
    found = reduced(batches, parse_aggregation("topk:1"))
    assert found.to_pydict() == {"s": [[3.0], [9.0]], "l": [["c"], ["b"]]}
    with pytest.raises(ModelOutputError, match="mean: output 'l' is string: expected numbers"):
        reduced(batches, parse_aggregation("mean"))


def test_there_and_back():
    batches = [*outputs([[1, 2], [3, 4]]), *outputs([[5, 6], [7, 8]], dtype=np.float64)]
    held = side_by_side(batches)
    assert held.column("y").to_pylist() == [[[1, 2], [5, 6]], [[3, 4], [7, 8]]]
    table = pa.Table.from_batches([held]).append_column("doc", pa.array(["p", "q"]))
    assert one_after_another(table, ["y"], 2).to_pydict() == {
        "y": [[1, 2], [5, 6], [3, 4], [7, 8]],
        "doc": ["p", "p", "q", "q"],
    }


def test_what_can_stand_side_by_side():
    def kind(**columns):
        return to_arrow(columns, 2).schema

    number, vector = np.zeros(2), np.zeros((2, 3))
    first = kind(a=number, b=vector)
    assert alike(first, kind(b=vector.astype(np.float32), a=number.astype(np.int64)))
    assert alike(kind(a=[None, None]), kind(a=["x", "y"]))
    for other in (
        kind(a=number),
        kind(a=number, c=vector),
        kind(a=number, b=np.zeros((2, 4))),
        kind(a=vector, b=vector),
        kind(a=["x", "y"], b=vector),
    ):
        assert not alike(first, other)
