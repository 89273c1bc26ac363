"""scripts/bench rivals: figures from runs, environments, and one run of the real thing in small.

What the rivals themselves do is not tested here: they are not installed.
"""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from _bench import agree, rival_commands, rival_report, venvs
from _bench.faults import Fault, _kill_first, spoil
from _bench.lines import count, user_lines
from _bench.rival_list import REGIMES, System
from _bench.rival_report import Results
from _bench.rival_runs import Run, make_setting, measure
from _bench.rivals import common

SCRIPT = Path(__file__).parents[2] / "scripts" / "bench"
BENCH = SCRIPT.parent / "_bench"


def run(system, repeat, wall, **more):
    return Run(system, repeat, 1000, wall, 2.0, 20.0, 10**9, 0.0, **more)


RUNS = [
    run("mrmodel-local", 0, 10.0),
    run("mrmodel-local", 1, 30.0),
    run("spark", 0, 20.0),
    run("spark", 1, 40.0),
    run("bare-processes", 0, 8.0),
    run("bare-processes", 1, 15.0),
]
LINES = {"mrmodel-local": 3, "spark": 40, "bare-processes": 50, "ray": 30}


def cells(table):
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return {line[0]: line for line in lines}


def test_ratios_are_taken_inside_a_repeat():
    assert rival_report.ratios(RUNS, "spark") == [0.5, 0.75]
    assert rival_report.ratios(RUNS, "bare-processes") == [1.25, 2.0]
    assert rival_report.ratios(RUNS[2:], "spark") == []


def test_a_rival_that_is_faster_is_called_so():
    results = Results(RUNS, {"spark": 1e-7, "mrmodel-local": 0.0}, LINES, {})
    told = cells(rival_report.table(results))
    assert told["spark"][3] == "0.625 (0.500 to 0.750): slower"
    assert told["bare-processes"][3] == "1.625 (1.250 to 2.000): faster"
    assert told["mrmodel-local"][1:4] == ["20.00", "67", "–"]
    assert told["spark"][-2:] == ["40", "1.0e-07"]
    assert rival_report.verdict(results) == (
        "Faster than mrmodel-local: bare-processes (1.62 times)."
    )


def test_that_nobody_is_faster_is_said():
    results = Results(RUNS[:4], {}, LINES, {})
    assert rival_report.verdict(results) == "None of them is faster than mrmodel-local."
    assert "nothing is compared" in rival_report.verdict(Results(RUNS[2:4], {}, LINES, {}))


def test_who_failed_or_is_not_installed_has_a_row_with_the_reason():
    runs = [*RUNS[:2], run("spark", 0, 0.0, failure="no JAVA_HOME | here")]
    told = rival_report.table(Results(runs, {}, LINES, {"ray": "ERROR: no ray"}))
    assert cells(told)["spark"][-1] == "failed: no JAVA_HOME / here"
    assert cells(told)["ray"][-1] == "not installed: ERROR: no ray"
    assert len({line.count("|") for line in told.splitlines()}) == 1


def test_outputs_that_differ_are_an_error(capsys):
    assert rival_commands._verdict(Results(RUNS, {"spark": 1e-5}, LINES, {})) == 0
    for wrong in (1e-3, float("inf"), float("nan")):
        assert rival_commands._verdict(Results(RUNS, {"spark": wrong}, LINES, {})) == 1
    assert "the output of spark differs" in capsys.readouterr().err


def test_a_system_that_fails_is_an_error(capsys):
    runs = [*RUNS, run("ray", 0, 0.0, failure="killed")]
    assert rival_commands._verdict(Results(runs, {}, LINES, {})) == 1
    assert "ray failed: killed" in capsys.readouterr().err


def test_a_system_that_is_not_installed_is_an_error():
    """What was asked for was not compared."""
    assert rival_commands._verdict(Results(RUNS, {}, LINES, {"ray": "ERROR: no ray"})) == 1


