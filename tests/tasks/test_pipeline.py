"""The life of a shard: order, bad rows, memory, and what ends it."""

import threading
import time
from functools import partial

import numpy as np
import pyarrow as pa
import pytest

from mrmodel.errors import InputError, ModelOutputError
from mrmodel.tasks import pipeline
from mrmodel.tasks.windows import windows
from tests.driver.helpers import jsonl, parquet
from tests.tasks.helpers import Bench


class Doubler:
    def predict(self, batch):
        return {"y": batch["x"] * 2}


class Sized(Doubler):
    """Costs jump about, so that rows of a batch come from all over the window."""

    def prepare(self, batch):
        return {"x": batch["x"]}

    def size(self, prepared):
        return prepared["x"] % 7


def check_all(bench, rows):
    assert bench.ids() == list(range(rows))
    assert [row["y"] for row in bench.rows()] == [2.0 * n for n in range(rows)]
    assert bench.writer.rows_in == rows
    assert sum(bench.written) == rows


@pytest.mark.parametrize("predictor", [Doubler(), Sized()], ids=["plain", "sized"])
@pytest.mark.parametrize("batch_size", ["auto", "1", "7", "1000"])
def test_input_order_whatever_the_batches(tmp_path, predictor, batch_size):
    bench = Bench(tmp_path, predictor, batch_size, block_rows=50)
    check_all(bench.run(parquet(tmp_path / "a.parquet", range(333))), 333)


def test_rows_of_similar_cost_go_together(tmp_path):
    costs = []

    class Watching(Sized):
        def predict(self, batch):
            costs.append(set((batch["x"] % 7).tolist()))
            return super().predict(batch)

    Bench(tmp_path, Watching(), "10").run(parquet(tmp_path / "a.parquet", range(70)))
    assert costs == [{6.0}, {5.0}, {4.0}, {3.0}, {2.0}, {1.0}, {0.0}]


def test_batches_are_bounded_by_cost(tmp_path):
    """Of the longest row times the rows: short rows go through in larger batches."""

    class Costly(Doubler):
        def prepare(self, batch):
            return {"x": batch["x"]}

        def size(self, prepared):
            return np.where(prepared["x"] % 2 == 0, 50, 5)

    bench = Bench(tmp_path, Costly())
    bench.sizer.limit, bench.sizer.settled = 500, True
    check_all(bench.run(parquet(tmp_path / "a.parquet", range(400))), 400)
    assert bench.batches == [10] * 20 + [100] * 2


def test_forced_batch_size(tmp_path):
    bench = Bench(tmp_path, Doubler(), "32").run(parquet(tmp_path / "a.parquet", range(100)))
    assert bench.batches == [32, 32, 32, 4]


def test_small_files_are_gathered_into_batches(tmp_path):
    files = [parquet(tmp_path / f"{n:02}.parquet", [n]) for n in range(40)]
    bench = Bench(tmp_path, Doubler(), "40").run(*files)
    check_all(bench, 40)
    assert bench.batches == [40]


def test_no_rows(tmp_path):
    bench = Bench(tmp_path, Sized()).run(parquet(tmp_path / "a.parquet", []))
    assert (bench.rows(), bench.bad(), bench.writer.part_name) == ([], [], None)


class Picky(Doubler):
    """Cannot predict some rows."""

    def __init__(self, *rows):
        self.rows = rows
        self.calls = 0

    def predict(self, batch):
        self.calls += 1
        wrong = [x for x in batch["x"].tolist() if x in self.rows]
        if wrong:
            raise ZeroDivisionError(f"cannot predict {wrong[0]:g}")
        return super().predict(batch)


class PickySized(Sized, Picky):
    pass


@pytest.mark.parametrize("kind", [Picky, PickySized])
def test_bad_rows_cost_their_neighbours_nothing(tmp_path, kind):
    file = parquet(tmp_path / "a.parquet", range(64))
    predictor = kind(0, 13, 14, 63)
    bench = Bench(tmp_path, predictor, "64").run(file)
    assert bench.ids() == [n for n in range(64) if n not in (0, 13, 14, 63)]
    assert bench.bad() == [
        {
            "source": str(file),
            "row": n,
            "error": "ZeroDivisionError",
            "message": f"cannot predict {n}",
            "record": f'{{"id": {n}, "x": {n}.0}}',
        }
        for n in (0, 13, 14, 63)
    ]
    assert bench.writer.dead_letters.errors == {
        "ZeroDivisionError": {"count": 4, "example": "cannot predict 0"}
    }
    assert predictor.calls < 50  # halved, not one by one


