"""The model as the driver finds it, without running more of it than it must."""

import io
import sys
import zipfile

import pytest

from mrmodel.driver.model_files import find_model, find_models, identity
from mrmodel.errors import ModelError, UsageError
from mrmodel.specs import ModelSpec
from tests.driver.helpers import model


def find(folder, code, needs_inputs=True, **spec):
    ref = model(folder, code)
    return find_model(ModelSpec(ref, **spec), needs_inputs, folder / "fetched")


def declared(folder, body, base="mrmodel.Predictor", before=""):
    return find(folder, f"{before}\nclass Model({base}):\n    {body}\n").declared


@pytest.mark.parametrize(
    ("body", "columns"),
    [
        ("inputs = ['a', 'b c']", ("a", "b c")),
        ("inputs = ('a',)", ("a",)),
        ("inputs: list[str] = ['a']", ("a",)),
        ("inputs = None", None),
        ("pass", None),
        ("inputs = COLUMNS", ("x", "y")),
        ("inputs = [c for c in COLUMNS]", ("x", "y")),
        ("inputs = property(lambda self: ['z'])", None),
        ("inputs = 5", None),
    ],
)
def test_columns_that_a_class_declares(tmp_path, body, columns):
    assert declared(tmp_path, body, before="COLUMNS = ['x', 'y']") == columns


def test_columns_of_a_base_class(tmp_path):
    base = "class Base(mrmodel.Predictor):\n    inputs = ['a']\n"
    assert declared(tmp_path, "pass", "Base", before=base) == ("a",)


def test_nothing_is_imported_where_reading_is_enough(tmp_path):
    """The driver's machine may lack what the nodes have."""
    assert declared(tmp_path, "inputs = ['a']", before="import no_such_package") == ("a",)
    assert find(tmp_path, "import no_such_package\ndef Model(): ...").declared is None
    code = "import no_such_package\nModel = no_such_package.make()"
    assert find(tmp_path, code, needs_inputs=False).declared is None
    with pytest.raises(ModelError, match="No module named 'no_such_package'"):
        find(tmp_path, code)


def test_models_of_an_ensemble(tmp_path):
    """Code of one name has a place of its own; one changed model is another ensemble."""
    refs = []
    for place, columns in (("a", ["x", "y"]), ("b", ["y", "z"])):
        (tmp_path / place).mkdir()
        (tmp_path / f"{place}.pt").write_text(place)
        refs.append(model(tmp_path / place, f"class Model:\n    inputs = {columns}"))
    specs = [
        ModelSpec(ref, weights=f"{tmp_path}/{n}.pt") for ref, n in zip(refs, "ab", strict=True)
    ]
    found = find_models(specs, True, tmp_path / "fetched")
    assert found.declared == ("x", "y", "z")
    assert zipfile.ZipFile(io.BytesIO(found.code)).namelist() == ["0/model.py", "1/model.py"]
    assert [name for name, _ in found.members] == [f"{s.ref}={s.weights}" for s in specs]
    assert found.weights_bytes == 2
    assert len({own.sha256 for _, own in found.members} | {found.sha256}) == 3
    (tmp_path / "b.pt").write_text("c")
    changed = find_models(specs, True, tmp_path / "fetched")
    assert identity(changed, {})["model"] != identity(found, {})["model"]
    assert identity(changed, {})["code"] == identity(found, {})["code"]


@pytest.mark.parametrize("body", ["inputs = 'text'", "inputs = NAME"])
def test_a_str_is_no_list_of_columns(tmp_path, body):
    with pytest.raises(ModelError, match=r"write inputs = \['text'\]"):
        declared(tmp_path, body, before="NAME = 'text'")


def test_py_files_are_there_when_the_class_must_be_imported(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "shared_columns.py").write_text("COLUMNS = ['q']")
    code = (
        "from shared_columns import COLUMNS\nclass Model(mrmodel.Predictor):\n    inputs = COLUMNS"
    )
    found = find(tmp_path, code, py_files=(str(tmp_path / "lib" / "shared_columns.py"),))
    assert found.declared == ("q",)
    assert found.spec.py_files == (str(tmp_path / "lib" / "shared_columns.py"),)


def test_missing_things(tmp_path):
    with pytest.raises(ModelError, match="model file .*no.py does not exist: the folder holds mo"):
        model(tmp_path)
        find_model(ModelSpec(f"{tmp_path}/no.py:Model"), True, tmp_path)
    with pytest.raises(ModelError, match="does not define 'Other': it defines Model"):
        find_model(ModelSpec(f"{tmp_path}/model.py:Other"), True, tmp_path)
    with pytest.raises(ModelError, match="weights .*/no.pt do not exist.*--weights"):
        find_model(
            ModelSpec(f"{tmp_path}/model.py:Model", weights=f"{tmp_path}/no.pt"), True, tmp_path
        )
    with pytest.raises(UsageError, match="expected path/to/file.py:Name"):
        find_model(ModelSpec("model"), True, tmp_path)


def test_paths_are_absolute_for_tasks(tmp_path, monkeypatch):
    model(tmp_path)
    (tmp_path / "w.pt").write_bytes(b"weights")
    monkeypatch.chdir(tmp_path)
    found = find_model(ModelSpec("model.py:Model", weights="w.pt"), True, tmp_path)
    assert found.spec.ref == f"{tmp_path}/model.py:Model"
    assert found.spec.weights == found.weights == f"{tmp_path}/w.pt"
    assert found.weights_bytes == 7


def test_identity(tmp_path):
    """What must be the same for finished shards to count, and what need not."""
    (tmp_path / "w.pt").write_bytes(b"weights")
    (tmp_path / "v.pt").write_bytes(b"weights")
    code = "class Model(mrmodel.Predictor):\n    inputs = ['x']\n"

    def of(code=code, options=(), **spec):
        return identity(
            find(tmp_path, code, **{"weights": f"{tmp_path}/w.pt", **spec}), dict(options)
        )

    base = of()
    assert of(weights=f"{tmp_path}/v.pt") == base  # the same bytes elsewhere
    assert of(device="cpu") == base

    def changed(other):
        return [name for name in base if other[name] != base[name]]

    assert changed(of(args={"n": 1})) == ["model"]
    assert changed(of(dtype="float64")) == ["model"]
    assert changed(of(options={"keep": ("id",)})) == ["options"]
    assert changed(of(code + "# a comment")) == ["code"]
    (tmp_path / "w.pt").write_bytes(b"Weights")
    assert changed(of()) == ["model"]
