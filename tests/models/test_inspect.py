import pytest
import torch
from safetensors.torch import save_file

from mrmodel.errors import ModelError
from mrmodel.models.code import collect
from mrmodel.models.inspect import inspect_model
from mrmodel.models.reference import parse
from mrmodel.models.weights import hash_weights

SOURCE = """
import mrmodel, torch

class Net(torch.nn.Module):
    def __init__(self, width=2):
        super().__init__()
        self.linear = torch.nn.Linear(width, 3)
        self.register_buffer("steps", torch.zeros(1, dtype=torch.int64))
        self.linear.bias.requires_grad_(False)

class Lit(Net):
    def predict_step(self, batch, batch_idx): ...

class Own(mrmodel.Predictor):
    inputs = ["text"]
    def load(self, weights, device):
        self.net = Net()
        self.head = torch.nn.Linear(1, 1, dtype=torch.float16)
"""


@pytest.fixture
def file(tmp_path):
    (tmp_path / "net.py").write_text(SOURCE)
    return tmp_path / "net.py"


def test_a_module(file):
    found = inspect_model(f"{file}:Net", model_args={"width": 4})
    assert found.kind == "nn.Module"
    assert (found.parameters, found.trainable) == (15, 12)
    assert found.dtypes == {"float32": 15}
    assert found.nbytes == 15 * 4 + 8
    assert found.inputs is None
    assert found.expects == "one tensor of the columns named with --inputs"
    assert found.weights is None
    assert found.sha256 == collect(parse(f"{file}:Net")).sha256


def test_weights_that_match(file, tmp_path):
    path = tmp_path / "w.safetensors"
    state = {"linear.weight": torch.ones(3, 2), "linear.bias": torch.ones(3)}
    save_file({**state, "steps": torch.zeros(1, dtype=torch.int64)}, path)
    found = inspect_model(f"{file}:Net", weights=str(path))
    assert found.weights == "match"
    assert found.weights_bytes == path.stat().st_size
    assert found.sha256 == hash_weights(path)
    save_file(state, path)
    with pytest.raises(ModelError, match=r"do not fit the model: 1 missing \(steps\)"):
        inspect_model(f"{file}:Net", weights=str(path))


def test_a_predictor_and_a_lightning_class(file):
    own = inspect_model(f"{file}:Own")
    assert own.kind == "Predictor"
    assert own.dtypes == {"float32": 9, "float16": 2}
    assert own.inputs == ["text"]
    assert own.expects == "columns text"
    assert inspect_model(f"{file}:Lit").kind == "Lightning"


def test_an_exported_program(tmp_path):
    path = tmp_path / "net.pt2"
    program = torch.export.export(torch.nn.Linear(3, 2), (torch.zeros(4, 3),))
    torch.export.save(program, path)
    found = inspect_model(str(path))
    assert found.kind == "torch.export"
    assert found.parameters == 8
    assert found.expects == "input float32 (rows, 3)"
    assert found.batch_size == 4
    assert found.sha256 == hash_weights(path)


def test_the_text_is_for_people(file):
    text = inspect_model(f"{file}:Net").to_text()
    assert "parameters  9 (6 trainable)" in text
    assert "batch size  any" in text


def test_what_is_not_there(file):
    with pytest.raises(ModelError, match="it defines Net, Lit, Own"):
        inspect_model(f"{file}:Nope")
