"""scripts/bench: figures from runs, and one run of the real thing in small."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from _bench import agree, report
from _bench.systems import Measured
from _bench.watch import CommandFailed, _application, run
from _bench.workloads import WORKLOADS, write_data

SCRIPT = Path(__file__).parents[2] / "scripts" / "bench"


def measured(system, start=1.0, steady=10.0, end=1.0, cpu=20.0):
    phases = {"read": 1.0, "prepare": 2.0, "forward": 9.0, "write": 1.0}
    return Measured(system, 1000, start, steady, end, 0.9, phases, cpu, 10**9, 0.0, "out")


def test_ratios_are_taken_inside_a_repeat():
    runs = [
        measured("bare-threads", steady=10.0),
        measured("bare-threads", steady=30.0),
        measured("inline", steady=10.0),
        measured("inline", steady=20.0),
    ]
    assert report.ratios(runs, "inline", "steady") == [1.0, 1.5]
    assert report.ratios(runs, "inline", "wall") == [1.0, 32 / 22]
    assert "1.250 (1.000 to 1.500)" in report.ratio_table(runs)
    assert "reached" in report.ratio_table(runs)


def test_a_goal_that_is_not_reached_says_so():
    runs = [measured("bare-threads", steady=9.0), measured("inline", steady=10.0)]
    assert "≥ 0.97 steady state: not reached" in report.ratio_table(runs)


def test_outputs_agree_in_any_order():
    one = pa.table(
        {"id": [1, 2], "x": pa.array([[1.0, 2.0], [3.0, 4.0]], pa.list_(pa.float32(), 2))}
    )
    other = pa.table({"x": one.column("x"), "id": [1, 2]})
    assert agree.difference(one, other) == 0.0
    assert agree.difference(one, other.set_column(1, "id", [[1, 3]])) == float("inf")
    assert agree.difference(one, one.rename_columns(["id", "y"])) == float("inf")


@pytest.mark.parametrize(
    ("container", "application"),
    [
        ("container_1700000000000_0042_01_000002", "application_1700000000000_0042"),
        ("container_e17_1700000000000_0042_01_000002", "application_1700000000000_0042"),
    ],
)
def test_the_application_of_a_container(container, application):
    assert _application(container) == application


def test_what_a_command_costs(tmp_path):
    code = "import time; x = bytearray(200_000_000); time.sleep(3); print('told')"
    cost, _ = run([[sys.executable, "-c", code]], {}, tmp_path)
    assert cost.wall >= 3.0
    assert 200e6 < cost.memory < 400e6
    assert cost.outputs == ("told\n",)


def test_memory_that_processes_share_counts_once(tmp_path):
    code = (
        "import os, time; x = b'x' * 200_000_000"
        "\nfor _ in range(3):\n    if not os.fork(): time.sleep(2.5); os._exit(0)\ntime.sleep(3)"
    )
    cost, _ = run([[sys.executable, "-c", code]], {}, tmp_path)
    assert 200e6 < cost.memory < 400e6


def test_a_command_that_fails(tmp_path):
    with pytest.raises(CommandFailed, match="its last words"):
        run([[sys.executable, "-c", "raise SystemExit('its last words')"]], {}, tmp_path)


@pytest.mark.parametrize("name", ["digits", "tabular"])
def test_rows_are_shared_out_among_files(name, tmp_path):
    data = write_data(WORKLOADS[name], 1001, 2, tmp_path)
    ids = [pq.read_table(file).column("id").to_pylist() for file in data.files]
    assert [len(i) for i in ids] == [500, 501]
    assert ids[0] + ids[1] == list(range(1001))


def test_the_bare_loop_and_the_runners_agree(tmp_path):
    figures = tmp_path / "figures.json"
    done = subprocess.run(
        [
            *(sys.executable, SCRIPT, "predict", "--model", "digits", "--rows", "2000"),
            *("--repeat", "1", "--cores", "2", "--json", str(figures)),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "inline ÷ bare-threads" in done.stdout
    assert "local ÷ bare-processes" in done.stdout
    runs = json.loads(figures.read_text())
    assert {told["rows"] for told in runs} == {2000}
    assert all(told[part] > 0 for told in runs for part in ("start", "steady", "end")), runs


def test_wrong_usage():
    done = subprocess.run(
        [sys.executable, SCRIPT, "predict", "--runners", "spark"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "expected some of inline, local, hadoop" in done.stderr
