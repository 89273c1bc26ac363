import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from mrmodel.cli.model import model
from mrmodel.errors import ModelError, UsageError

SOURCE = """
import torch
class Net(torch.nn.Module):
    def __init__(self, width=2):
        super().__init__()
        self.linear = torch.nn.Linear(width, 1)
"""


@pytest.fixture
def file(tmp_path):
    (tmp_path / "net.py").write_text(SOURCE)
    return tmp_path / "net.py"


def invoke(*args):
    return CliRunner().invoke(model, ["inspect", *map(str, args)])


def test_inspect_prints_a_table(file):
    result = invoke(f"{file}:Net", "--model-args", '{"width": 9}')
    assert result.exit_code == 0, result.output
    assert "parameters  10 (10 trainable)" in result.stdout


def test_inspect_as_json(file):
    found = json.loads(invoke(f"{file}:Net", "--json").stdout)
    assert found["parameters"] == 3
    assert found["kind"] == "nn.Module"


@pytest.mark.parametrize("args", ["{", "[1]", "3"])
def test_model_args_must_be_an_object(file, args):
    result = invoke(f"{file}:Net", "--model-args", args)
    assert isinstance(result.exception, UsageError)
    assert "--model-args" in str(result.exception)


def test_errors_of_the_model_come_through(file):
    result = invoke(f"{file}:Nope")
    assert isinstance(result.exception, ModelError)


def test_help_has_an_example_and_does_not_import_torch():
    code = (
        "import sys; from mrmodel.cli.model import model\n"
        "model(['inspect', '--help'], standalone_mode=False)\n"
        "assert 'torch' not in sys.modules, 'torch was imported'"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    assert "mrmodel model inspect net.py:Net --weights net.safetensors" in out.stdout
