"""Forks that are as new interpreters: what they are given, how they end, and who outlives whom."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from mrmodel.runners import local
from mrmodel.runners.fork_server import ForkServer

SCRIPT = """
import json, os, signal, sys
import numpy as np
helper = __import__("beside").HERE
told = {
    "name": __name__, "argv": sys.argv, "cwd": os.getcwd(), "word": os.environ.get("WORD"),
    "home": os.environ.get("HOME"), "stdin": sys.stdin.read(), "helper": helper,
    "torch": "torch" in sys.modules, "random": float(np.random.rand()),
    "session": os.getsid(0) == os.getpid(), "int": signal.getsignal(signal.SIGINT).__name__,
    "fds": len(os.listdir("/proc/self/fd")),
}
json.dump(told, sys.stdout)
print("on stderr", file=sys.stderr)
sys.exit(int(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def server():
    server = ForkServer()
    yield server
    server.close()


@pytest.fixture
def start(server, tmp_path):
    """(process, read) of a script in a folder of its own."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "beside.py").write_text("HERE = 'from the path'")

    def start(script, *words, server=server, **env):
        path = tmp_path / "script.py"
        # at once: a fork of the call before may only begin to read it
        (tmp_path / "new.py").write_text(script)
        (tmp_path / "new.py").rename(path)
        (tmp_path / "stdin").write_text("some lines\n")
        env = {"PYTHONPATH": str(tmp_path / "lib"), **env}
        with (
            (tmp_path / "stdin").open("rb") as stdin,
            (tmp_path / "stdout").open("wb") as stdout,
            (tmp_path / "stderr").open("wb") as stderr,
        ):
            return server.start([str(path), *words], stdin, stdout, stderr, str(tmp_path), env)

    return start


def test_a_fork_is_as_a_new_interpreter(start, tmp_path):
    found = []
    for code in (0, 3):
        assert start(SCRIPT, str(code), WORD="größer").wait(30) == code
        found.append(json.loads((tmp_path / "stdout").read_text()))
        assert (tmp_path / "stderr").read_text() == "on stderr\n"
    told = found[1]
    assert told["name"] == "__main__" and told["argv"] == [str(tmp_path / "script.py"), "3"]
    assert told["cwd"] == str(tmp_path) and told["stdin"] == "some lines\n"
    assert told["word"] == "größer" and told["home"] is None
    assert told["helper"] == "from the path" and told["torch"]
    assert told["session"] and told["int"] == "default_int_handler"
    assert told["fds"] == found[0]["fds"] < 10  # no file of another request
    assert found[0]["random"] != found[1]["random"]


def test_an_exception_is_told_as_always(start, tmp_path):
    assert start("raise ValueError('no such luck')").wait(30) == 1
    said = (tmp_path / "stderr").read_text()
    assert said.startswith("Traceback") and said.endswith("ValueError: no such luck\n")


END = """
import atexit, sys, threading, time
atexit.register(print, "atexit")
threading.Thread(target=lambda: (time.sleep(0.3), print("thread"))).start()
print("main")
"""


def test_an_end_loses_nothing(start, tmp_path):
    """Not what threads and handlers do, nor what a buffer holds."""
    assert start(END).wait(30) == 0
    assert (tmp_path / "stdout").read_text() == "main\nthread\natexit\n"
    assert start("raise SystemExit('in words')").wait(30) == 1
    assert (tmp_path / "stderr").read_text() == "in words\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_signals(start, number):
    process = start("import time; time.sleep(600)")
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.1)
    process.kill() if number == signal.SIGKILL else process.terminate()
    assert process.wait(30) == -number
    process.kill()  # nobody is there any more


def test_two_threads_may_wait(start):
    process = start("import time; time.sleep(0.5); raise SystemExit(7)")
    with ThreadPoolExecutor() as pool:
        codes = [pool.submit(process.wait, timeout) for timeout in (None, 30, None)]
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.05)
        assert [code.result() for code in codes] == [7, 7, 7]


def test_a_signal_for_a_process_that_has_ended_is_no_error(start):
    """Another thread is about to read its exit code."""
    process = start("pass")
    while psutil.pid_exists(process.pid):
        time.sleep(0.01)
    with process._waiting:
        process.terminate()
    assert process.wait() == 0


def test_a_process_that_ends_before_anybody_looks(server, start, monkeypatch, tmp_path):
    """What it told is not in a buffer that poll does not see."""
    send = server._channel.sendall

    def late(request):
        send(request)
        while not (tmp_path / "here").exists():
            time.sleep(0.05)
        time.sleep(1)

    monkeypatch.setattr(server, "_channel", Channel(server._channel, late))
    assert start("import os; open('here', 'w'); os._exit(5)").wait(30) == 5


class Channel:
    """A socket of which one method is another."""

    def __init__(self, socket, sendall):
        self._socket, self.sendall = socket, sendall

    def __getattr__(self, name):
        return getattr(self._socket, name)


def test_many_at_once_end_in_any_order(start):
    script = "import sys, time; time.sleep(float(sys.argv[1])); sys.exit(int(sys.argv[2]))"
    processes = [start(script, str(0.4 - n / 10), str(n)) for n in range(4)]
    assert [process.wait(30) for process in processes] == [0, 1, 2, 3]


def test_a_server_that_is_killed(start):
    mine = ForkServer()
    process = start("import time; time.sleep(600)", server=mine)
    mine._process.kill()
    assert process.wait(30) == -signal.SIGKILL
    with pytest.raises(OSError):
        start("pass", server=mine)
    psutil.Process(process.pid).kill()
    mine.close()


def test_tasks_go_on_without_the_server(monkeypatch, tmp_path):
    mine = ForkServer()
    mine._process.kill()
    mine._process.wait()

    def fork_server():
        return mine

    fork_server.cache_clear = lambda: None
    monkeypatch.setattr(local, "fork_server", fork_server)
    script = tmp_path / "script.py"
    script.write_text("print('here')")
    with (tmp_path / "out").open("w+b") as out, open(os.devnull, "rb") as nothing:
        words = [sys.executable, str(script)]
        process = local._start(words, nothing, out, out, str(tmp_path), dict(os.environ))
        assert isinstance(process, subprocess.Popen) and process.wait(60) == 0
    assert (tmp_path / "out").read_text() == "here\n"
    mine.close()


def test_a_script_without_a_guard(tmp_path):
    """multiprocessing would run it again in every process."""
    (tmp_path / "rows.jsonl").write_text('{"x": 1}\n{"x": 2}\n')
    (tmp_path / "model.py").write_text(
        "import mrmodel\n\nclass Model(mrmodel.Predictor):\n    inputs = ['x']\n\n"
        "    def predict(self, batch):\n        return {'twice': batch['x'] * 2}\n"
    )
    (tmp_path / "go.py").write_text(
        "import mrmodel\nprint('once')\n"
        "run = mrmodel.predict('model.py:Model', 'rows.jsonl', 'out', runner='local')\n"
        "print(run.rows['ok'])\n"
    )
    done = subprocess.run(
        [sys.executable, "go.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.stdout == "once\n2\n", done.stderr
