import sys
import types

import pytest

from mrmodel.errors import ModelError, UsageError
from mrmodel.models.importing import import_object, user_code, user_traceback
from mrmodel.models.reference import parse


def write(folder, name, text):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return folder / name


def load(path, name="Net"):
    return import_object(parse(f"{path}:{name}"))


def failure(path, name="Net"):
    with pytest.raises(ModelError) as e:
        load(path, name)
    assert "\n" not in str(e.value)
    return e.value


def test_a_file_is_run_anew_every_time(tmp_path):
    path = write(tmp_path, "net.py", "Net = 1")
    assert load(path) == 1
    path.write_text("Net = 'changed'")
    assert load(path) == "changed"


def test_a_file_may_use_dataclasses_and_its_folder(tmp_path):
    write(tmp_path, "helper_of_test.py", "value = 7")
    source = (
        "import dataclasses, helper_of_test\n@dataclasses.dataclass\n"
        "class Net:\n  x: int = helper_of_test.value\n"
    )
    assert load(write(tmp_path, "net.py", source))().x == 7


def test_two_models_may_have_neighbours_of_one_name(tmp_path):
    for name in ("a", "b"):
        write(tmp_path / name, "utils_of_test.py", f"value = {name!r}")
        write(tmp_path / name, "net.py", "import utils_of_test\nNet = utils_of_test.value")
    assert load(tmp_path / "a" / "net.py") == "a"
    assert load(tmp_path / "b" / "net.py") == "b"
    assert load(tmp_path / "a" / "net.py") == "a"


def test_a_module_is_imported_from_the_path_or_the_current_folder(tmp_path, monkeypatch):
    write(tmp_path / "pkg_of_test", "__init__.py", "")
    write(tmp_path / "pkg_of_test", "net.py", "class Net: ...")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    assert isinstance(load("pkg_of_test.net"), type)
    assert isinstance(import_object(parse("json:decoder")), types.ModuleType)


def test_an_error_names_its_place_and_shows_the_frames_of_the_user(tmp_path):
    write(tmp_path, "deeper_of_test.py", "def fail():\n  raise ValueError('bad size')\n")
    error = failure(write(tmp_path, "net.py", "import deeper_of_test\n\ndeeper_of_test.fail()\n"))
    assert str(error) == (
        "the model could not be imported: ValueError: bad size (deeper_of_test.py:2)"
    )
    lines = error.detail.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert "net.py" in lines[1]
    assert lines[-1] == "ValueError: bad size"
    assert "importlib" not in error.detail
    assert "mrmodel/models" not in error.detail


def test_our_frames_are_left_out_wherever_they_were_compiled(tmp_path):
    """On nodes, files of mrmodel have the names that they have in its zip."""
    ours = {"__name__": "mrmodel.models.loading"}
    exec(compile("def load(model): model()", "mrmodel/models/loading.py", "exec"), ours)
    theirs = {"__name__": "mrmodel_user_model"}
    exec(compile("def model(): raise ValueError('no')", "/home/me/model.py", "exec"), theirs)
    with pytest.raises(ValueError, match="no") as raised:
        ours["load"](theirs["model"])
    after_this_test = raised.value.with_traceback(raised.tb.tb_next)
    told = user_traceback(after_this_test)
    assert '"/home/me/model.py", line 1, in model' in told
    assert "loading.py" not in told


def test_frames_of_libraries_after_those_of_the_user_stay(tmp_path):
    error = failure(write(tmp_path, "net.py", "import torch\ntorch.zeros(2).view(3)\n"))
    assert "(net.py:2)" in str(error)
    assert "view" in error.detail


def test_a_missing_import_says_how_to_ship_it(tmp_path):
    error = failure(write(tmp_path, "net.py", "import no_such_thing.sub"))
    assert "No module named 'no_such_thing'" in str(error)
    assert "--py-files" in str(error)
    assert "install" in str(error)


def test_a_relative_import_says_how_to_name_the_module(tmp_path):
    error = failure(write(tmp_path, "net.py", "from .layers import x"))
    assert "package.module:Name" in str(error)


def test_a_syntax_error_in_another_module_says_where(tmp_path):
    write(tmp_path, "broken_of_test.py", "x = 1\ndef (\n")
    error = failure(write(tmp_path, "net.py", "import broken_of_test"))
    assert "SyntaxError" in str(error)
    assert "(broken_of_test.py:2)" in str(error)


def test_exit_at_import_is_an_error_not_the_end(tmp_path):
    error = failure(write(tmp_path, "net.py", "raise SystemExit(3)"))
    assert "SystemExit: 3 (net.py:1)" in str(error)


def test_a_name_that_is_missing_after_all(tmp_path):
    path = write(tmp_path, "net.py", "from os.path import *")
    assert "does not define 'Net'" in str(failure(path))


def test_a_missing_file(tmp_path):
    assert "does not exist" in str(failure(tmp_path / "net.py"))


def test_errors_of_mrmodel_and_the_keyboard_pass():
    with pytest.raises(UsageError), user_code():
        raise UsageError("own")
    with pytest.raises(KeyboardInterrupt), user_code():
        raise KeyboardInterrupt


def test_a_message_of_many_lines_becomes_one():
    with pytest.raises(ModelError, match="ValueError: first … ") as e, user_code():
        raise ValueError("first\nsecond")
    assert "second" in e.value.detail
