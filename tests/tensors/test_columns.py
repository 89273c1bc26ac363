import datetime
import decimal

import numpy as np
import pyarrow as pa
import pytest
import torch

from mrmodel.tensors.columns import is_image, length, take, to_batch, valid_rows

IMAGE = pa.struct([("height", pa.int32()), ("width", pa.int32()), ("data", pa.binary())])


def one(array: pa.Array):
    return to_batch(pa.RecordBatch.from_arrays([array], names=["c"]), ["c"])["c"]


@pytest.mark.parametrize(
    "kind", ["int8", "uint8", "int32", "int64", "float16", "float32", "float64", "bool"]
)
def test_numbers_become_an_array_of_their_dtype(kind):
    expected = np.array([0, 1, 1], dtype=kind)
    values = one(pa.array(expected))
    assert values.dtype == np.dtype(kind)
    np.testing.assert_array_equal(values, expected)


def test_columns_come_in_the_order_asked_for():
    batch = pa.RecordBatch.from_pydict({"a": [1], "b, {c}": [2], "ü": [3]})
    assert list(to_batch(batch, ["ü", "b, {c}"])) == ["ü", "b, {c}"]


def test_arrays_are_writable_and_do_not_share_arrows_memory():
    batch = pa.RecordBatch.from_pydict({"c": pa.array([1.0, 2.0])})
    to_batch(batch, ["c"])["c"][:] = 0
    assert batch.column(0).to_pylist() == [1.0, 2.0]


def test_arrays_that_need_not_be_writable_are_arrows_memory():
    column = pa.array(np.arange(6, dtype=np.float32))
    batch = pa.RecordBatch.from_arrays([column, pa.array([True] * 6)], ["c", "bits"]).slice(2, 3)
    arrays = to_batch(batch, ["c", "bits"], writable=False)
    assert arrays["c"].__array_interface__["data"][0] == column.buffers()[1].address + 2 * 4
    assert arrays["c"].tolist() == [2, 3, 4]
    assert arrays["bits"].tolist() == [True] * 3  # Arrow keeps bits, which numpy cannot


def test_fixed_size_lists_become_more_dimensions():
    inner = pa.FixedSizeListArray.from_arrays(pa.array(np.arange(24, dtype=np.float32)), 3)
    values = one(pa.FixedSizeListArray.from_arrays(inner, 2))
    np.testing.assert_array_equal(values, np.arange(24, dtype=np.float32).reshape(4, 2, 3))


def test_a_slice_of_fixed_size_lists_gives_its_own_rows():
    array = pa.FixedSizeListArray.from_arrays(pa.array(np.arange(12)), 3).slice(1, 2)
    np.testing.assert_array_equal(one(array), [[3, 4, 5], [6, 7, 8]])


def test_fixed_shape_tensors_have_their_shape():
    numbers = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    array = pa.FixedShapeTensorArray.from_numpy_ndarray(numbers)
    np.testing.assert_array_equal(one(array), numbers)


def test_lists_of_one_length_become_two_dimensions():
    values = one(pa.array([[1.0, 2.0], [3.0, 4.0]]))
    np.testing.assert_array_equal(values, [[1.0, 2.0], [3.0, 4.0]])


@pytest.mark.parametrize("kind", [pa.list_(pa.int64()), pa.large_list(pa.int64())])
def test_lists_of_other_lengths_become_a_list_of_arrays(kind):
    values = one(pa.array([[9], [1, 2], [], [3]], type=kind).slice(1))
    assert [v.tolist() for v in values] == [[1, 2], [], [3]]
    assert all(isinstance(v, np.ndarray) for v in values)


def test_lists_of_fixed_size_lists_become_arrays_of_vectors():
    kind = pa.list_(pa.list_(pa.float32(), 2))
    values = one(pa.array([[[1, 2], [3, 4]], [[5, 6]]], type=kind))
    assert [v.shape for v in values] == [(2, 2), (1, 2)]


def test_no_rows_keep_the_number_of_dimensions():
    assert one(pa.array([], type=pa.list_(pa.float32()))).shape == (0, 0)
    assert one(pa.array([], type=pa.list_(pa.float32(), 4))).shape == (0, 4)
    assert one(pa.array([], type=pa.string())) == []
    assert one(pa.array([], type=IMAGE)) == []


