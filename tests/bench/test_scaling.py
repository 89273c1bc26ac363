"""scripts/bench scaling: lines, a planner's rates and tables from runs, and a real run in small."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from _bench import scaling_axes, scaling_report, wide
from _bench.errors import BenchError
from _bench.options import turns
from _bench.scaling import Run, Shape, medians, write_rows
from _bench.scaling_axes import Axis
from _bench.scaling_fit import Planner, fit, line
from _bench.scaling_report import BEGIN, END, Results, put_into

SCRIPT = Path(__file__).parents[2] / "scripts" / "bench"
TRUE = {
    "start": {"job": 2.0, "file": 1e-4, "footer": 2e-6},
    "work": {
        "load": 0.3, "wave": 0.5, "row": 1e-6, "value": 2e-8, "window": 3e-5, "unit": 1e-9,
        "flop": 2e-11, "file": 3e-4, "chunk": 4e-6, "shard": 2e-3,
    },
    "end": {"job": 0.25, "file": 1e-5, "shard": 5e-4},
}  # fmt: skip


def run(shape, tasks=1, slots=1, shards=None, **parts):
    shards = shards or (shape.files if shape.shard_each else 4)
    seconds = {"start": 1.0, "work": 1.0, "end": 1.0, "cpu": 2.0, "memory": 10**9, "others": 0.0}
    return Run("local", shape, 0, tasks, slots, slots, shards, **{**seconds, **parts})


def foretold(one):
    """`one` with the seconds that the true rates give it."""
    found = Planner(TRUE, 0).predict(one)
    return replace(one, start=found.start, work=found.work, end=found.end)


def jobs():
    shapes = [shape for axis in scaling_axes.axes("local", 2) for shape in axis.shapes]
    shapes += scaling_axes.mixed("local", 2)
    return [foretold(run(shape, shape.workers, min(2, shape.workers))) for shape in shapes]


@pytest.mark.parametrize(
    "shape", [Shape(123_456, 77, 55, 99), Shape(1, 1, 1, 1), Shape(5_000, 500, 900, 64)]
)
def test_the_rates_that_made_the_runs_are_found(shape):
    found, true = fit(jobs()).rates(shape), Planner(TRUE, 0).rates(shape)
    assert vars(found) == pytest.approx(vars(true), rel=1e-4)


def test_jobs_that_were_not_seen_are_foretold():
    planner = fit(jobs())
    for shape in scaling_axes.held_out("local", 2):
        one = foretold(run(shape, 2, 2))
        assert planner.predict(one).seconds == pytest.approx(one.wall, rel=1e-4)


def test_on_hadoop_a_task_has_one_shard():
    """So that what it takes to load the model and to finish the shard cannot be told apart."""

    def foretold_on_yarn(shape):
        tasks = shape.files if shape.files <= 16 else 3
        return foretold(run(shape, tasks, 3, shards=tasks))

    shapes = [shape for axis in scaling_axes.axes("hadoop", 2) for shape in axis.shapes]
    planner = fit([foretold_on_yarn(s) for s in [*shapes, *scaling_axes.mixed("hadoop", 2)]])
    assert planner.seconds["work"]["load"] == pytest.approx(0.3 + 2e-3, rel=1e-3)
    for shape in scaling_axes.held_out("hadoop", 2):
        one = foretold_on_yarn(shape)
        assert planner.predict(one).seconds == pytest.approx(one.wall, rel=1e-3)


def test_no_rate_is_below_zero():
    quick = [replace(one, work=one.work / (1 + one.shape.files)) for one in jobs()]
    assert all(v >= 0 for terms in fit(quick).seconds.values() for v in terms.values())


@pytest.mark.parametrize("few", [[], jobs()[:1], jobs()[:5]])
def test_too_few_runs_are_refused(few):
    with pytest.raises(BenchError, match=f"^{len(few)} runs are too few"):
        fit(few)


def test_a_straight_line():
    found = line([1, 10, 100, 1000], [2.1, 3.0, 12.0, 102.0])
    assert (found.base, found.slope) == pytest.approx((2.0, 0.1))
    assert found.is_straight


def test_a_bend_is_no_straight_line():
    found = line([1, 10, 100], [1.0, 2.0, 4.0])
    assert not found.is_straight
    assert found.where == 1
    assert found.worst > 0.1


def test_two_points_make_no_line():
    with pytest.raises(BenchError, match="at least 3"):
        line([1, 1, 2], [1.0, 1.1, 2.0])


def test_medians_of_repeats():
    shape = Shape(10)
    found = medians([run(shape, work=w, cpu=c) for w, c in ((1, 9), (5, 1), (2, 2))])
    assert [(one.work, one.cpu) for one in found] == [(2, 2)]


def test_every_second_repeat_goes_backwards():
    a, b = Shape(1), Shape(2)
    assert list(turns([a, b], 2)) == [(0, a), (0, b), (1, b), (1, a)]


def test_parameters_and_operations_are_the_models():
    model = wide.seeded(inputs=7, width=5)
    assert sum(p.numel() for p in model.parameters()) == wide.parameters(7, 5)
    layers = [m for m in model.layers if hasattr(m, "weight")]
    assert sum(2 * layer.weight.numel() for layer in layers) == wide.flops(7, 5)


def test_rows_are_as_the_shape_says(tmp_path):
    shape = Shape(rows=70_001, files=3, columns=2)
    data = write_rows(shape, tmp_path)
    tables = [pq.read_table(file) for file in data.files]
    assert [name for t in tables for name in t.column_names] == ["id", "f0", "f1"] * 3
    assert [i for t in tables for i in t["id"].to_pylist()] == list(range(70_001))
    assert data == write_rows(shape, tmp_path)


def results(planner, held):
    found = jobs()
    return Results("local", scaling_axes.axes("local", 2), found, held, planner)


def test_the_report_says_what_was_reached():
    held = [foretold(run(shape, 2, 2)) for shape in scaling_axes.held_out("local", 2)]
    assert "within 15% of each: reached" in scaling_report.tell(results(fit(jobs()), held))
    slow = [replace(held[0], work=3 * held[0].work), *held[1:]]
    told = scaling_report.tell(results(fit(jobs()), slow))
    assert "within 15% of each: NOT reached" in told


def test_an_axis_that_bends_says_so():
    shapes = tuple(Shape(rows) for rows in (1, 10, 100))
    axis = Axis("rows", "for each row", shapes, lambda one: one.shape.rows)
    runs = [run(shape, work=w) for shape, w in zip(shapes, (1, 4, 9), strict=True)]
    told = scaling_report.axis_section(axis, runs, "local")
    assert "Time: NOT a straight line" in told
    assert "Memory: a straight line, 1,000 MB and 0 bytes for each row" in told


def test_tables_go_between_the_marks(tmp_path):
    file = tmp_path / "doc.md"
    file.write_text(f"# Title\n\n{BEGIN}\nold\n{END}\n\nThe end.\n")
    put_into(file, "new")
    assert file.read_text() == f"# Title\n\n{BEGIN}\n\nnew\n\n{END}\n\nThe end.\n"
    put_into(tmp_path / "other.md", "new")
    assert (tmp_path / "other.md").read_text() == f"{BEGIN}\n\nnew\n\n{END}\n"
    file.write_text("no marks")
    with pytest.raises(BenchError, match="expected a new file"):
        put_into(file, "new")
    assert file.read_text() == "no marks"


def test_a_real_run(tmp_path):
    told, tables = tmp_path / "told.json", tmp_path / "tables.md"
    command = [sys.executable, str(SCRIPT), "scaling", "--runners", "local", "--axes", "shards"]
    command += ["--size", "0.004", "--repeat", "1", "--cores", "1"]
    measure = [*command, "--json", str(told), "--markdown", str(tables)]
    done = subprocess.run(measure, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    runs = json.loads(told.read_text())["runs"]
    assert [(one["shape"]["rows"], one["shards"], one["tasks"]) for one in runs] == [
        (80, 1, 1),
        (80, 4, 1),
    ]
    assert all(one[part] > 0 for one in runs for part in ("start", "work", "end", "memory"))
    assert "### local: shards" in done.stdout
    assert "No planner: it needs all axes" in tables.read_text()
    again = [*command, "--figures", str(told)]
    told_again = subprocess.run(again, capture_output=True, text=True, timeout=60)
    assert told_again.stdout == done.stdout