def test_the_outputs_of_others_are_read(tmp_path):
    """Lists of any kind, JSON lines without an ending; neither markers nor what was cut off."""
    rows = pa.table({"id": [2, 1], "x": pa.array([[3.0, 4.0], [1.0, 2.0]])})
    pq.write_table(rows.slice(0, 1), tmp_path / "part.0.parquet")
    (tmp_path / "part-00001").write_text('{"id": 1, "x": [1.0, 2.0]}\n')
    (tmp_path / "_SUCCESS").touch()
    (tmp_path / "cut.parquet").write_bytes(b"PAR1")
    fixed = rows.sort_by("id").set_column(
        1, "x", pa.array([[1.0, 2.0], [3.0, 4.5]], pa.list_(pa.float32(), 2))
    )
    found = agree.read_folder(tmp_path)
    assert found.column("id").to_pylist() == [1, 2]
    assert agree.difference(fixed, found) == 0.5
    assert agree.difference(fixed, found.slice(1)) == float("inf")
    assert len(agree.read_folder(tmp_path / "none")) == 0


def test_lines_of_code_are_counted():
    text = '''"""What it does."""

# why
import os
from _bench.rivals import common


class A:
    """An A."""

    words = """two
    lines"""


@decorated
def main(x):
    options = common.arguments()
    return os.path.join(  # joined
        x
    )
'''
    assert count(text) == 9
    assert count(text, frozenset({"A"})) == 4


def test_every_system_has_lines():
    for regime in REGIMES.values():
        for system in regime.systems:
            assert 5 < user_lines(system.sources, BENCH) < 120, system.name


# in place of Python: makes an environment whose Python is itself, and fails as pip does when told
STUB = """#!/bin/sh
case "$*" in
  "-m venv "*) mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; echo venv >> {log};;
  *install*) echo install >> {log}; cat {fails} 2>/dev/null && exit 1; exit 0;;
  *list*) echo '[{{"name": "PySpark", "version": "9.1"}}]';;
esac
"""


@pytest.fixture
def stub(tmp_path):
    path = tmp_path / "stub"
    path.write_text(STUB.format(log=tmp_path / "log", fails=tmp_path / "fails"))
    path.chmod(0o755)
    return str(path)


def test_an_environment_is_made_once(tmp_path, stub):
    first = venvs.environment("spark", tmp_path / "venvs", stub)
    assert first == venvs.environment("spark", tmp_path / "venvs", stub)
    assert first.versions == {"pyspark": "9.1"}
    assert first.python == str(tmp_path / "venvs" / "spark" / "bin" / "python")
    assert (tmp_path / "log").read_text().split() == ["venv", "install"]


def test_a_half_made_environment_is_made_anew(tmp_path, stub):
    (tmp_path / "fails").write_text("Looking for it\nERROR: No matching distribution\n\n")
    with pytest.raises(venvs.InstallFailed, match="^ERROR: No matching distribution$"):
        venvs.environment("spark", tmp_path / "venvs", stub)
    (tmp_path / "fails").unlink()
    assert venvs.environment("spark", tmp_path / "venvs", stub).versions
    assert (tmp_path / "log").read_text().split() == ["venv", "install"] * 2


def test_other_requirements_make_an_environment_anew(tmp_path, stub):
    venvs.environment("spark", tmp_path / "venvs", stub)
    marker = tmp_path / "venvs" / "spark" / venvs.MARKER
    marker.write_text(json.dumps({"requirements": "pyspark==1\n", "versions": {}}))
    venvs.environment("spark", tmp_path / "venvs", stub)
    assert (tmp_path / "log").read_text().split() == ["venv", "install"] * 2


def test_every_rival_has_requirements():
    names = {s.venv for regime in REGIMES.values() for s in regime.systems} - {None}
    assert names == {path.stem for path in venvs.REQUIREMENTS.glob("*.txt")}


def test_one_row_is_spoilt(tmp_path):
    setting = spoil(make_setting(REGIMES["tabular"], 80, None, 1, tmp_path))
    rows = pa.concat_tables(pq.read_table(file) for file in setting.data.files)
    bad = rows.filter(pa.compute.is_null(rows.column("f0")))
    assert bad.column("id").to_pylist() == [7_777_777_777]
    assert len(rows) == 80