@pytest.mark.parametrize(
    "values",
    [
        ["a", "ü"],
        [b"a", b"\x00"],
        [decimal.Decimal("1.50"), decimal.Decimal("2.25")],
        [{"a": 1}, {"a": 2}],
        [["a"], ["b", "c"]],
        [datetime.time(1, 2), datetime.time(3)],
    ],
)
def test_other_values_become_a_list(values):
    assert one(pa.array(values)) == values


def test_dictionaries_are_decoded():
    assert one(pa.array(["a", "b", "a"]).dictionary_encode()) == ["a", "b", "a"]


def test_times_become_datetime64():
    assert one(pa.array([datetime.date(2026, 1, 2)])).dtype == np.dtype("datetime64[D]")
    moments = pa.array([datetime.datetime(2026, 1, 2)], type=pa.timestamp("ms", tz="UTC"))
    assert one(moments).tolist() == [datetime.datetime(2026, 1, 2)]


def images(*sizes):
    rows = [
        {"height": h, "width": w, "data": bytes((i + n) % 256 for n in range(h * w * 3))}
        for i, (h, w) in enumerate(sizes)
    ]
    return pa.array(rows, type=IMAGE)


def test_images_of_one_size_become_four_dimensions():
    assert is_image(IMAGE)
    values = one(images((2, 4), (2, 4), (2, 4)).slice(1))
    assert values.shape == (2, 2, 4, 3)
    assert values.dtype == np.uint8
    assert values[0].reshape(-1)[0] == 1


def test_images_of_other_sizes_become_a_list():
    values = one(images((2, 4), (3, 3)))
    assert [v.shape for v in values] == [(2, 4, 3), (3, 3, 3)]


def test_a_null_inside_a_list_is_an_error_not_a_nan():
    with pytest.raises(ValueError, match="null inside a list"):
        one(pa.array([[1.0, None]]))


def test_valid_rows_looks_into_lists():
    batch = pa.RecordBatch.from_arrays(
        [
            pa.array([1, None, 3, 4]),
            pa.array([[1], [2], None, [3, None]]),
            pa.array([["a", None]] * 4),
        ],
        names=["number", "list", "texts"],
    )
    assert valid_rows(batch, ["number"]).tolist() == [True, False, True, True]
    assert valid_rows(batch, ["number", "list"]).tolist() == [True, False, False, False]
    assert valid_rows(batch, ["texts"]).tolist() == [True] * 4
    assert valid_rows(batch.slice(2), ["list"]).tolist() == [False, False]


def test_valid_rows_of_fixed_size_lists():
    kind = pa.list_(pa.list_(pa.float32(), 2), 1)
    rows = [[[1, 2]], [[1, None]], [None], None]
    batch = pa.RecordBatch.from_arrays([pa.array(rows, type=kind)], names=["c"])
    assert valid_rows(batch, ["c"]).tolist() == [True, False, False, False]


def test_take_keeps_the_kind_of_every_entry():
    batch = {
        "array": np.arange(4),
        "tensor": torch.arange(8).reshape(4, 2),
        "list": list("abcd"),
        "nested": {"x": np.arange(4) * 2},
    }
    taken = take(batch, [2, 0])
    assert length(taken) == 2
    assert taken["array"].tolist() == [2, 0]
    assert taken["tensor"].tolist() == [[4, 5], [0, 1]]
    assert taken["list"] == ["c", "a"]
    assert taken["nested"]["x"].tolist() == [4, 0]
    assert take(batch, slice(1, 3))["list"] == ["b", "c"]


def test_length_is_none_where_rows_cannot_be_told():
    assert length({"a": np.zeros(3), "b": [1, 2, 3]}) == 3
    assert length(torch.zeros(5, 2)) == 5
    assert length({"a": np.zeros(3), "b": [1, 2]}) is None
    assert length({"a": np.zeros(3), "b": 1.5}) is None
    assert length({}) is None
    assert length((torch.zeros(3), torch.zeros(3))) is None
    assert length("text") is None
