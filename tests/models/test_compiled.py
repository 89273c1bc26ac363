"""Modules as machine code: made once, run elsewhere, and never instead of the right answer."""

import json
import shutil

import numpy as np
import pytest
import torch

from mrmodel import Predictor
from mrmodel.errors import ModelError
from mrmodel.models.compiled import ABOUT, compile_modules, named_modules, take_calls, use_compiled


class Scaled(torch.nn.Module):
    """Called with a tensor, an option that is none, and a bool; returns a dict."""

    def __init__(self, activation):
        super().__init__()
        self.layer = torch.nn.Linear(16, 16)
        self.activation = activation
        self.register_buffer("scale", torch.tensor(2.0), persistent=False)

    def forward(self, x, mask=None, twice=False):
        y = self.activation(self.layer(x)) * self.scale
        return {"y": y * 2 if twice else y, "none": None, "name": "tanh"}


class Model(Predictor):
    """`calls` counts runs of Python code in the module, which compiled code does not do."""

    inputs = ["x"]

    def __init__(self, seed=0, activation=torch.nn.Tanh):
        torch.manual_seed(seed)
        self.net = Scaled(activation())
        self.calls = 0
        forward = self.net.forward

        def counted(*args, **kwargs):
            self.calls += 1
            return forward(*args, **kwargs)

        self.net.forward = counted

    def predict(self, batch, **options):
        with torch.inference_mode():
            return self.net(batch["x"], **{"twice": True, **options})["y"]


def batch(rows, width=16):
    return {
        "x": torch.from_numpy(np.random.default_rng(rows).standard_normal((rows, width))).float()
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The packages of a Model, compiled once for all tests."""
    folder, model = tmp_path_factory.mktemp("compiled"), Model()
    compile_modules(model, lambda: [model.predict(batch(n)) for n in (7, 5, 3)], folder)
    return folder


def files(folder):
    return {path.name: path for path in folder.iterdir()}


def test_what_is_called_is_compiled_for_any_number_of_rows(folder):
    about = json.loads((folder / ABOUT).read_text())
    (entry,) = about["modules"]
    assert entry["name"] == "net"
    assert [leaf["shape"] for leaf in entry["leaves"] if leaf["dtype"]] == [[None, 16]]


@pytest.mark.parametrize("rows", [1, 2, 64])
def test_outputs_are_those_of_the_module(folder, rows):
    plain, compiled = Model(), Model()
    use_compiled(compiled, files(folder))
    for _ in range(3):
        torch.testing.assert_close(compiled.predict(batch(rows)), plain.predict(batch(rows)))
    assert (plain.calls, compiled.calls) == (3, 1)  # the first, which says what outputs look like


@pytest.mark.parametrize("options", [{"twice": False}, {"mask": torch.ones(4)}])
def test_other_calls_go_to_the_module(folder, options):
    plain, compiled = Model(), Model()
    use_compiled(compiled, files(folder))
    for _ in range(2):
        torch.testing.assert_close(
            compiled.predict(batch(4), **options), plain.predict(batch(4), **options)
        )
    assert compiled.calls == 2
    assert take_calls(compiled) == {"compiled": 0, "as_it_is": 2}
    assert take_calls(compiled) == {"compiled": 0, "as_it_is": 0}


def test_another_dtype_goes_to_the_module(folder):
    compiled = Model()
    use_compiled(compiled, files(folder))
    compiled.net.double()
    found = compiled.predict({"x": batch(4)["x"].double()})
    assert found.dtype is torch.float64


@pytest.mark.parametrize("other", [{"activation": torch.nn.ReLU}, {"seed": 1}])
def test_other_outputs_than_the_modules_are_not_taken(folder, capsys, other):
    """Code or weights that have changed since, say."""
    plain, compiled = Model(**other), Model(**other)
    use_compiled(compiled, files(folder))
    for _ in range(2):
        assert torch.equal(compiled.predict(batch(4)), plain.predict(batch(4)))
    assert "compiled, net gives other outputs here: it runs as it is" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"torch": "1.0"}, "has torch "),
        ({"machine": "s390x"}, "has machine "),
        ({"flags": ["avx1024"]}, "lacks avx1024"),
    ],
)
def test_another_machine_runs_the_module(folder, tmp_path, capsys, change, told):
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    about = json.loads((other / ABOUT).read_text())
    (other / ABOUT).write_text(json.dumps({**about, **change}))
    compiled = Model()
    use_compiled(compiled, files(other))
    compiled.predict(batch(4))
    compiled.predict(batch(4))
    assert compiled.calls == 2
    assert f"not compiled for this machine, which {told}" in capsys.readouterr().err


def test_names_of_modules():
    model = Model()
    model.others = [torch.nn.Sequential(torch.nn.Linear(1, 1))]
    assert list(named_modules(model)) == [
        "net", "net.layer", "net.activation", "others.0", "others.0.0",
    ]  # fmt: skip


def test_what_cannot_be_traced_says_why(tmp_path):
    class Deciding(torch.nn.Module):
        def forward(self, x):
            return x * 2 if x.sum() > 0 else x

    class Other(Predictor):
        def __init__(self):
            self.net = Deciding()

        def predict(self, batch):
            return self.net(batch["x"])

    model = Other()
    with pytest.raises(ModelError, match=r"net \(Deciding\) cannot be compiled: .*; run without"):
        compile_modules(model, lambda: [model.predict(batch(n)) for n in (7, 5)], tmp_path)


def test_a_predictor_that_calls_no_module(tmp_path):
    class Plain(Predictor):
        pass

    with pytest.raises(ModelError, match="Plain calls no nn.Module"):
        compile_modules(Plain(), lambda: None, tmp_path)
