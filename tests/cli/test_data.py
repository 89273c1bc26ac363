import json
import os
import pty
import re
import signal
import subprocess
import sys
import time

import pytest

from mrmodel.cli.main import main
from mrmodel.driver.transfer import Plan
from mrmodel.driver.transfer_progress import TransferProgress


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    (folder / "dt=1").mkdir(parents=True)
    (folder / "a b,{c}%20.csv").write_bytes(b"x" * 2048)
    (folder / "dt=1" / "é.csv").write_bytes(b"y")
    return folder


@pytest.mark.parametrize("command", ["put", "get"])
def test_copy_and_copy_again(source, tmp_path, capsys, command):
    arguments = ["data", command, str(source), str(tmp_path / "target")]
    assert main(arguments) == 0
    said = capsys.readouterr()
    assert re.match(r"copied 2 files, 2\.0 KB in \S+ s \(.*/s\), checked by SHA-256\n$", said.out)
    assert said.err == ""
    assert (tmp_path / "target" / "dt=1" / "é.csv").read_bytes() == b"y"
    assert main(arguments) == 0
    assert capsys.readouterr().out.endswith("; 2 files were there already\n")


def test_copy_as_json(source, tmp_path, capsys):
    assert main(["data", "put", str(source / "dt=1"), str(tmp_path / "x"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["copied"] == [f"{tmp_path}/x/é.csv"]
    assert said["bytes"] == {"copied": 1, "skipped": 0}


def test_other_content_is_refused_by_name(source, tmp_path, capsys):
    (tmp_path / "target").write_text("other")
    arguments = ["data", "put", str(source / "a b,{c}%20.csv"), str(tmp_path / "target")]
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.err == (
        f"Error: {tmp_path}/target is there already with other content: --overwrite replaces it\n"
    )
    assert main([*arguments, "--overwrite"]) == 0
    assert (tmp_path / "target").stat().st_size == 2048


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["put", "{}/no", "{}/x"], 2, "/no: no such file or folder"),
        (["put", "{}/source", "s3://bucket/x"], 2, "s3:// is not supported yet"),
        (["put", "{}/source"], 2, "Missing argument"),
        (["put", "{}/source", "{}/x", "--jobs", "0"], 2, "--jobs"),
        (["ls", "{}/no"], 2, "/no: no such file or folder"),
        (["ls", "hdfs://no-such-host.invalid/x"], 4, "does not answer"),
        (["put", "{}/source", "hdfs://no-such-host.invalid/x"], 4, "does not answer"),
    ],
)
def test_exit_codes(source, tmp_path, capsys, arguments, code, said):
    assert main(["data", *(text.format(tmp_path) for text in arguments)]) == code
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error


def test_ls(source, capsys):
    (source / "dt=1" / "new\nline").write_bytes(b"")
    assert main(["data", "ls", "-R", str(source)]) == 0
    lines = capsys.readouterr().out.splitlines()
    date = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
    for line, expected in zip(
        lines,
        [
            rf"  2\.0 KB  {date}  a b,{{c}}%20\.csv$",
            rf"       -  {date}  dt=1/$",
            rf"     0 B  {date}  dt=1/new\\nline$",
            rf"     1 B  {date}  dt=1/é\.csv$",
            r"total 3 files, 2\.0 KB; 1 folder$",
        ],
        strict=True,
    ):
        assert re.match(expected, line)


def test_ls_of_a_file_a_glob_and_nothing_in_it(source, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert main(["data", "ls", f"{source}/*.csv", str(tmp_path / "empty")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith(f"{source}/a b,{{c}}%20.csv")
    assert lines[1] == "total 1 file, 2.0 KB"


def test_ls_as_json(source, capsys):
    assert main(["data", "ls", str(source), "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    assert [(e["uri"], e["type"], e["size"]) for e in entries] == [
        (f"{source}/a b,{{c}}%20.csv", "file", 2048),
        (f"{source}/dt=1", "folder", 0),
    ]
    assert entries[0]["modified"].endswith("+00:00")


@pytest.mark.parametrize("command", ["put", "get", "ls"])
def test_help_has_examples(capsys, command):
    assert main(["data", command, "--help"]) == 0
    said = capsys.readouterr().out
    assert "Examples:" in said and f"mrmodel data {command} " in said


def test_help_of_the_group_loads_nothing_big():
    code = (
        "import sys; from mrmodel.cli.main import main; main(['data', '--help']); "
        "print(sorted({'pyarrow', 'rich', 'torch', 'hdfs_native'} & set(sys.modules)))"
    )
    said = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert said.endswith("[]\n")
    assert all(command in said for command in ("put", "get", "ls", "inspect"))


SLOW = """
import sys, time
from mrmodel.driver import transfer as t
from mrmodel.cli.main import main
read = t._Run._read
t.PIECE = 64
t._Run._read = lambda self, reader: (time.sleep(0.5), read(self, reader))[-1]
print("ready", flush=True)
sys.exit(main(["data", "put", *sys.argv[1:]]))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_nothing_half_visible(source, tmp_path, number):
    child = subprocess.Popen(
        [sys.executable, "-c", SLOW, str(source), str(tmp_path / "target")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    child.stdout.readline()
    while not list(tmp_path.glob("target/.*")):  # until a copy is under way
        time.sleep(0.01)
    child.send_signal(number)
    _, error = child.communicate(timeout=20)
    assert child.returncode == 130
    assert re.match(r"Error: interrupted; [01] of 2 files are in place: the same", error)
    left = [p for p in tmp_path.glob("target/**/*") if p.is_file()]
    assert [p.name for p in left] in ([], ["é.csv"])


def test_plain_lines_where_there_is_no_terminal(monkeypatch, capsys):
    progress = TransferProgress()
    progress.begin(Plan(()))
    progress.advance(5)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(progress, "_next", 0)
    progress.advance(2000)
    assert capsys.readouterr().err == "mrmodel: 0/0 files, 2.0 KB of 0 B\n"


def test_a_bar_on_a_terminal(source, tmp_path):
    main_end, child_end = pty.openpty()
    arguments = ["data", "put", str(source), str(tmp_path / "target")]
    done = subprocess.run(
        [sys.executable, "-m", "mrmodel", *arguments],
        stderr=child_end,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(child_end)
    shown = os.read(main_end, 100_000).decode()
    os.close(main_end)
    assert done.returncode == 0
    assert "files" in shown and "━" in shown
    assert done.stdout.startswith("copied 2 files")
