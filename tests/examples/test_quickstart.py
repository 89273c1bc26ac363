"""scripts/quickstart up to the prediction: interpreters that will not do, and what is reused.

The interpreter is a stub that acts as `python3` would, so that nothing is installed.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
# stands in for the outer Python (makes a venv of stubs) and for the Python inside the venv
STUB = """#!/usr/bin/env bash
echo "$*" >>"$STUB_LOG"
case "$*" in
    -V) echo "Python ${STUB_VERSION:-3.11.7}" ;;
    *version_info*) [[ "${STUB_VERSION:-3.11.7}" != 3.9* ]] ;;
    *ensurepip*) [[ -z "${STUB_NO_VENV:-}" ]] ;;
    "-m venv"*)
        mkdir -p .venv/bin
        cp "$0" .venv/bin/python
        cp "$0" .venv/bin/mrmodel ;;
    "-m pip install"*) [[ -z "${STUB_NO_NETWORK:-}" ]] || { echo "no route" >&2; exit 1; } ;;
esac
"""


@pytest.fixture
def checkout(tmp_path):
    """A folder with what quickstart looks at, in a path with a space."""
    folder = tmp_path / "a checkout"
    (folder / "scripts").mkdir(parents=True)
    for name in ("quickstart", "_venv.sh"):
        shutil.copy(REPOSITORY / "scripts" / name, folder / "scripts")
    shutil.copy(REPOSITORY / "setup.cfg", folder)
    (folder / "stub").write_text(STUB)
    (folder / "stub").chmod(0o755)
    return folder


def quickstart(checkout, **environment):
    """Run it from another folder; the commands that reached a Python are in `calls`."""
    log = checkout / "calls"
    log.write_text("")
    environment = {"PYTHON": str(checkout / "stub"), "STUB_LOG": str(log), **environment}
    done = subprocess.run(
        [checkout / "scripts" / "quickstart"],
        env={**os.environ, **environment},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    return done, log.read_text().splitlines()


def installs(calls):
    return [call for call in calls if call.startswith("-m pip install")]


def test_first_run_makes_a_venv_installs_predicts_and_shows(checkout):
    done, calls = quickstart(checkout)
    assert done.returncode == 0, done.stderr
    assert "-m venv --clear .venv" in calls
    assert len(installs(calls)) == 1
    predict, show = calls[-2:]
    assert predict.startswith("predict examples/digits/model.py:Digits examples/digits/data")
    assert show == "examples/digits/show.py quickstart-output/predictions"


def test_second_run_installs_nothing(checkout):
    quickstart(checkout)
    done, calls = quickstart(checkout)
    assert done.returncode == 0
    assert "-m venv --clear .venv" not in calls
    assert installs(calls) == []


def test_changed_requirements_are_installed(checkout):
    quickstart(checkout)
    with open(checkout / "setup.cfg", "a") as setup:
        setup.write("# changed\n")
    assert len(installs(quickstart(checkout)[1])) == 1


def test_venv_whose_python_is_gone_is_made_again(checkout):
    quickstart(checkout)
    (checkout / ".venv" / "bin" / "python").unlink()
    assert "-m venv --clear .venv" in quickstart(checkout)[1]


def assert_fails(done, *words):
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("quickstart: ")
    for word in words:
        assert word in last


def test_missing_interpreter(checkout):
    done, _ = quickstart(checkout, PYTHON="python9.9")
    assert_fails(done, "there is no python9.9", "PYTHON=")


def test_old_interpreter(checkout):
    done, calls = quickstart(checkout, STUB_VERSION="3.9.2")
    assert_fails(done, "3.10 or newer", "Python 3.9.2", "PYTHON=")
    assert not (checkout / ".venv").exists()


def test_interpreter_without_venv(checkout):
    done, _ = quickstart(checkout, STUB_NO_VENV="1")
    assert_fails(done, "no venv module", "python3-venv")


def test_failed_install_is_said_and_tried_again(checkout):
    done, _ = quickstart(checkout, STUB_NO_NETWORK="1")
    assert "no route" in done.stderr
    assert_fails(done, "pip could not install", "PIP_FIND_LINKS")
    done, calls = quickstart(checkout)
    assert done.returncode == 0
    assert len(installs(calls)) == 1
