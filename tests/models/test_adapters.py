import collections
import dataclasses

import numpy as np
import pytest
import torch

from mrmodel.errors import ModelError, UsageError
from mrmodel.models.adapters import named_outputs, one_tensor, pick_device, takes_batch_index

FLOAT = torch.float32


def test_number_columns_become_rows_by_columns():
    columns = {
        "a": np.array([1.5, 2]),
        "b": np.array([3, 4], dtype=np.uint16),
        "c": np.array([True, False]),
    }
    tensor = one_tensor(columns, FLOAT)
    assert tensor.dtype == FLOAT
    assert tensor.tolist() == [[1.5, 3, 1], [2, 4, 0]]


@pytest.mark.parametrize(
    "dtype", ["int8", "int64", "uint32", "uint64", "float16", "float64", "bool"]
)
def test_one_number_column_is_a_column_too(dtype):
    tensor = one_tensor({"a": np.array([1, 0], dtype=dtype)}, FLOAT)
    assert tensor.tolist() == [[1], [0]]
    assert one_tensor({"a": np.ones(2, dtype), "b": np.ones(2, dtype)}, FLOAT).shape == (2, 2)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "dtype", ["float16", "bfloat16", "float32", "float64", "int32", "int64", "bool"]
)
def test_columns_become_what_torch_makes_of_each(dtype):
    dtype = getattr(torch, dtype)
    columns = {
        "whole": np.array([2**53 - 1, -257, 0]),
        "small": np.array([255, 1, 0], dtype=np.uint8),
        "real": np.array([1 / 3, 1 + 2**-9 + 2**-40, -0.0]),
    }
    if dtype.is_floating_point:
        columns["large"] = np.array([1e300, -np.inf, np.nan])
    expected = torch.stack([torch.from_numpy(column).to(dtype) for column in columns.values()], 1)
    tensor = one_tensor(columns, dtype)
    assert tensor.is_contiguous()
    torch.testing.assert_close(tensor, expected, rtol=0, atol=0, equal_nan=True)


def test_a_list_column_keeps_its_shape():
    assert one_tensor({"v": np.ones((4, 2, 3))}, FLOAT).shape == (4, 2, 3)
    assert one_tensor({"v": np.ones((4, 2), dtype=np.int64)}, FLOAT).dtype == FLOAT


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_images_become_channels_first_between_0_and_1(dtype):
    images = np.zeros((2, 4, 5, 3), dtype=np.uint8)
    images[0, 1, 2] = [255, 0, 51]
    tensor = one_tensor({"image": images}, dtype)
    assert tensor.shape == (2, 3, 4, 5)
    assert tensor.is_contiguous()
    assert tensor.dtype == dtype
    torch.testing.assert_close(
        tensor[0, :, 1, 2].float(), torch.tensor([1, 0, 0.2]).to(dtype).float()
    )


def test_bytes_of_other_shapes_are_numbers():
    assert one_tensor({"v": np.full((2, 3), 255, np.uint8)}, FLOAT).tolist() == [[255] * 3] * 2


def test_the_batch_is_not_changed():
    images = np.full((1, 2, 2, 3), 255, np.uint8)
    numbers = np.ones((2, 3), np.float32)
    one_tensor({"image": images}, FLOAT)
    assert images.max() == 255
    assert numbers.max() == 1


@pytest.mark.parametrize(
    ("columns", "error", "message"),
    [
        ({"name": ["a", "b"]}, ModelError, "column 'name' holds values of type str.*Predictor"),
        ({"d": np.array(["2026-01-01"], "datetime64[D]")}, ModelError, "'d' holds datetime64"),
        ({"a": np.ones(2), "v": np.ones((2, 3))}, ModelError, "do not fit one tensor .v holds"),
        ({"v": [np.ones(2), np.ones(5)]}, ValueError, "lists of column 'v'.*2 to 5.*pads"),
        (
            {"image": [np.zeros((2, 3, 3), np.uint8), np.zeros((4, 5, 3), np.uint8)]},
            UsageError,
            "images of column 'image' have different sizes .2x3, 4x5.*--image-size",
        ),
    ],
)
def test_columns_that_are_no_tensor(columns, error, message):
    with pytest.raises(error, match=message):
        one_tensor(columns, FLOAT)


T = torch.zeros(2)
Pair = collections.namedtuple("Pair", "first second")


@dataclasses.dataclass
class Data:
    logits: object
    loss: object = None


@pytest.mark.parametrize(
    ("outputs", "names"),
    [
        (T, ["output"]),
        (np.zeros(2), ["output"]),
        ([1, 2], ["output"]),
        ({"a": T, "b": T}, ["a", "b"]),
        (collections.OrderedDict(a=T, none=None), ["a"]),
        ((T, T), ["output_0", "output_1"]),
        ([T, T, T], ["output_0", "output_1", "output_2"]),
        (Pair(T, T), ["first", "second"]),
        (Data(T), ["logits"]),
    ],
)
def test_outputs_have_names(outputs, names):
    assert list(named_outputs(outputs)) == names


def test_a_model_output_of_transformers():
    outputs = pytest.importorskip("transformers.modeling_outputs")
    named = named_outputs(outputs.BaseModelOutput(last_hidden_state=T))
    assert list(named) == ["last_hidden_state"]


def test_whether_predict_step_takes_the_index():
    assert takes_batch_index(lambda batch, batch_idx: None)
    assert takes_batch_index(lambda batch, batch_idx, dataloader_idx=0: None)
    assert takes_batch_index(lambda *args: None)
    assert not takes_batch_index(lambda batch: None)
    assert not takes_batch_index(lambda batch, *, flag=1: None)


def test_devices():
    assert pick_device("cpu") == "cpu"
    assert pick_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")
    if not torch.cuda.is_available():
        with pytest.raises(ModelError, match=r"--device cuda: torch 2.* sees 0 CUDA devices"):
            pick_device("cuda")
