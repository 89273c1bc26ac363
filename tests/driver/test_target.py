"""OUTPUT, and who may touch it."""

import os
import subprocess
import sys

import pytest

from mrmodel.driver.target import (
    check_input,
    difference_to_output,
    open_target,
    prepare_staging,
    put_back_old,
)
from mrmodel.errors import OutputExistsError, UsageError
from mrmodel.specs import OutputSpec
from mrmodel.storage import write_json
from tests.driver.helpers import names


def target(path, **options):
    return open_target(OutputSpec(str(path), **options))


def output(path, identity=None):
    """A folder that looks as if mrmodel had made it."""
    (path / "_mrmodel").mkdir(parents=True)
    write_json(str(path / "_mrmodel" / "run.json"), {"identity": identity or {}})


def test_nothing_there(tmp_path):
    found = target(tmp_path / "a" / "out")
    assert (found.exists, found.run, found.is_complete) == (False, None, False)
    assert found.staging.uri == f"{tmp_path}/a/.out.mrmodel"
    assert names(tmp_path) == []


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_something_there(tmp_path, kind):
    path = tmp_path / "out"
    path.mkdir() if kind == "folder" else path.touch()
    with pytest.raises(OutputExistsError, match="use --overwrite to replace it, --resume"):
        target(path)


def test_a_file_is_not_replaced(tmp_path):
    (tmp_path / "out").touch()
    with pytest.raises(UsageError, match="is a file: expected a folder"):
        target(tmp_path / "out", overwrite=True)


def test_any_folder_is_replaced_but_only_ours_is_resumed(tmp_path):
    (tmp_path / "out").mkdir()
    assert target(tmp_path / "out", overwrite=True).exists
    with pytest.raises(UsageError, match="has no _mrmodel/run.json"):
        target(tmp_path / "out", resume=True)


def test_staging_is_kept_only_for_the_same_job(tmp_path):
    found = target(tmp_path / "out")
    for identity, resume, kept, reason in [
        ({"model": "a", "options": "x"}, False, False, None),
        ({"model": "a", "options": "x"}, True, True, None),
        ({"model": "b", "options": "y"}, True, False, "the model and the options changed"),
        ({"model": "b", "options": "y"}, False, False, None),
    ]:
        assert prepare_staging(found, identity, resume) == reason
        mark = tmp_path / ".out.mrmodel" / "done"
        assert mark.exists() is kept
        mark.mkdir(exist_ok=True)


def test_staging_that_lost_its_identity_is_not_kept(tmp_path):
    """What is left of a deletion that was cut off."""
    (tmp_path / ".out.mrmodel" / "done" / "shard").mkdir(parents=True)
    prepare_staging(target(tmp_path / "out"), {"model": "a"}, resume=True)
    assert names(tmp_path / ".out.mrmodel") == ["identity.json"]


def test_difference_to_the_output(tmp_path):
    output(tmp_path / "out", {"model": "a", "code": "b"})
    found = target(tmp_path / "out", resume=True)
    assert difference_to_output(found, {"model": "a", "code": "b"}) is None
    assert difference_to_output(found, {"model": "a", "code": "c"}) == "the code changed"
    assert difference_to_output(target(tmp_path / "new"), {"model": "a"}) is None


def test_an_old_output_that_was_moved_away_comes_back(tmp_path):
    (tmp_path / ".out.mrmodel" / "old").mkdir(parents=True)
    found = target(tmp_path / "new")
    put_back_old(found.uri, found.staging)
    with pytest.raises(OutputExistsError):
        target(tmp_path / "out")
    assert names(tmp_path) == [".out.mrmodel", "out"]


def test_input_inside_the_output(tmp_path):
    found = target(tmp_path / "out")
    check_input(found, [f"{tmp_path}/in/a", f"{tmp_path}/output/a", f"{tmp_path}/out.parquet"])
    with pytest.raises(UsageError, match="lies in the output"):
        check_input(found, [f"{tmp_path}/out/a"])


def test_a_path_below_a_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be made: .*Not a directory"):
        prepare_staging(target(tmp_path / "file" / "out"), {}, False)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
@pytest.mark.parametrize("mode", [0o755, 0o700])
def test_no_permission(tmp_path, mode):
    """As a user without a name, as in containers; the folder above may not even be looked into."""
    code = (
        "import os, sys; sys.path.insert(0, os.getcwd())\n"
        "from mrmodel.driver.target import *; from mrmodel.specs import OutputSpec\n"
        "from mrmodel.errors import UsageError\n"
        "from mrmodel import storage; storage.exists('/')\n"
        "os.environ = {}; os.setresuid(54321, 54321, 54321)\n"
        "try: prepare_staging(open_target(OutputSpec(sys.argv[1])), {}, False)\n"
        "except UsageError as error: print(error.message)"
    )
    folder = tmp_path / "theirs"
    folder.mkdir(mode=mode)
    for above in [*tmp_path.parents][:3]:
        above.chmod(above.stat().st_mode | 0o055)
    tmp_path.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder / "out")], capture_output=True, text=True
    )
    assert done.stdout.startswith(f"output {folder}/out cannot be written as user 54321: "), done
    assert done.stdout.count("\n") == 1
    assert names(folder) == []
