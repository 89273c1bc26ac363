"""Convolutions whose weights lie as oneDNN likes them: the same answers."""

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import nn

from mrmodel.models.channels import lay_out, put_back
from mrmodel.models.predictor import Predictor
from mrmodel.tasks.clock import Clock
from mrmodel.tasks.forward import Forward, Success
from mrmodel.tasks.sizing import BatchSizer

SIDE = 8
ROWS = 4


class Net(nn.Module):
    def __init__(self, flatten):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.up = nn.ConvTranspose2d(8, 4, 2, 2)
        self.head = nn.Linear(4 * 4 * SIDE**2, 2)
        self.flatten = flatten

    def forward(self, images):
        return self.head(self.flatten(self.up(self.first(images))))


class Holder(Predictor):
    """Changes its batch in place, as many do."""

    def __init__(self, flatten):
        torch.manual_seed(0)
        self.model = Net(flatten).eval()
        self.calls = 0

    def prepare(self, batch):
        return torch.from_numpy(batch["x"]).reshape(-1, 3, SIDE, SIDE)

    def predict(self, images):
        self.calls += 1
        return {"y": self.model(images.div_(2))}


def by_reshape(x):
    return x.reshape(len(x), -1)


def by_view(x):
    return x.view(len(x), -1)


def window():
    numbers = np.random.default_rng(1).random(ROWS * 3 * SIDE**2, dtype=np.float32)
    return pa.record_batch([pa.FixedSizeListArray.from_arrays(numbers, 3 * SIDE**2)], ["x"])


def outputs(predictor):
    """Of each row, as a task predicts it."""
    clock, sizer = Clock(), BatchSizer(str(ROWS))
    forward = Forward(predictor, ["x"], sizer, clock, lambda rows, seconds: None)
    results = forward.run(window(), np.arange(ROWS), None, None)
    assert all(isinstance(result, Success) for result in results)
    return np.array(pa.Table.from_batches([r.outputs for r in results])["y"].to_pylist())


def is_laid_out(layer):
    return layer.weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("flatten", [by_reshape, by_view, nn.Flatten()])
def test_answers_are_the_same_up_to_rounding(flatten):
    plain, laid_out = Holder(flatten), Holder(flatten)
    assert lay_out(laid_out) == 2
    assert is_laid_out(laid_out.model.first[0])
    np.testing.assert_allclose(outputs(laid_out), outputs(plain), rtol=1e-5, atol=1e-6)


def test_a_model_that_views_its_images_is_put_back_once():
    predictor = Holder(by_view)
    lay_out(predictor)
    outputs(predictor)
    assert predictor.calls == 2
    assert not is_laid_out(predictor.model.first[0])
    outputs(predictor)
    assert predictor.calls == 3


def test_other_errors_and_other_layers_are_left_alone():
    assert not put_back(RuntimeError("view size is wrong"))
    predictor = Holder(by_reshape)
    predictor.model = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 8, 3)))
    assert lay_out(predictor) == 0
