import lightning
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from mrmodel.errors import ModelError, UsageError
from mrmodel.models.loading import has_predict_step, load_predictor
from mrmodel.models.predictor import Predictor
from mrmodel.tensors.outputs import to_arrow

SOURCE = """
import collections, dataclasses
import lightning, torch
import mrmodel

class Doubler(mrmodel.Predictor):
    inputs = ["x"]
    def __init__(self, factor=2):
        self.factor = factor
        self.loaded = None
    def load(self, weights, device):
        self.loaded = (weights, device)
    def predict(self, batch):
        return {"twice": batch["x"] * self.factor}

class Net(torch.nn.Module):
    def __init__(self, width=2, out=3):
        super().__init__()
        self.linear = torch.nn.Linear(width, out)
    def forward(self, x):
        return self.linear(x)

def build(width=2):
    return Net(width)

def build_predictor():
    return Doubler(5)

instance = Net()
number = 3

class Lit(lightning.LightningModule):
    def __init__(self, width=2):
        super().__init__()
        self.save_hyperparameters()
        self.linear = torch.nn.Linear(width, 1)
    def forward(self, x):
        return self.linear(x)
    def training_step(self, batch, batch_idx):
        return self(batch["x"]).sum()
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)

class LitPredict(Lit):
    def predict_step(self, batch, batch_idx):
        return {"y": self(batch["x"])[:, 0], "index": torch.full((len(batch["x"]),), batch_idx)}

class LitChild(LitPredict):
    pass

class LitLate(lightning.LightningModule):
    def configure_model(self):
        self.linear = torch.nn.Linear(2, 1)
    def predict_step(self, batch, batch_idx):
        return self.linear(batch["x"])

class Plain:
    '''predict_step, without lightning and without torch.nn.Module'''
    def predict_step(self, batch):
        return batch["x"] + len(batch["name"][0])

class NoBase:
    def predict(self, batch): ...

class Fails(mrmodel.Predictor):
    def load(self, weights, device):
        raise ValueError("no such\\nthing")

class FailsInInit(torch.nn.Module):
    def __init__(self):
        raise RuntimeError("not today")

def wrong():
    return "text"
"""


ONES = {"linear.weight": torch.ones(3, 2), "linear.bias": torch.zeros(3)}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "zoo.py"
    path.write_text(SOURCE)
    return path


@pytest.fixture
def load(file):
    return lambda name, **options: load_predictor(f"{file}:{name}", device="cpu", **options)


def run(predictor, **columns):
    with torch.inference_mode():
        prepare = getattr(predictor, "prepare", None)
        return predictor.predict(prepare(columns) if prepare else columns)


def test_a_predictor_is_constructed_and_loaded(load, tmp_path):
    (tmp_path / "w").write_text("")
    predictor = load("Doubler", model_args={"factor": 3}, weights=tmp_path / "w")
    assert isinstance(predictor, Predictor)
    assert predictor.loaded == (tmp_path / "w", "cpu")
    assert predictor.inputs == ["x"]
    assert run(predictor, x=np.array([1]))["twice"].tolist() == [3]


def test_inputs_win_over_those_of_the_predictor(load):
    assert load("Doubler", inputs=("a", "b")).inputs == ["a", "b"]


@pytest.mark.parametrize("name", ["Net", "build", "instance"])
def test_modules_classes_factories_and_objects(load, name):
    predictor = load(name, inputs=["a", "b"])
    assert isinstance(predictor, Predictor)
    assert not predictor.module.training
    output = run(predictor, a=np.ones(4), b=np.arange(4))["output"]
    assert output.shape == (4, 3)
    assert to_arrow({"output": output}, 4).num_rows == 4


def test_a_factory_may_return_a_predictor(load):
    assert run(load("build_predictor"), x=np.array([1]))["twice"].tolist() == [5]


def test_weights_reach_the_module(load, tmp_path):
    save_file(ONES, tmp_path / "w.safetensors")
    predictor = load("Net", inputs=["a", "b"], weights=tmp_path / "w.safetensors")
    assert run(predictor, a=np.ones(1), b=np.ones(1))["output"].tolist() == [[2, 2, 2]]


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
def test_the_dtype_is_that_of_module_and_input(load, dtype, tmp_path):
    save_file(ONES, tmp_path / "w.safetensors")
    predictor = load("Net", inputs=["v"], dtype=dtype, weights=tmp_path / "w.safetensors")
    output = run(predictor, v=np.ones((2, 2), dtype=np.float64))["output"]
    assert output.dtype == getattr(torch, dtype)
    assert output.tolist() == [[2, 2, 2]] * 2