def test_every_row_bad(tmp_path):
    bench = Bench(tmp_path, Picky(*range(9))).run(parquet(tmp_path / "a.parquet", range(9)))
    assert bench.rows() == []
    assert [letter["row"] for letter in bench.bad()] == list(range(9))
    assert not (bench.out / "part.parquet").exists()


@pytest.mark.parametrize("sized", [False, True])
def test_prepare_that_fails_for_a_row(tmp_path, sized):
    class Preparing(Doubler):
        def prepare(self, batch):
            if 21 in batch["x"]:
                raise KeyError("no such word")
            return {"x": batch["x"]}

    if sized:
        Preparing.size = lambda self, prepared: prepared["x"]
    bench = Bench(tmp_path, Preparing()).run(parquet(tmp_path / "a.parquet", range(50)))
    assert bench.ids() == [n for n in range(50) if n != 21]
    assert [(b["row"], b["error"]) for b in bench.bad()] == [(21, "KeyError")]


def test_prepare_runs_ahead_in_a_thread(tmp_path):
    threads = set()

    class Preparing(Doubler):
        def prepare(self, batch):
            threads.add(threading.current_thread().name)
            return batch

    Bench(tmp_path, Preparing()).run(parquet(tmp_path / "a.parquet", range(50)))
    assert threads == {"prepare"}


def test_prepare_and_forward_overlap(tmp_path):
    """Batches are prepared while others are predicted: it takes little longer than either."""

    class Slow(Doubler):
        def prepare(self, batch):
            time.sleep(0.05)
            return batch

        def predict(self, batch):
            time.sleep(0.05)
            return super().predict(batch)

    begun = time.perf_counter()
    bench = Bench(tmp_path, Slow(), "10").run(parquet(tmp_path / "a.parquet", range(200)))
    assert time.perf_counter() - begun < 0.8 * 20 * (0.05 + 0.05)
    check_all(bench, 200)


def test_null_in_an_input_column_is_a_bad_row(tmp_path):
    file = parquet(tmp_path / "a.parquet", [0, None, 2])
    bench = Bench(tmp_path, Doubler()).run(file)
    assert bench.ids() == [0, 2]
    assert [(b["row"], b["error"]) for b in bench.bad()] == [(1, "NullInput")]
    assert "'x'" in bench.bad()[0]["message"]


def test_nan_is_not_null(tmp_path):
    bench = Bench(tmp_path, Doubler()).run(parquet(tmp_path / "a.parquet", [0, float("nan")][:1]))
    assert bench.bad() == []
    file = tmp_path / "b.parquet"
    pa.parquet.write_table(pa.table({"id": [1], "x": [float("nan")]}), file)
    assert np.isnan(Bench(tmp_path, Doubler()).run(file).rows()[0]["y"])


def test_bad_lines_and_bad_rows_are_in_order(tmp_path):
    lines = [{"id": n, "x": n} for n in range(6)]
    lines[1], lines[4] = "{broken", {"id": 4, "x": "text"}
    file = jsonl(tmp_path / "a.jsonl", lines)
    bench = Bench(tmp_path, Picky(2), data_format="jsonl").run(file)
    assert bench.ids() == [0, 3, 5]
    assert [b["row"] for b in bench.bad()] == [1, 2, 4]
    assert bench.bad()[0]["record"] == "{broken"


def test_record_of_a_bad_row_with_nanoseconds(tmp_path):
    """Python's datetime cannot hold them; the job must not end for it."""
    file = parquet(tmp_path / "a.parquet", [0, 1])
    times = pa.array([1001, None], pa.timestamp("ns"))
    pa.parquet.write_table(pa.table({"id": [7, 8], "x": times}), file)
    bench = Bench(tmp_path, Picky(), x_type=pa.timestamp("ns"))
    bench.pipeline._forward._predictor.predict = lambda batch: 1 / 0
    bench.run(file)
    assert "1970-01-01T00:00:00.000001001" in bench.bad()[0]["record"]
    assert [b["error"] for b in bench.bad()] == ["ZeroDivisionError", "NullInput"]


