"""What YARN tells over HTTP, and what ``hadoop jar`` prints; with a server and a command of our
own that say what the real ones say."""

import json
import os
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from mrmodel.errors import JobError
from mrmodel.runners import yarn
from mrmodel.runners.streaming import Submission, Submissions

APPLICATION = "application_1700000000000_0042"
PREFIX = f"/proxy/{APPLICATION}/ws/v1/mapreduce/jobs/job_1700000000000_0042"
PAGES = {
    PREFIX: {"job": {"mapsRunning": 2, "mapsCompleted": 5, "successfulMapAttempts": 4}},
    f"{PREFIX}/counters": {"jobCounters": {"counterGroup": [
        {"counterGroupName": "other", "counter": [{"name": "rows in", "mapCounterValue": 9}]},
        {"counterGroupName": "mrmodel", "counter": [{"name": "rows in", "mapCounterValue": 7}]},
    ]}},
    "/ws/v1/cluster/nodes": {"nodes": {"node": [
        {"state": "RUNNING", "usedMemoryMB": 1000, "availMemoryMB": 3000,
         "usedVirtualCores": 1, "availableVirtualCores": 7},
        {"state": "RUNNING", "usedMemoryMB": 0, "availMemoryMB": 2500,
         "usedVirtualCores": 0, "availableVirtualCores": 2},
        {"state": "LOST", "usedMemoryMB": 0, "availMemoryMB": 64000,
         "usedVirtualCores": 0, "availableVirtualCores": 64},
    ]}},
    "/ws/v1/cluster/scheduler": {"scheduler": {"schedulerInfo": {"queues": {"queue": [
        {"queuePath": "root.default", "absoluteMaxCapacity": 100.0},
        {"queuePath": "root.small", "absoluteMaxCapacity": 40.0},
    ]}}}},
    "/broken": None,
}  # fmt: skip


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        page = PAGES.get(self.path)
        self.send_response(200 if self.path in PAGES else 404)
        self.end_headers()
        self.wfile.write(json.dumps(page).encode() if page else b"<html>not JSON")

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def pages():
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_progress(pages):
    found = yarn.progress(pages, APPLICATION)
    assert (found.done, found.running) == (4, 2)  # an attempt that failed is not done
    assert (found.counter("rows in"), found.counter("rows bad")) == (7, 0)


def test_memory_of_the_largest_node_that_runs(pages):
    assert yarn.node_memory(pages) == 4000


@pytest.mark.parametrize(
    ("memory", "vcores", "queue", "places"),
    [
        (1000, 1, "default", 6),  # four on one node, two on the other
        (1500, 1, "default", 3),
        (1000, 2, "default", 5),  # one on the other, for its cores
        (1000, 1, "small", 2),  # 40 % of 6,500 MB
        (500, 3, "small", 1),  # 40 % of ten cores
        (3000, 1, "small", 0),
    ],
)
def test_how_many_containers_fit_a_queue(pages, memory, vcores, queue, places):
    assert yarn.room(pages, memory, vcores, queue) == places


def test_what_does_not_answer_says_nothing(pages):
    for silent in (f"{pages}/broken", f"{pages}/none", "http://127.0.0.1:1", "http://no host"):
        assert yarn.progress(silent, APPLICATION) is None
        assert yarn.node_memory(silent) is None
        assert yarn.room(silent, 1000, 1, "default") is None


def command(tmp_path, text):
    path = tmp_path / "yarn"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(tmp_path / "hadoop")


def test_an_application_is_killed_by_hadoops_own_command(tmp_path):
    yarn.kill(command(tmp_path, f'echo "$@" > {tmp_path}/said'), APPLICATION)
    assert (tmp_path / "said").read_text() == f"application -kill {APPLICATION}\n"


def test_a_kill_that_fails_does_not_hide_why_the_job_ended(tmp_path, caplog):
    with caplog.at_level("WARNING", logger="mrmodel"):  # -q in another test sets it higher
        yarn.kill(str(tmp_path / "hadoop"), APPLICATION)
    assert f"{APPLICATION} could not be killed" in caplog.text


def test_logs_of_tasks(tmp_path):
    assert "logs -applicationId" in yarn.task_logs(command(tmp_path, 'echo "$@"'), APPLICATION)
    os.unlink(tmp_path / "yarn")
    assert yarn.task_logs(str(tmp_path / "hadoop"), APPLICATION) == ""


LINES = [
    "INFO impl.YarnClientImpl: Submitted application application_1700000000000_0042",
    "INFO mapreduce.Job: The url to track the job: http://rm:8088/proxy/application_17_0042/",
    "INFO mapreduce.Job: Running job: job_1700000000000_0043",
]


def test_what_hadoop_jar_prints():
    submission = Submission()
    for line in LINES:
        submission.see(line)
    assert submission.application == APPLICATION
    assert submission.url == "http://rm:8088/proxy/application_17_0042/"
    assert submission.text == "\n".join(LINES)
    assert submission.submitted_at is not None and submission.running_at is None
    submission.see("INFO mapreduce.Job: Job job_1700000000000_0043 running in uber mode : false")
    assert submission.running_at >= submission.submitted_at
    late = Submission()
    late.see(LINES[2])
    assert late.application == "application_1700000000000_0043"
    for number in range(1000):
        late.see(str(number))
    assert len(late.lines) == 400


def test_submissions_may_be_looked_at_while_there_are_more():
    all_ = Submissions()
    first = all_.new()
    for seen in all_:
        assert seen is first
        all_.new()
    assert len(list(all_)) == 2


def test_what_is_cancelled_does_not_start():
    all_ = Submissions()
    started, before = all_.new(), all_.new()
    started.start(lambda: "a process")
    all_.cancel()
    assert started.process == "a process"
    for submission in (before, all_.new()):
        with pytest.raises(JobError, match="cancelled"):
            submission.start(lambda: pytest.fail("it was started"))