def test_a_plain_module_needs_inputs(load):
    with pytest.raises(ModelError, match="a plain nn.Module needs --inputs COL"):
        load("Net")


@pytest.mark.parametrize("name", ["LitPredict", "LitChild"])
def test_a_lightning_class_gets_a_dict_of_tensors(load, name):
    predictor = load(name, inputs=["x"], model_args={"width": 3})
    x = np.ones((2, 3), dtype=np.float64)
    assert run(predictor, x=x)["index"].tolist() == [0, 0]
    output = run(predictor, x=x)
    assert output["index"].tolist() == [1, 1]
    assert output["y"].shape == (2,)


def test_layers_that_lightning_builds_late_are_there_for_the_weights(load, tmp_path):
    state = {"linear.weight": torch.ones(1, 2), "linear.bias": torch.zeros(1)}
    save_file(state, tmp_path / "w.safetensors")
    predictor = load("LitLate", inputs=["x"], weights=tmp_path / "w.safetensors")
    assert run(predictor, x=np.ones((1, 2)))["output"].tolist() == [[2]]


def test_a_lightning_class_without_predict_step_is_a_module(load):
    assert run(load("Lit", inputs=["a", "b"]), a=np.ones(2), b=np.ones(2))["output"].shape == (2, 1)


def test_predict_step_is_all_that_it_takes(load):
    predictor = load("Plain")
    assert predictor.inputs is None
    output = run(predictor, x=np.array([1, 2]), name=["ab", "c"])["output"]
    assert output.tolist() == [3, 4]


def test_a_checkpoint_of_a_lightning_trainer(load, file, tmp_path):
    lit = load("LitPredict", inputs=["x"]).module
    rows = [{"x": torch.ones(2)} for _ in range(4)]
    trainer = lightning.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=tmp_path, enable_checkpointing=False,
    )  # fmt: skip
    trainer.fit(lit, torch.utils.data.DataLoader(rows, batch_size=2))
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    again = load("LitPredict", inputs=["x"], weights=tmp_path / "last.ckpt")
    torch.testing.assert_close(again.module.linear.weight, lit.linear.weight)


def test_which_predict_step_counts():
    assert not has_predict_step(lightning.LightningModule)
    assert not has_predict_step(torch.nn.Linear)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("number", {}, "zoo.py:number is a int: expected a mrmodel.Predictor subclass"),
        ("wrong", {}, "zoo.py:wrong returned a str: expected"),
        ("torch", {}, "zoo.py:torch is a module: expected"),
        ("NoBase", {}, "has predict.. but is no mrmodel.Predictor"),
        ("instance", {"model_args": {"a": 1}}, "takes no model args"),
        ("Net", {"model_args": {"depth": 1}}, r"Net\(width=2, out=3\) does not take.*'depth'"),
        ("Net", {"weights": "none.pt", "inputs": ["a"]}, "weights none.pt do not exist"),
        ("Fails", {}, r"failed to load: ValueError: no such … \(zoo.py:\d+\)"),
        ("FailsInInit", {}, r"failed to load: RuntimeError: not today \(zoo.py:\d+\)"),
    ],
)
def test_what_cannot_be_loaded(load, name, options, message):
    with pytest.raises(ModelError, match=message) as e:
        load(name, **options)
    assert "\n" not in str(e.value)


def test_the_detail_is_the_traceback_of_the_user(load):
    with pytest.raises(ModelError) as e:
        load("Fails")
    assert e.value.detail.splitlines()[1].endswith("in load")


def test_unknown_devices_and_dtypes_are_usage_errors(load):
    with pytest.raises(UsageError, match="--device: expected auto, cpu or cuda"):
        load_predictor("torch.nn:Identity", device="gpu", inputs=["a"])
    with pytest.raises(UsageError, match="--dtype: expected float32"):
        load("Net", dtype="int8", inputs=["a"])
