"""Linear layers with weights that are laid out for oneDNN."""

import copy

import pytest
import torch

from mrmodel import Predictor
from mrmodel.models import packed
from mrmodel.models.forms import quantize, to_dtype
from mrmodel.models.packed import WORTH, pack

ROWS = WORTH // (256 * 128) + 1


class Network(Predictor):
    """Two layers of 256 × 128 numbers, one of them a module's only one."""

    inputs = ["x"]

    def __init__(self, bias=True):
        torch.manual_seed(0)
        self.body = torch.nn.Sequential(
            torch.nn.Linear(256, 128, bias=bias), torch.nn.Tanh(), torch.nn.LayerNorm(128)
        )
        self.heads = [torch.nn.Linear(128, 256, bias=bias)]

    def predict(self, batch):
        return self.heads[0](self.body(batch))


@pytest.fixture(autouse=True)
def anywhere(monkeypatch):
    """As if this CPU were one on which it pays."""
    monkeypatch.setattr(packed, "is_faster_here", lambda: True)


def rows(number=ROWS, *, dtype=torch.float32):
    return torch.randn(number, 256, generator=torch.Generator().manual_seed(1)).to(dtype)


@pytest.fixture
def ran(monkeypatch):
    """The shapes of what the laid out product was given."""
    seen = []
    product = torch.ops.mkldnn._linear_pointwise

    def watched(input, *args):
        seen.append(tuple(input.shape))
        return product(input, *args)

    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", watched)
    return seen


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(ROWS, 256), (3, ROWS, 256), (2, 3, ROWS, 256)])
def test_outputs_are_the_layers(bias, shape, ran):
    plain, laid_out = Network(bias), Network(bias)
    assert pack(laid_out) == 2
    x = rows(ROWS * 6)[: torch.tensor(shape[:-1]).prod()].reshape(shape)
    with torch.inference_mode():
        found, expected = laid_out.predict(x), plain.predict(x)
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert ran == [shape, (*shape[:-1], 128)]


def test_bfloat16(ran):
    plain, laid_out = Network(), Network()
    for network in plain, laid_out:
        to_dtype(network, torch.bfloat16)
    assert pack(laid_out) == 2
    with torch.inference_mode():
        found, expected = laid_out.predict(rows()), plain.predict(rows())
    assert found.dtype == expected.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=0.02, atol=0.02)
    assert len(ran) == 2


@pytest.mark.parametrize(
    "x",
    [rows(1), rows(0), rows()[0], rows(dtype=torch.float32).t().contiguous().t()],
    ids=["one row", "no row", "no batch", "strides"],
)
def test_other_inputs(x):
    plain, laid_out = Network(), Network()
    pack(laid_out)
    with torch.inference_mode():
        torch.testing.assert_close(laid_out.predict(x), plain.predict(x), rtol=1e-5, atol=1e-5)


def test_wrong_inputs_raise_as_ever(ran):
    network = Network()
    pack(network)
    with torch.inference_mode(), pytest.raises(RuntimeError, match="cannot be multiplied"):
        network.predict(torch.zeros(ROWS, 255))
    with torch.inference_mode(), pytest.raises(RuntimeError, match="dtype"):
        network.predict(torch.zeros(ROWS, 256, dtype=torch.float64))
    assert not ran


def test_gradients_and_autocast_go_their_own_way(ran):
    network = Network()
    pack(network)
    network.predict(rows()).sum().backward()
    assert network.heads[0].weight.grad is not None
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert network.predict(rows()).dtype == torch.bfloat16
    assert not ran


@pytest.mark.parametrize(
    "change",
    [
        lambda layer: layer.weight.mul_(2),
        lambda layer: layer.load_state_dict(torch.nn.Linear(128, 256).state_dict()),
        lambda layer: setattr(layer, "weight", torch.nn.Parameter(torch.ones(256, 128))),
        lambda layer: setattr(layer.weight, "data", torch.ones(256, 128)),
        lambda layer: setattr(layer, "bias", torch.nn.Parameter(torch.ones(256))),
        lambda layer: layer.bias.zero_(),
    ],
    ids=["in place", "state", "another", "data", "another bias", "bias in place"],
)
def test_changed_weights_are_seen(change):
    network = Network()
    pack(network)
    with torch.no_grad():
        change(network.heads[0])
        found = network.predict(rows())
        layer = network.heads[0]
        expected = torch.nn.functional.linear(network.body(rows()), layer.weight, layer.bias)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_copies_predict():
    network = Network()
    pack(network)
    with torch.inference_mode():
        expected = network.predict(rows())
        network.heads[0] = copy.deepcopy(network.heads[0])
        torch.testing.assert_close(network.predict(rows()), expected)


def test_weights_stay_and_state_is_the_same():
    network = Network()
    before = {name: value.clone() for name, value in network.body.state_dict().items()}
    pack(network)
    after = network.body.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)


class Doubled(torch.nn.Linear):
    """Does something else with its weights."""

    def forward(self, input):
        return 2 * super().forward(input)


def test_only_plain_layers():
    network = Network()
    network.heads = [Doubled(128, 256), torch.nn.Linear(128, 0), torch.nn.Linear(128, 8).double()]
    quantized = Network()
    quantize(quantized, "cpu")
    assert (pack(network), pack(quantized)) == (1, 0)


def test_shared_layers_once():
    network = Network()
    network.heads.append(network.heads[0])
    assert (pack(network), pack(network)) == (2, 0)


def test_not_on_other_machines(monkeypatch):
    monkeypatch.setattr(packed, "is_faster_here", lambda: False)
    assert pack(Network()) == 0


@pytest.mark.parametrize(
    ("maker", "pays"), [("AuthenticAMD", True), ("GenuineIntel", False), ("", False)]
)
def test_makers(monkeypatch, maker, pays):
    monkeypatch.undo()
    monkeypatch.setattr(packed, "_maker", lambda: maker)
    assert packed.is_faster_here.__wrapped__() == (pays and torch.backends.mkldnn.is_available())
