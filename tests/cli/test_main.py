"""The command itself: quick, and one line for each thing that goes wrong."""

import json
import os
import subprocess
import sys

import pytest

from mrmodel.cli import main as module
from mrmodel.cli.main import COMMANDS, main
from mrmodel.errors import JobError, MrmodelError

HELP = """
import json, os, sys
from mrmodel.cli.main import main
code = main(["--help"])
spent = os.times()
print(json.dumps([code, spent.user + spent.system, sorted(sys.modules)]), file=sys.stderr)
"""


def test_help_is_quick_and_imports_nothing_heavy():
    done = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True)
    code, seconds, modules = json.loads(done.stderr)
    assert code == 0
    assert seconds < 0.5
    heavy = {"torch", "numpy", "pyarrow", "mrjob", "rich", "boto3", "hdfs_native"}
    assert heavy & set(modules) == set()
    for name in COMMANDS:
        assert f"  {name} " in done.stdout
    assert "Exit codes: 0 complete; 1 the job failed" in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_helps(name, capsys):
    assert main([name, "--help"]) == 0
    help_text = capsys.readouterr().out
    assert help_text.startswith(f"Usage: mrmodel {name} ")
    assert "Example" in help_text or "Commands" in help_text


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("mrmodel, version ")


@pytest.mark.parametrize("words", [["fly"], ["predict"], ["predict", "m.py:Net", "in"], ["--fly"]])
def test_wrong_usage(words, capsys):
    assert main(words) == 2
    told = capsys.readouterr()
    assert told.out == "" and "Error: " in told.err


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (JobError("what", "more\nlines"), 1, "Error: what\nmore\nlines\n"),
        (KeyboardInterrupt(), 130, "Error: interrupted\n"),
        (OSError(28, "No space left on device"), 1, "Error: OSError: [Errno 28] No space left"),
        *[(kind("x"), kind.exit_code, "Error: x\n") for kind in MrmodelError.__subclasses__()],
    ],
)
def test_errors_become_lines_and_exit_codes(error, code, text, capsys, monkeypatch):
    def fail(*args, **options):
        raise error

    monkeypatch.setattr(module.cli, "main", fail)
    assert main([]) == code
    told = capsys.readouterr()
    assert told.out == "" and told.err.startswith(text)


def test_a_bug_shows_its_stack(capsys, monkeypatch):
    monkeypatch.setattr(module.cli, "main", lambda *args, **options: {}["no"])
    assert main([]) == 1
    first, *more = capsys.readouterr().err.splitlines()
    assert first == "Error: KeyError: 'no' (this is a bug in mrmodel: please report it)"
    assert more[0].startswith("Traceback")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell, capsys):
    assert main(["completion", shell]) == 0
    assert "_MRMODEL_COMPLETE" in capsys.readouterr().out


def test_completion_of_commands():
    environment = {**os.environ, "_MRMODEL_COMPLETE": "bash_complete", "COMP_WORDS": "mrmodel pre"}
    code = "from mrmodel.cli.main import cli; cli(prog_name='mrmodel')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**environment, "COMP_CWORD": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.strip() == "plain,predict"
