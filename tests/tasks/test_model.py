"""Code and weights are put in place on a node as the user laid them out."""

import os
import sys
import zipfile

import pytest

from mrmodel.specs import ModelSpec
from mrmodel.tasks.code import CODE_ZIP, import_paths
from mrmodel.tasks.model import load
from mrmodel.tasks.spec import TaskModel

MODEL = """
import mrmodel
import helper

class Model(mrmodel.Predictor):
    inputs = ["a", "b"]

    def load(self, weights, device):
        self.weights, self.name = weights, helper.NAME
"""


@pytest.fixture
def node(tmp_path, monkeypatch):
    """A task's working folder, as YARN makes it."""
    folder = tmp_path / "container"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield folder
    sys.modules.pop("helper", None)


def task_model(ref, **options):
    return TaskModel(ModelSpec(ref, **options.pop("spec", {})).to_dict(), "sha", **options)


def test_shipped_code_and_weights(node, tmp_path):
    with zipfile.ZipFile(node / CODE_ZIP, "w") as code:
        code.writestr("model.py", MODEL)
        code.writestr("helper.py", "NAME = 'shipped'")
    for name in ("weights-0000", "weights-0001"):
        (node / name).write_text(name)
    links = {"a.safetensors": "weights-0000", "deep/b.json": "weights-0001"}
    ref = f"{tmp_path}/on the driver/model.py:Model"
    model = task_model(ref, shipped=True, weights_links=links, weights_is_folder=True)
    for _ in range(2):  # a second attempt in the same folder
        loaded = load(model, None)
    assert loaded.name == "shipped"
    assert (loaded.weights / "deep" / "b.json").read_text() == "weights-0001"
    assert os.path.islink(loaded.weights / "a.safetensors")
    only = task_model(ref, shipped=True, weights_links={"w.pt": "weights-0000"})
    assert load(only, None).weights.name == "w.pt"
    assert load(task_model(ref, shipped=True), ("x",)).inputs == ["x"]


def test_models_of_an_ensemble_have_places_of_their_own(node):
    """Files of one name do not meet: the second model's helper is not the first one's."""
    with zipfile.ZipFile(node / CODE_ZIP, "w") as code:
        for place in ("0", "1"):
            code.writestr(f"{place}/model.py", MODEL)
            code.writestr(f"{place}/helper.py", f"NAME = 'helper {place}'")
    for name in ("weights-0000", "weights-0001"):
        (node / name).write_text(name)
    found = [
        load(
            task_model(
                "/x/model.py:Model",
                shipped=True,
                place=str(n),
                weights_links={"w.pt": f"weights-000{n}"},
            ),
            None,
        )
        for n in range(2)
    ]
    assert [model.name for model in found] == ["helper 0", "helper 1"]
    assert [model.weights.read_text() for model in found] == ["weights-0000", "weights-0001"]


def test_py_files_where_tasks_share_the_drivers_files(node, tmp_path):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "helper.py").write_text("NAME = 'py file'")
    (tmp_path / "model.py").write_text(MODEL)
    spec = {"py_files": (str(tmp_path / "lib" / "helper.py"),)}
    loaded = load(task_model(f"{tmp_path}/model.py:Model", spec=spec), None)
    assert (loaded.name, loaded.weights) == ("py file", None)


def test_what_sys_path_needs(tmp_path):
    paths = [tmp_path / "a" / "x.py", tmp_path / "package", tmp_path / "code.zip"]
    found = import_paths([str(path) for path in paths])
    assert found == [str(tmp_path / "a"), str(tmp_path), str(tmp_path / "code.zip")]
