"""`mrmodel doctor`, as a person and as a script read it."""

import json
import subprocess
import sys

import pytest

from mrmodel.cli.main import main
from mrmodel.driver import doctor
from mrmodel.driver.checks.base import Check, Finding, fail, ok, warn
from mrmodel.errors import ServiceError


def unreachable(facts):
    raise ServiceError("HDFS at hdfs://n does not answer")


CHECKS = [
    Check("python", lambda facts: ok("3.11.7")),
    Check("task logs", lambda facts: warn("not collected", "turn it on")),
    Check("hdfs", unreachable, remedy="start it"),
    Check("home folder", lambda facts: ok("never asked"), ("hdfs",)),
]


@pytest.fixture
def some_checks(monkeypatch):
    monkeypatch.setattr(doctor, "checks_for", lambda request: CHECKS)


def test_a_check_is_one_aligned_line_with_what_to_do(some_checks, capsys):
    assert main(["doctor", "-r", "hadoop"]) == 4
    assert capsys.readouterr().out.splitlines() == [
        "ok    python       3.11.7",
        "warn  task logs    not collected -> turn it on",
        "FAIL  hdfs         HDFS at hdfs://n does not answer -> start it",
        "skip  home folder  needs hdfs",
        "1 FAIL, 1 ok, 1 skip, 1 warn",
    ]


def test_json(some_checks, capsys):
    assert main(["doctor", "-r", "hadoop", "--json"]) == 4
    told = json.loads(capsys.readouterr().out)
    assert told["exit_code"] == 4 and told["task"] is None
    assert [check["mark"] for check in told["checks"]] == ["ok", "warn", "FAIL", "skip"]
    assert told["checks"][1]["remedy"] == "turn it on"


def test_details_stand_below(monkeypatch, capsys):
    finding = Finding("FAIL", "the job failed", "see below", 2, "line 1\nline 2")
    monkeypatch.setattr(doctor, "checks_for", lambda request: [Check("job", lambda f: finding)])
    assert main(["doctor"]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:3] == ["           line 1", "           line 2"]


def test_a_terminal_gets_colour_and_lines_that_fit(monkeypatch, capsys):
    from mrmodel.cli.doctor import _Table

    table = _Table(len("python"))
    table._terminal = table._colour = True
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr("click.utils.should_strip_ansi", lambda *args: False)
    table.tell("python", fail("word " * 30, "mend it"))
    lines = capsys.readouterr().out.removeprefix("\r\x1b[K").splitlines()
    assert lines[0].startswith("\x1b[31mFAIL") and len(lines) > 2
    assert all(line.startswith(" " * 14) and len(line) < 60 for line in lines[1:])


def test_this_machine(capsys):
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = [line[6:].split("  ")[0] for line in lines[:-1]]
    assert names == [
        "python", "torch", "numpy", "pyarrow", "mrjob", "temporary folder", "machine",
    ]  # fmt: skip


def test_wrong_options_exit_with_2(capsys):
    assert main(["doctor", "--memory", "2GB"]) == 2
    assert main(["doctor", "-r", "nowhere"]) == 2
    assert "expected -r hadoop too" in capsys.readouterr().err


def test_help_has_examples_and_comes_without_torch():
    code = (
        "import sys; from mrmodel.cli.main import main; main(['doctor', '--help']); "
        "sys.exit(bool({'torch', 'pyarrow', 'mrjob'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0
    assert "mrmodel doctor -r hadoop --deep --python" in done.stdout
