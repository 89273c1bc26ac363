"""What people see while a job runs, and at its end."""

import io
import re
import time

import pytest
from rich.console import Console

from mrmodel.driver import progress, summary
from mrmodel.driver.progress import Gauge, ProgressWatcher
from mrmodel.driver.run import Run
from mrmodel.errors import ServiceError
from mrmodel.runners.base import Snapshot
from mrmodel.shards.plan import Plan, Source
from mrmodel.units import duration
from tests.driver import helpers


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (12.4, "12s"),
        (59.6, "1m 00s"),
        (200, "3m 20s"),
        (3600, "1h 00m"),
        (3725, "1h 02m"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_rate_and_time_left_count_from_the_first_rows():
    """Starting tasks takes long and says nothing of their speed."""
    gauge = Gauge(shards=40, rows=100_000)
    assert gauge.text(Snapshot(), 0.0) == "0/40 shards, 0 rows, 0 bad"
    gauge.text(Snapshot(rows=1000), 60.0)
    text = gauge.text(Snapshot(done=12, running=3, rows=21_000, bad=2), 80.0)
    assert text == "12/40 shards, 3 running, 21,000 rows, 1,000 rows/s, 2 bad, 1m 19s left"


def test_share():
    assert Gauge(4, None).share(Snapshot(done=1)) == 0.25
    assert Gauge(4, 100).share(Snapshot(done=1, rows=50)) == 0.5
    assert Gauge(4, 100).share(Snapshot(rows=170)) == 1.0  # a shard that ran twice
    assert Gauge(0, 0).share(Snapshot()) == 1.0


class Launcher:
    """Snapshots of a job that goes on."""

    def __init__(self):
        self.looks = 0

    def snapshot(self):
        self.looks += 1
        if self.looks == 2:
            raise ServiceError("the cluster does not answer")
        return Snapshot(self.looks, 1, self.looks * 10, 0, ())

    def page(self):
        return "http://rm/app"


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(progress, "LOOK_EVERY", 0.02)
    monkeypatch.setattr(progress, "LINE_EVERY", 0.0)


def watch(console):
    launcher = Launcher()
    plan = Plan("text", None, None, (), (Source("/a", 1, rows=1000),), ())
    with ProgressWatcher(console).watch(launcher, plan, 9):
        time.sleep(0.3)
    return launcher


def test_plain_lines_where_there_is_no_terminal(quick):
    text = io.StringIO()
    launcher = watch(Console(file=text, width=40))
    lines = text.getvalue().splitlines()
    assert lines[0] == "mrmodel: job page http://rm/app"
    assert lines[1] == "mrmodel: 1/9 shards, 1 running, 10 rows, 0 bad"
    assert sum("job page" in line for line in lines) == 1
    # a look that fails does not end the looking
    assert launcher.looks > 3 and len(lines) > 3


def test_nothing_is_asked_before_a_line_is_due(monkeypatch):
    monkeypatch.setattr(progress, "LOOK_EVERY", 0.02)
    text = io.StringIO()
    launcher = watch(Console(file=text, width=40))
    assert text.getvalue() == "mrmodel: job page http://rm/app\n"
    assert launcher.looks == 0


def test_the_first_line_knows_the_rate(monkeypatch):
    monkeypatch.setattr(progress, "LOOK_EVERY", 0.01)
    monkeypatch.setattr(progress, "LINE_EVERY", 0.2)
    text = io.StringIO()
    watch(Console(file=text, width=40))
    assert re.search(r"rows, [\d,]+ rows/s", text.getvalue())


def test_a_bar_on_a_terminal(quick):
    text = io.StringIO()
    watch(Console(file=text, width=120, force_terminal=True))
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text.getvalue())
    assert "/9 shards, 1 running, " in plain
    assert plain.count("mrmodel: job page http://rm/app") == 1


def test_names_are_not_taken_for_markup():
    text = io.StringIO()
    ProgressWatcher(Console(file=text, width=20)).say("[red]a/b.parquet[/] " * 3)
    assert text.getvalue() == f"mrmodel: {'[red]a/b.parquet[/] ' * 3}\n"


def test_the_summary(tmp_path):
    data = helpers.parquet(tmp_path / "a.parquet", [*range(1200), -1, -2])
    ref = helpers.model(tmp_path, helpers.COUNTING)
    run = helpers.run(ref, data, tmp_path / "out", max_bad="2")
    lines = summary.lines(run)
    assert lines[0] == "rows           1,202 in = 1,200 ok + 2 bad"
    assert " on inline, " in lines[1] and lines[1].endswith(" rows/s")
    assert re.search(r"load \d+\.\d.* forward \d", lines[2])
    assert f"output         {tmp_path}/out" in lines
    assert lines[-2:] == [
        f"bad rows are in {tmp_path}/out/_bad; the most common errors:",
        "  2 × ValueError: x is negative",
    ]


def test_long_messages_are_cut_and_three_are_enough(tmp_path):
    errors = [(f"E{n}", 9 - n, f"line {n} " + "x" * 200 + "\nmore") for n in range(5)]
    seconds = dict.fromkeys(("total", "start", "load", "read", "prepare", "forward", "write"), 61.0)
    run = Run("out", True, "local", {"in": 1, "ok": 1, "bad": 0}, {}, [], seconds, 1, 0.5, errors,
              {}, {}, 0.0, kept=3)  # fmt: skip
    lines = summary.lines(run)
    assert "resumed        3 shards were finished before" in lines
    assert any(line.startswith("time           1m 01s on local") for line in lines)
    assert [line[:9] for line in lines[-3:]] == ["  9 × E0:", "  8 × E1:", "  7 × E2:"]
    assert all(len(line) <= 112 and "more" not in line for line in lines[-3:])
