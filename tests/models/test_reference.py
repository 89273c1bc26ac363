import sys

import pytest

from mrmodel.errors import ModelError, UsageError
from mrmodel.models.reference import (
    ModelRef,
    check,
    find_module,
    parse,
    parse_source,
    split_weights,
)
from mrmodel.models.reference import top_level_names as names_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("net.py:Net", ModelRef("file", "net.py", "Net")),
        ("a folder/ü,{}/net.py:Net", ModelRef("file", "a folder/ü,{}/net.py", "Net")),
        ("/a:b/net.py:Net", ModelRef("file", "/a:b/net.py", "Net")),
        ("package.module:Net", ModelRef("module", "package.module", "Net")),
        ("net:build", ModelRef("module", "net", "build")),
        ("models/net.pt2", ModelRef("pt2", "models/net.pt2")),
    ],
)
def test_the_three_forms(text, expected):
    assert parse(text) == expected
    assert str(parse(text)) == text


@pytest.mark.parametrize(
    "text", ["", "net", "net.py", "net.py:", "net.py:1x", "net.pt", "a.b.c", ":Net", "a..b:Net"]
)
def test_other_forms_are_explained(text):
    with pytest.raises(UsageError, match=r"path/to/file.py:Name, package.module:Name.*file.pt2"):
        parse(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("net.py:Net", ("net.py:Net", None)),
        ("net.py:Net=w.safetensors", ("net.py:Net", "w.safetensors")),
        ("a.b:Net=hdfs://n:8020/dt=1/w=2", ("a.b:Net", "hdfs://n:8020/dt=1/w=2")),
        ("lr=1/net.py:Net=lr=1/w.pt", ("lr=1/net.py:Net", "lr=1/w.pt")),
        ("lr=1/net.pt2", ("lr=1/net.pt2", None)),
    ],
)
def test_weights_after_a_model(text, expected):
    assert split_weights(text) == expected


@pytest.mark.parametrize("text", ["net.py=w.pt", "=w.pt", "net.py:Net=", ""])
def test_weights_without_a_model_and_the_other_way_round(text):
    with pytest.raises(UsageError, match="expected"):
        split_weights(text)


def test_a_file_without_a_name_is_told_the_names_there_are(tmp_path):
    file = tmp_path / "net.py"
    file.write_text("class Net: ...\ndef build(): ...\n_private = 1\n")
    with pytest.raises(UsageError, match=r"it defines Net, build; say .*net.py:NAME"):
        parse(str(file))


def check_source(tmp_path, source, name="Net"):
    file = tmp_path / "net.py"
    file.write_text(source)
    check(parse(f"{file}:{name}"))


@pytest.mark.parametrize(
    "source",
    [
        "class Net: ...",
        "def Net(): ...",
        "async def Net(): ...",
        "Net = make()",
        "a, (Net, *b) = 1, (2, 3)",
        "Net: object = 1",
        "import Net",
        "import x as Net",
        "from x import Net",
        "from x import y as Net",
        "try:\n  from x import Net\nexcept ImportError:\n  Net = None",
        "if True:\n  pass\nelse:\n  class Net: ...",
        "with open('f'):\n  Net = 1",
        "from x import *",
        "def __getattr__(name): ...",
        "raise RuntimeError('never run')\nclass Net: ...",
    ],
)
def test_a_name_may_be_defined_in_any_way(tmp_path, source):
    check_source(tmp_path, source)


@pytest.mark.parametrize(
    "source", ["class Other:\n  Net = 1", "def f():\n  Net = 1", "Net: object", "x.Net = 1"]
)
def test_a_name_that_is_not_at_the_top_level_is_missing(tmp_path, source):
    with pytest.raises(ModelError, match="does not define 'Net'"):
        check_source(tmp_path, source)


def test_a_missing_name_lists_those_there_are(tmp_path):
    with pytest.raises(ModelError, match="does not define 'Nte': it defines Net, build"):
        check_source(tmp_path, "import os\nclass Net: ...\nbuild = Net\n_x = 1\n", "Nte")


def test_a_missing_file_lists_its_neighbours(tmp_path):
    (tmp_path / "network.py").write_text("")
    with pytest.raises(ModelError, match=r"net.py does not exist: the folder holds network.py"):
        check(parse(f"{tmp_path}/net.py:Net"))
    with pytest.raises(ModelError, match="net.pt2 does not exist: there is no folder"):
        check(parse(f"{tmp_path}/none/net.pt2"))


def test_a_syntax_error_says_where(tmp_path):
    with pytest.raises(ModelError, match=r"net.py:2: .*not valid Python"):
        check_source(tmp_path, "x = 1\nclass Net(:\n")


def test_a_file_that_is_not_text_is_an_error(tmp_path):
    (tmp_path / "net.py").write_bytes(b"\x00\xff\x00")
    with pytest.raises(ModelError, match="net.py"):
        parse_source(tmp_path / "net.py")


def test_imports_and_definitions_are_told_apart(tmp_path):
    (tmp_path / "m.py").write_text("import os.path\nfrom a import b as c\nX = 1\n")
    names = names_of(parse_source(tmp_path / "m.py"))
    assert names.defined == ("X",)
    assert names.imported == ("os", "c")
    assert not names.open


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "shop" / "models"
    folder.mkdir(parents=True)
    (tmp_path / "shop" / "__init__.py").write_text("raise RuntimeError('imported')")
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    (folder / "net.py").write_text("class Net: ...")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    return tmp_path


def test_a_module_is_found_without_importing_its_packages(package):
    assert find_module("shop.models.net") == package / "shop/models/net.py"
    check(parse("shop.models.net:Net"))
    assert not any(name.startswith("shop") for name in sys.modules)


def test_a_module_of_the_current_folder_is_found(package, monkeypatch):
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p != str(package)])
    monkeypatch.chdir(package)
    assert find_module("shop.models.net") == package / "shop/models/net.py"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("shop.models.nets", "module shop.models.nets does not exist: no shop.models.nets"),
        ("nosuch.net", "no nosuch on sys.path.*--py-files"),
        ("shop.models.net.more", "shop.models.net is a module, not a package"),
    ],
)
def test_a_missing_module_says_which_part(package, name, message):
    with pytest.raises(ModelError, match=message):
        check(parse(f"{name}:Net"))


def test_a_missing_name_of_a_module(package):
    with pytest.raises(ModelError, match="net.py does not define 'Nope': it defines Net"):
        check(parse("shop.models.net:Nope"))


def test_compiled_and_namespace_modules_are_left_to_the_import(package):
    (package / "space" / "inner").mkdir(parents=True)
    check(parse("space.inner:Net"))
    check(parse("math:sqrt"))
