"""What is sent to nodes, and mrjob's view of a file system; on this machine's, as on HDFS."""

import zipfile
from pathlib import Path

import pytest

from mrmodel.errors import UsageError
from mrmodel.runners.mrjob_fs import NativeFilesystem
from mrmodel.runners.shipping import ship, ship_round
from tests.driver.helpers import names


def by_name(shipment):
    return {file.rpartition("#")[2]: file.rpartition("#")[0] for file in shipment.files}


def test_code_and_weights(tmp_path):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "model.safetensors.index.json").write_text("{}")
    for number in (1, 2):
        path = tmp_path / "weights" / f"model-0000{number}-of-00002.safetensors"
        path.write_bytes(bytes([number]) * 10)
    root = str(tmp_path / "hdfs")
    found = ship(b"zip of code", [str(tmp_path / "weights")], None, "me", root)
    files = by_name(found)
    assert {"mrmodel.zip", "code.zip"} < set(files)
    assert Path(files["code.zip"]).read_bytes() == b"zip of code"
    (weights,) = found.weights
    assert weights.is_folder and found.env is None
    second = weights.links["model-00002-of-00002.safetensors"]
    assert Path(files[second]).read_bytes() == b"\2" * 10
    assert all(uri.startswith(f"{root}/user/me/.mrmodel/cache/") for uri in files.values())
    packed = zipfile.ZipFile(files["mrmodel.zip"]).namelist()
    assert "mrmodel/tasks/run.py" in packed and "mrjob/job.py" in packed


def test_a_second_job_sends_nothing(tmp_path):
    (tmp_path / "w.pt").write_bytes(b"weights")
    root = str(tmp_path / "hdfs")
    first = ship(b"code", [str(tmp_path / "w.pt")], None, "me", root)
    cache = tmp_path / "hdfs" / "user" / "me" / ".mrmodel" / "cache"
    before = {path: path.stat().st_ino for path in cache.rglob("*")}
    assert ship(b"code", [str(tmp_path / "w.pt")], None, "me", root) == first
    assert {path: path.stat().st_ino for path in cache.rglob("*")} == before
    assert all(names(folder) == ["data"] for folder in cache.iterdir())


def test_the_weights_of_several_models(tmp_path):
    for name in ("a.pt", "b.pt"):
        (tmp_path / name).write_bytes(name.encode())
    paths = [str(tmp_path / "a.pt"), None, str(tmp_path / "b.pt"), str(tmp_path / "a.pt")]
    found = ship(b"code", paths, None, "me", str(tmp_path / "hdfs"))
    first, none, second, again = [weights.links for weights in found.weights]
    files = by_name(found)
    assert none == {} and again == first
    assert Path(files[first["a.pt"]]).read_bytes() == b"a.pt"
    assert Path(files[second["b.pt"]]).read_bytes() == b"b.pt"
    assert len(files) == len(found.files) == 4


def test_environments(tmp_path):
    (tmp_path / "env.tar.gz").write_bytes(b"packed")
    found = ship(None, [], str(tmp_path / "env.tar.gz"), "me", str(tmp_path / "hdfs"))
    assert found.env.endswith("/env.tar.gz#env")
    for wrong in ("no.tar.gz", "env.rar"):
        with pytest.raises(UsageError, match="--env .*expected an archive"):
            ship(None, [], str(tmp_path / wrong), "me", str(tmp_path / "hdfs"))


def test_weights_of_a_round():
    uri = "hdfs://nn:8020/a-b/.run_1.mrmodel/weights.safetensors"
    assert ship_round(uri) == f"{uri}#round.safetensors"
    assert ship_round(None) is None


@pytest.mark.parametrize("name", ["a b", "a,b", "a#b", "a%20b", "{a}", "ü", "a*"])
def test_a_name_that_hadoops_list_of_files_cannot_hold(name):
    assert ship_round(f"hdfs://nn/{name}/weights.safetensors") is None


def test_mrjobs_calls(tmp_path):
    fs = NativeFilesystem(["hadoop"])
    (tmp_path / "a").write_bytes(b"x" * 100)
    fs.mkdir(f"{tmp_path}/deep/er")
    fs.put(f"{tmp_path}/a", f"{tmp_path}/deep/er/b")
    assert fs.exists(f"{tmp_path}/deep/*/b") and not fs.exists(f"{tmp_path}/no*")
    assert list(fs.ls(f"{tmp_path}/deep/er/b")) == [f"{tmp_path}/deep/er/b"]
    assert f"{tmp_path}/deep/er/b" in list(fs.ls(f"{tmp_path}/deep"))
    assert b"".join(fs._cat_file(f"{tmp_path}/deep/er/b")) == b"x" * 100
    with fs.putting_together():
        for name in "cd":
            fs.put(f"{tmp_path}/a", f"{tmp_path}/deep/{name}")
    assert names(tmp_path / "deep") == ["c", "d", "er"]
    fs.rm(f"{tmp_path}/deep")
    assert names(tmp_path) == ["a"]
