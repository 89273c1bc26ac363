"""What ``import mrmodel`` offers, and that it is cheap."""

import subprocess
import sys

import pytest

import mrmodel
from mrmodel.errors import UsageError
from tests.driver import helpers


def test_public_names():
    assert mrmodel.__all__ == ["Predictor", "__version__", "evaluate", "predict", "train"]
    assert set(mrmodel.__all__) <= set(dir(mrmodel))
    for name in mrmodel.__all__:
        assert getattr(mrmodel, name) is not None


def test_other_names_are_refused():
    with pytest.raises(AttributeError, match="no_such_name"):
        getattr(mrmodel, "no_such_name")  # noqa: B009


def test_importing_is_cheap():
    """Nodes, completion and --help import it."""
    heavy = "torch, numpy, pyarrow, mrjob, boto3, click, rich, hdfs_native"
    code = f"import sys, mrmodel; print([n for n in {heavy.split(', ')} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "[]\n"


def test_predicting_from_python(tmp_path):
    """With the class itself, as in a script."""
    data = helpers.parquet(tmp_path / "a.parquet", range(5))
    ref = helpers.model(tmp_path, name="my_model.py")
    run = mrmodel.predict(ref, data, tmp_path / "out", max_bad="1%", workers=2)
    assert (run.success, run.rows["ok"]) == (True, 5)
    assert helpers.ids(tmp_path / "out") == list(range(5))
    sys.path.insert(0, str(tmp_path))
    try:
        from my_model import Model
    finally:
        sys.path.pop(0)
    run = mrmodel.predict(Model, [data], tmp_path / "out", overwrite=True, batch_size=2, keep=[])
    assert helpers.rows(tmp_path / "out")[3] == {"twice": 6.0}


def test_what_python_is_told_is_checked(tmp_path):
    class Local(mrmodel.Predictor):
        pass

    with pytest.raises(UsageError, match="a class at the top level of a file"):
        mrmodel.predict(Local, "in", tmp_path / "out")
    with pytest.raises(UsageError, match="list of column names"):
        mrmodel.predict("m.py:Net", "in", tmp_path / "out", inputs="text")
    with pytest.raises(UsageError, match="unknown key 'shards'"):
        mrmodel.predict("m.py:Net", "in", tmp_path / "out", shards=3)