@pytest.mark.parametrize("sized", [False, True])
def test_output_that_is_not_aligned_fails_at_once(tmp_path, sized):
    calls = []

    class Wrong(Sized if sized else Doubler):
        def predict(self, batch):
            calls.append(1)
            return {"y": batch["x"][:-1]}

    with pytest.raises(ModelOutputError, match="15 rows in column 'y' for a batch of 16 rows"):
        Bench(tmp_path, Wrong(), "16").run(parquet(tmp_path / "a.parquet", range(50)))
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("prepare", "size", "message"),
    [
        (lambda batch: batch, lambda prepared: [1.0, 2.0], r"size\(\) returned .*\(2,\)"),
        (lambda batch: batch, lambda prepared: np.ones((20, 2)), r"size\(\) returned .*\(20, 2\)"),
        (lambda batch: batch, lambda prepared: np.full(20, np.nan), r"size\(\) .* not a number"),
        (lambda batch: batch, lambda prepared: -np.ones(20), r"size\(\) .* negative"),
        (lambda batch: {"x": batch["x"][1:]}, lambda prepared: np.ones(20), r"prepare\(\)"),
        (lambda batch: [batch["x"], batch["x"]], lambda prepared: np.ones(20), r"prepare\(\)"),
    ],
)
def test_sizes_must_be_aligned_too(tmp_path, prepare, size, message):
    """Without the check, rows would be lost by the new order."""
    predictor = Doubler()
    predictor.prepare, predictor.size = prepare, size
    with pytest.raises(ModelOutputError, match=message):
        Bench(tmp_path, predictor).run(parquet(tmp_path / "a.parquet", range(20)))


def test_a_file_that_breaks_in_the_middle(tmp_path):
    file = parquet(tmp_path / "a.parquet", range(20_000))
    data = bytearray(file.read_bytes())
    data[len(data) // 3 : len(data) // 2] = b"\xff" * (len(data) // 2 - len(data) // 3)
    file.write_bytes(data)
    with pytest.raises(InputError, match=r"a\.parquet"):
        Bench(tmp_path, Doubler(), block_rows=100).run(file)


@pytest.mark.parametrize("stage", ["read", "prepare", "predict", "write"])
def test_no_thread_outlives_a_failure(tmp_path, stage):
    class Failing(Doubler):
        def prepare(self, batch):
            if stage == "prepare":
                raise ModelOutputError("prepare")
            return batch

        def predict(self, batch):
            if stage == "predict":
                raise ModelOutputError("predict")
            return super().predict(batch)

    bench = Bench(tmp_path, Failing(), "10", block_rows=10)
    if stage == "write":
        bench.writer.write = lambda window, results: 1 / 0
    files = [parquet(tmp_path / f"{n}.parquet", range(500)) for n in range(5)]
    if stage == "read":
        files[3].write_bytes(b"PAR1 no")
    with pytest.raises((ModelOutputError, ZeroDivisionError, InputError)) as kept:  # noqa: F841
        bench.run(*files)
    deadline = time.monotonic() + 5
    while names() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert names() == []


def names():
    stages = {"read", "prepare", "write"}
    return [thread.name for thread in threading.enumerate() if thread.name in stages]


def test_the_reader_is_only_so_far_ahead(tmp_path, monkeypatch):
    """Memory is bounded by windows, never by the file."""
    ahead = []

    class Slow(Doubler):
        def predict(self, batch):
            time.sleep(0.02)
            ahead.append(len(bench.read) - len(bench.written))
            return super().predict(batch)

    monkeypatch.setattr(pipeline, "windows", partial(windows, max_rows=100))
    bench = Bench(tmp_path, Slow(), "100", block_rows=100)
    bench.run(parquet(tmp_path / "a.parquet", range(5000)))
    assert len(bench.read) == 50
    # in the queues of read and prepare, and one in the hands of each stage
    assert max(ahead) <= pipeline.WINDOWS_AHEAD + pipeline.BATCHES_AHEAD + 5
    assert max(ahead) > 2


def test_seconds_of_each_phase_are_counted(tmp_path):
    bench = Bench(tmp_path, Sized()).run(parquet(tmp_path / "a.parquet", range(50)))
    assert bench.clock.seconds["load"] == 0
    assert all(bench.clock.seconds[name] > 0 for name in ("read", "prepare", "forward", "write"))