def test_the_first_batch_is_noted_once(tmp_path, monkeypatch):
    monkeypatch.setenv(common.FIRST_BATCH, str(tmp_path / "first.json"))
    monkeypatch.setattr(common, "_noted", [])
    common.first_batch()
    first = (tmp_path / "first.json").read_text()
    common._noted.clear()  # as in another process
    common.first_batch()
    assert (tmp_path / "first.json").read_text() == first
    assert [path.name for path in tmp_path.iterdir()] == ["first.json"]


def test_a_worker_is_killed_while_it_works(tmp_path):
    note = tmp_path / "first.json"
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    note.write_text(json.dumps({"pid": sleeper.pid}))
    assert _kill_first(note, [sleeper])
    assert sleeper.wait() == -9
    assert not _kill_first(note, [sleeper])
    note.unlink()
    assert not _kill_first(note, [sleeper])


@pytest.mark.parametrize(
    ("code", "patience", "failure"),
    [
        ("raise SystemExit('its last words')", 60, "exit code 1: its last words"),
        ("import time; time.sleep(60)", 0.1, "exit code -9 (longer than 0 s)"),
    ],
)
def test_a_run_that_fails_says_why(code, patience, failure, tmp_path):
    commands = [[sys.executable, "-c", code]]
    system = System("broken", lambda *_: commands, ())
    setting = make_setting(REGIMES["tabular"], 8, None, 1, tmp_path)
    assert measure(system, setting, None, 0, patience).failure == failure


def test_faults_table():
    faults = [Fault("ray", "kill -9", None, False, 90.0, "–", 1000, 2000)]
    told = cells(rival_report.fault_table(faults))["ray"]
    assert told == ["ray", "kill -9", "–", "no", "90.0", "–", "1,000", "2,000"]


def rivals(*arguments):
    return subprocess.run(
        [sys.executable, SCRIPT, "rivals", *arguments], capture_output=True, text=True
    )


def test_what_needs_no_environment_is_compared(tmp_path):
    figures = tmp_path / "figures.json"
    done = rivals(
        *("--regime", "tabular", "--rows", "200", "--repeat", "1", "--cores", "2", "--faults"),
        *("--systems", "bare-processes,mrmodel-local,mrmodel-inline"),
        *("--venvs", str(tmp_path / "venvs"), "--json", str(figures), "--patience", "120"),
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(figures.read_text())
    assert set(told["differences"]) == {"mrmodel-local", "mrmodel-inline"}
    assert max(told["differences"].values()) < 1e-5
    assert all(0 < r["first"] < r["wall"] and r["cpu"] > 0 for r in told["runs"]), told["runs"]
    assert {name: len(r) for name, r in told["ratios"].items()} == dict.fromkeys(told["lines"], 1)
    assert "Faster than mrmodel-local" in done.stdout or "None of them" in done.stdout
    bad = [f for f in told["faults"] if f["kind"] == "bad row" and "mrmodel" in f["system"]]
    assert {(f["code"], f["ended"], f["rows"]) for f in bad} == {(3, True, 199)}
    assert not (tmp_path / "venvs").exists()


def test_images_are_decoded_alike(tmp_path):
    figures = tmp_path / "figures.json"
    done = rivals(
        *("--regime", "image", "--rows", "16", "--repeat", "1", "--cores", "1", "--cold"),
        *("--systems", "bare-loader,mrmodel-inline", "--json", str(figures)),
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(figures.read_text())["differences"]
    assert set(told) == {"bare-loader", "mrmodel-inline"}
    assert max(told.values()) < 1e-5


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--systems", "flink"], "expected some of"),
        (["--regime", "image", "--systems", "dask"], "there is no dask for --regime image"),
    ],
)
def test_wrong_usage(arguments, words):
    done = rivals(*arguments)
    assert done.returncode == 2
    assert words in done.stderr
