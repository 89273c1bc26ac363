"""How far outputs are from others."""

import math

import numpy as np
import pyarrow as pa
import pytest

from mrmodel.tensors.difference import difference


def batch(**columns):
    return pa.RecordBatch.from_pydict(columns)


def vectors(values):
    array = np.asarray(values, dtype=np.float32)
    return pa.FixedSizeListArray.from_arrays(pa.array(array.ravel()), array.shape[1])


def test_the_largest_row_counts():
    expected = batch(v=vectors([[3, 4], [30, 40], [1, 0]]))
    found = batch(v=vectors([[3, 4.1], [30, 41], [1, 0]]))
    assert difference(expected, found) == pytest.approx(0.02)  # 0.1 of 5, and 1 of 50


@pytest.mark.parametrize("kind", [pa.list_(pa.float64()), pa.large_list(pa.float32())])
def test_lists_of_numbers(kind):
    expected = pa.RecordBatch.from_arrays([pa.array([[4.0], [1.0, 0.0]], kind)], ["v"])
    found = pa.RecordBatch.from_arrays([pa.array([[5.0], [1.0, 0.0]], kind)], ["v"])
    assert difference(expected, found) == 0.25
    assert difference(expected, expected) == 0


def test_nested_lists_are_one_row():
    expected, found = batch(m=[[[3.0], [4.0]]]), batch(m=[[[3.0], [5.0]]])
    assert difference(expected, found) == pytest.approx(0.2)


def test_columns_are_not_mixed():
    expected = batch(large=[1000.0], small=[1.0])
    assert difference(expected, batch(large=[1000.0], small=[1.5])) == 0.5


def test_around_nothing_the_difference_is_absolute():
    assert difference(batch(x=[0.0]), batch(x=[1e-7])) == pytest.approx(1e-7)


@pytest.mark.parametrize(
    ("one", "other"), [([1, 2], [1, 3]), (["a", "b"], ["a", "c"]), ([[1], [2]], [[1], [3]])]
)
def test_what_has_no_fractions_is_the_same_or_not(one, other):
    assert difference(batch(x=one), batch(x=other)) == 1
    assert difference(batch(x=one), batch(x=one)) == 0


def test_what_is_no_number_must_be_in_the_same_places():
    expected = batch(x=[math.nan, 1.0, math.inf])
    assert difference(expected, expected) == 0
    assert difference(expected, batch(x=[0.0, 1.0, math.inf])) == math.inf
    nulls = batch(x=[[1.0, None], None])
    assert difference(nulls, nulls) == 0
    assert difference(nulls, batch(x=[[1.0, 2.0], None])) == math.inf


def test_other_columns_are_as_far_as_can_be():
    assert difference(batch(x=[1.0]), batch(y=[1.0])) == math.inf
    assert difference(batch(x=[1.0]), batch(x=[1.0, 2.0])) == math.inf
    assert difference(batch(x=[[1.0]]), batch(x=[[1.0, 2.0]])) == math.inf
