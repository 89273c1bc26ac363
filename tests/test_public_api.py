"""What ``import mrmodel`` offers, and that it is cheap."""

import subprocess
import sys

import pytest

import mrmodel


def test_public_names():
    assert mrmodel.__all__ == ["Predictor", "__version__", "predict"]
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
