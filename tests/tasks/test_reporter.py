"""Counters and status, as Hadoop Streaming reads them."""

import io
import json

from mrmodel.tasks.reporter import HADOOP_PREFIX, Reporter


def lines(stream):
    return stream.getvalue().decode().splitlines()


def test_counters_are_sent_as_differences():
    stream = io.BytesIO()
    reporter = Reporter(HADOOP_PREFIX, interval=1000, stream=stream)
    reporter._last = float("inf")
    reporter.count(rows_in=5, rows_ok=4, rows_bad=1)
    reporter.flush()
    reporter.count(rows_in=2)
    reporter.flush()
    reporter.flush()
    assert lines(stream) == [
        "mrmodel-reporter:counter:mrmodel,rows in,5",
        "mrmodel-reporter:counter:mrmodel,rows ok,4",
        "mrmodel-reporter:counter:mrmodel,rows bad,1",
        "mrmodel-reporter:counter:mrmodel,rows in,2",
    ]


def test_parts_of_a_unit_are_not_lost():
    stream = io.BytesIO()
    reporter = Reporter("", interval=0, stream=stream)
    for _ in range(10):
        reporter.count(forward_milliseconds=0.5)
    reporter.flush()
    assert sum(int(line.rpartition(",")[2]) for line in lines(stream)) == 5


def test_not_more_often_than_the_interval():
    stream = io.BytesIO()
    reporter = Reporter("", interval=1000, stream=stream)
    for _ in range(100):
        reporter.count(rows_in=1)
    assert len(lines(stream)) == 1


def test_status_is_one_line_whatever_files_are_called():
    stream = io.BytesIO()
    Reporter("reporter:", stream=stream).status("reading a\nb\udcff é")
    assert lines(stream) == ["reporter:status:reading a b\\udcff é"]


def test_progress_file_has_the_totals(tmp_path):
    file = tmp_path / "attempt.json"
    reporter = Reporter("", progress_file=file, interval=0, stream=io.BytesIO())
    reporter.count(rows_in=3)
    reporter.count(rows_in=4, rows_bad=1)
    told = json.loads(file.read_text())
    assert (told["rows in"], told["rows bad"]) == (7, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["attempt.json"]
