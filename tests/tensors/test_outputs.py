import numpy as np
import pyarrow as pa
import pytest
import torch

from mrmodel.errors import ModelOutputError
from mrmodel.tensors.outputs import to_arrow, unify, widen


def column(value, rows):
    return to_arrow({"x": value}, rows).column(0)


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (torch.float32, pa.float32()),
        (torch.float64, pa.float64()),
        (torch.float16, pa.float32()),
        (torch.bfloat16, pa.float32()),
        (torch.int64, pa.int64()),
        (torch.int32, pa.int32()),
        (torch.uint8, pa.uint8()),
        (torch.bool, pa.bool_()),
    ],
)
def test_a_vector_becomes_a_plain_column(dtype, expected):
    array = column(torch.tensor([0, 1, 1]).to(dtype), 3)
    assert array.type == expected
    assert array.to_pylist() == [0, 1, 1]


def test_more_dimensions_become_fixed_size_lists():
    numbers = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    array = column(torch.from_numpy(numbers), 2)
    assert array.type == pa.list_(pa.list_(pa.float32(), 3), 2)
    assert array.to_pylist() == numbers.tolist()


def test_a_dimension_of_size_zero_is_kept():
    assert column(np.zeros((2, 0), dtype=np.float32), 2).to_pylist() == [[], []]


def test_no_rows_have_the_same_type_as_some():
    assert column(torch.zeros(0, 3), 0).type == column(torch.zeros(2, 3), 2).type


def test_gradients_views_and_byte_orders_do_not_matter():
    base = torch.arange(6.0, requires_grad=True).reshape(2, 3)
    assert column(base.T, 3).to_pylist() == [[0, 3], [1, 4], [2, 5]]
    assert column(np.array([1, 2], dtype=">i4"), 2).to_pylist() == [1, 2]


def test_memory_that_predict_uses_again_is_copied():
    buffer = torch.zeros(2)
    array = column(buffer, 2)
    buffer += 1
    assert array.to_pylist() == [0, 0]


def test_nan_is_allowed():
    assert np.isnan(column(torch.tensor([float("nan")]), 1).to_pylist()[0])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["a", None], pa.string()),
        ([1.5, 2], pa.float64()),
        ([{"label": "a", "p": 0.5}], pa.struct([("label", pa.string()), ("p", pa.float64())])),
        ([["a"], []], pa.list_(pa.string())),
        ([torch.tensor(1.0), torch.tensor(2.0)], pa.float32()),
        ([np.float32(1), np.float32(2)], pa.float32()),
        ([{"v": torch.ones(2)}], pa.struct([("v", pa.list_(pa.float32()))])),
        (np.array(["a", "b"]), pa.string()),
        (np.array(["2026-01-01"], dtype="datetime64[D]"), pa.date32()),
        (pa.array([1, 2], type=pa.int8()), pa.int8()),
        (pa.chunked_array([[1], [2]]), pa.int64()),
    ],
)
def test_lists_become_the_type_of_their_values(values, expected):
    assert column(values, len(values)).type == expected


@pytest.mark.parametrize("lengths", [(1, 3), (2, 2)])
def test_a_list_of_arrays_is_a_list_column_whatever_their_lengths(lengths):
    array = column([torch.ones(n, dtype=torch.bfloat16) for n in lengths], 2)
    assert array.type == pa.list_(pa.float32())
    assert [len(v) for v in array.to_pylist()] == list(lengths)


def test_a_list_of_matrices_is_a_column_of_lists_of_lists():
    array = column([np.ones((1, 2), dtype=np.float32), np.ones((3, 2), dtype=np.float32)], 2)
    assert array.type == pa.list_(pa.list_(pa.float32()))


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        (torch.zeros(8), r"predict returned a Tensor of shape \(8,\): expected a dict"),
        (None, "predict returned None: expected a dict"),
        ([1], "predict returned a list: expected a dict"),
        ({}, "empty dict"),
        ({1: torch.zeros(8)}, "the key 1"),
        ({"x": torch.zeros(7)}, "predict returned 7 rows in column 'x' for a batch of 8 rows"),
        ({"x": [1]}, "predict returned 1 row in column 'x' for a batch of 8 rows"),
        ({"x": torch.tensor(1.0)}, "a single value in column 'x' for a batch of 8 rows"),
        ({"x": 1.0}, "a float in column 'x'"),
        ({"x": "abcdefgh"}, "a str in column 'x'"),
        ({"x": {"y": [1]}}, "a dict in column 'x'"),
        ({"x": torch.zeros(8, dtype=torch.complex64)}, "complex64"),
        ({"x": torch.eye(8).to_sparse()}, "a sparse_coo tensor in column 'x'"),
        ({"x": torch.zeros(8, device="meta")}, "a meta tensor in column 'x'"),
        ({"x": [1, 2, 3, 4, 5, 6, 7, "a"]}, "column 'x' that do not fit one type"),
        ({"x": [object()] * 8}, "column 'x' that do not fit one type"),
        ({"x": np.zeros(8, dtype="V3")}, r"\|V3"),
    ],
)
def test_what_breaks_the_contract_is_named(outputs, message):
    with pytest.raises(ModelOutputError, match=message) as e:
        to_arrow(outputs, 8)
    assert "\n" not in str(e.value)


def batch(**columns):
    return pa.RecordBatch.from_pydict(columns)


@pytest.mark.parametrize(
    ("first", "later"),
    [
        (pa.array([1.5]), pa.array([2])),
        (pa.array([1]), pa.array([2.0])),
        (pa.array([[1.5]]), pa.array([[2]])),
        (pa.array([[1.5]]), pa.array([[2.0, 3.0]], type=pa.list_(pa.float64(), 2))),
        (pa.array(["a"]), pa.array([None])),
        (pa.array([[1.0]], type=pa.list_(pa.float32(), 1)), pa.array([None])),
    ],
)
def test_unify_casts_to_the_first_schema(first, later):
    schema = batch(a=first).schema
    unified = unify(schema, batch(a=later))
    assert unified.schema == schema
    assert unified.column(0).to_pylist() == later.to_pylist()


def test_unify_puts_columns_in_the_first_order():
    schema = batch(a=[1], b=["x"]).schema
    assert unify(schema, batch(b=["y"], a=[2])).to_pylist() == [{"a": 2, "b": "y"}]


@pytest.mark.parametrize(
    ("first", "later", "message"),
    [
        ({"a": [1]}, {"a": [2.5]}, "predict returned double in column 'a' but int64"),
        ({"a": ["x"]}, {"a": [[1]]}, "column 'a' but string"),
        ({"a": [1]}, {"b": [1]}, "the columns b but a for the first batch"),
        ({"a": [None]}, {"a": ["x"]}, "only None in column 'a' at first"),
    ],
)
def test_unify_refuses_what_would_change_values(first, later, message):
    with pytest.raises(ModelOutputError, match=message):
        unify(batch(**first).schema, batch(**later))


def test_widen_learns_the_type_of_a_column_of_none():
    schema = widen(batch(a=[None], b=[1]).schema, batch(a=["x"], b=[1.5]).schema)
    assert schema == pa.schema([("a", pa.string()), ("b", pa.int64())])
    assert unify(schema, batch(a=[None], b=[1])).column("a").to_pylist() == [None]
