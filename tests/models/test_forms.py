"""Models in another dtype, and with linear layers of 8-bit integers."""

import numpy as np
import pytest
import torch

from mrmodel import Predictor
from mrmodel.errors import ModelError
from mrmodel.models import forms
from mrmodel.models.loading import load_predictor


class Network(Predictor):
    """Modules in all places where they are looked for; float32 in and out is what it expects."""

    inputs = ["x"]

    def load(self, weights, device):
        torch.manual_seed(0)
        self.body = torch.nn.Sequential(torch.nn.Linear(8, 64), torch.nn.Tanh())
        self.heads = [torch.nn.Linear(64, 4)]
        self.named = {"last": torch.nn.Linear(64, 2)}
        self.seen = []
        self.body[1].register_forward_pre_hook(lambda module, args: self.seen.append(args[0].dtype))

    def predict(self, batch):
        hidden = self.body(torch.as_tensor(batch["x"], dtype=torch.float32))
        outputs = {"head": self.heads[0](hidden), "last": self.named["last"](hidden)}
        assert {value.dtype for value in (hidden, *outputs.values())} == {torch.float32}
        return outputs


class Empty(Predictor):
    def predict(self, batch):
        return {"y": batch["x"]}


X = {"x": np.random.default_rng(0).standard_normal((16, 8))}


def predicted(**form):
    predictor = load_predictor(f"{__name__}:Network", **form)
    with torch.inference_mode():
        return predictor, predictor.predict(X)


@pytest.fixture(scope="module")
def plain():
    return predicted()[1]


def difference(found, plain):
    return max(float((found[n] - plain[n]).norm() / plain[n].norm()) for n in plain)


def test_modules_are_found_in_lists_and_dicts():
    predictor, _ = predicted()
    found = [predictor.body, predictor.heads[0], predictor.named["last"]]
    assert forms.modules_of(predictor) == found
    assert forms.modules_of(Empty()) == []


@pytest.mark.parametrize("name", ["bfloat16", "float16", "float64"])
def test_the_modules_compute_in_the_dtype_and_callers_see_float32(plain, name):
    predictor, found = predicted(dtype=name)
    assert predictor.seen == [getattr(torch, name)]
    assert difference(found, plain) < (1e-6 if name == "float64" else 0.02)
    assert name == "float64" or difference(found, plain) > 0


def test_a_call_that_fails_leaves_the_border_where_it_was(plain):
    predictor, _ = predicted(dtype="bfloat16")
    with torch.inference_mode():
        with pytest.raises(RuntimeError):
            predictor.predict({"x": np.ones((2, 3))})
        assert difference(predictor.predict(X), plain) < 0.02


def test_whole_numbers_stay_whole():
    class Lookup(Predictor):
        def load(self, weights, device):
            self.table = torch.nn.Embedding(3, 2)

        def predict(self, batch):
            return {"y": self.table(torch.tensor([0, 2]))}

    predictor = Lookup()
    predictor.load(None, "cpu")
    forms.to_dtype(predictor, torch.bfloat16)
    assert predictor.predict({})["y"].shape == (2, 2)
    assert predictor.table.weight.dtype is torch.bfloat16


def test_quantized_layers(plain):
    predictor, found = predicted(quantize="int8")
    layers = predictor.body[0], *forms.modules_of(predictor)[1:]
    assert {layer.weight().dtype for layer in layers} == {torch.qint8}
    assert 0 < difference(found, plain) < 0.05


def test_a_predictor_without_modules_cannot_change_its_form():
    with pytest.raises(ModelError, match="--dtype bfloat16: Empty holds no nn.Module"):
        load_predictor(f"{__name__}:Empty", dtype="bfloat16")
    with pytest.raises(ModelError, match="--quantize int8: Empty holds no nn.Linear"):
        load_predictor(f"{__name__}:Empty", quantize="int8")


def test_integers_are_for_cpus():
    with pytest.raises(ModelError, match="--quantize int8 is for CPUs, but .* on cuda"):
        forms.quantize(Network(), "cuda")
