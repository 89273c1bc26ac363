import io
import subprocess
import sys
import zipfile

import pytest

from mrmodel.errors import ModelError, UsageError
from mrmodel.models.code import collect, is_installed, package_data, package_zip
from mrmodel.models.reference import parse


@pytest.fixture
def project(tmp_path):
    """net.py imports helper (which imports deep) and pack; data/ and unused.py are not imported."""
    files = {
        "net.py": "import os, torch\nfrom helper import x\ndef f():\n  import pack.inner\n",
        "helper.py": "import deep\nimport json\n",
        "deep.py": "",
        "unused.py": "raise RuntimeError",
        "pack/__init__.py": "",
        "pack/inner.py": "from . import other\nimport from_pack\n",
        "pack/vocab.txt": "a b",
        "pack/.hidden": "",
        "pack/__pycache__/inner.cpython-311.pyc": "",
        "from_pack.py": "",
        "data/table.csv": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


NAMES = (
    "deep.py",
    "from_pack.py",
    "helper.py",
    "net.py",
    "pack/__init__.py",
    "pack/inner.py",
    "pack/vocab.txt",
)


def test_what_the_model_imports_from_its_folder_goes_along(project):
    assert collect(parse(f"{project}/net.py:Net")).names == NAMES


def test_the_same_files_give_the_same_bytes(project):
    first = collect(parse(f"{project}/net.py:Net"))
    for path in project.rglob("*.py"):
        path.touch()
    again = collect(parse(f"{project}/net.py:Net"))
    assert (first.data, first.sha256) == (again.data, again.sha256)
    (project / "deep.py").write_text("x = 1")
    assert collect(parse(f"{project}/net.py:Net")).sha256 != first.sha256


def test_a_folder_named_like_an_installed_package_is_not_it(project):
    (project / "torch").mkdir()
    (project / "torch" / "notes.py").write_text("")
    assert collect(parse(f"{project}/net.py:Net")).names == NAMES


def test_a_folder_without_init_is_a_package_too(project):
    (project / "net.py").write_text("from space.part import x")
    (project / "space").mkdir()
    (project / "space" / "part.py").write_text("")
    assert collect(parse(f"{project}/net.py:Net")).names == ("net.py", "space/part.py")


def test_py_files_are_files_folders_and_archives(project, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    (other / "single.py").write_text("")
    (other / "whole").mkdir()
    (other / "whole" / "__init__.py").write_text("")
    with zipfile.ZipFile(other / "lib-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("lib/__init__.py", "")
        wheel.writestr("lib/__pycache__/x.pyc", "")
    extra = [other / "single.py", other / "whole", other / "lib-1.0-py3-none-any.whl"]
    added = set(collect(parse(f"{project}/net.py:Net"), extra).names) - set(NAMES)
    assert added == {"single.py", "whole/__init__.py", "lib/__init__.py"}


def test_py_files_that_cannot_be_used_are_named(project, tmp_path):
    ref = parse(f"{project}/net.py:Net")
    (tmp_path / "bad.zip").write_text("no zip")
    (tmp_path / "notes.txt").write_text("")
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr("../evil.py", "")
    for name, message in [
        ("none.py", "none.py does not exist"),
        ("bad.zip", "not a zip"),
        ("notes.txt", "expected a .py file"),
        ("evil.zip", "would leave its folder"),
    ]:
        with pytest.raises(UsageError, match=message):
            collect(ref, [tmp_path / name])


def test_two_files_of_one_name_are_refused_unless_equal(project, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    (other / "deep.py").write_text("different = 1")
    with pytest.raises(UsageError, match="another file is called deep.py"):
        collect(parse(f"{project}/net.py:Net"), [other / "deep.py"])
    collect(parse(f"{project}/net.py:Net"), [project / "deep.py"])


def test_broken_code_is_found_while_collecting(project):
    (project / "helper.py").write_text("def (")
    with pytest.raises(ModelError, match="helper.py:1"):
        collect(parse(f"{project}/net.py:Net"))


def test_a_package_on_the_path_goes_whole_with_its_neighbours(project, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(project), *sys.path])
    names = collect(parse("pack.inner:Net")).names
    assert names == ("from_pack.py", "pack/__init__.py", "pack/inner.py", "pack/vocab.txt")
    assert collect(parse("pack:Net")).names == names


def test_an_installed_module_is_not_bundled():
    assert collect(parse("torch.nn:Linear")).names == ()
    assert collect(parse("json.decoder:JSONDecoder")).names == ()


def test_a_pt2_file_is_no_code(tmp_path):
    bundle = collect(parse(str(tmp_path / "net.pt2")))
    assert bundle.names == ()
    assert zipfile.ZipFile(io.BytesIO(bundle.data)).namelist() == []


def test_installed_is_told_by_place(tmp_path):
    assert is_installed(tmp_path / "lib/python3.11/site-packages/x.py")
    assert not is_installed(tmp_path / "x.py")


def run_from_zip(folder, data, code):
    """What `code` prints to a Python that has mrmodel and mrjob from the zip `data` alone."""
    (folder / "own.zip").write_bytes(data)
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,  # python -c looks in the current folder first
        env={"PYTHONPATH": str(folder / "own.zip")},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_mrmodel_and_mrjob_run_from_the_zip_alone(tmp_path):
    bundle = package_zip()
    assert bundle.data == package_zip.__wrapped__().data
    assert not any("__pycache__" in name for name in bundle.names)
    code = "import mrmodel.errors, mrjob.job; print(mrmodel.__file__, mrjob.__file__)"
    assert run_from_zip(tmp_path, bundle.data, code).count("own.zip") == 2


def test_the_zip_is_kept_until_a_file_changes(tmp_path, monkeypatch):
    kept = tmp_path / "cache" / "package"
    data = package_data.__wrapped__(kept)
    assert data == package_zip().data
    with monkeypatch.context() as patch:
        patch.setattr("mrmodel.models.code.package_zip", None)  # not asked again
        assert package_data.__wrapped__(kept) == data
    monkeypatch.setattr("importlib.util.MAGIC_NUMBER", b"2.7\n")
    package_zip.cache_clear()
    assert package_data.__wrapped__(kept) != data
    package_zip.cache_clear()
    kept.write_bytes(b"half")
    monkeypatch.undo()
    assert package_data.__wrapped__(kept) == data


FAILING = """
import traceback, mrmodel.tasks.run as run
print(run.__file__)
try:
    run.shard_of_split(None, {})
except AttributeError:
    traceback.print_exc(file=__import__("sys").stdout)"""


def test_tasks_need_not_compile_what_is_sent(tmp_path):
    out = run_from_zip(tmp_path, package_zip().data, FAILING)
    assert out.startswith(f"{tmp_path}/own.zip/mrmodel/tasks/run.pyc\n")
    # people see where it failed all the same
    assert 'File "mrmodel/tasks/run.py", line' in out
    assert "if context.split is None:" in out


def test_another_python_compiles_for_itself(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.MAGIC_NUMBER", b"2.7\n")
    out = run_from_zip(tmp_path, package_zip.__wrapped__().data, FAILING)
    assert out.startswith(f"{tmp_path}/own.zip/mrmodel/tasks/run.py\n")
    assert "if context.split is None:" in out
