"""`mrmodel predict` as people run it against a real cluster, and what it leaves there."""

import io
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

import pyarrow.parquet as pq
from hdfs_native import Client, WriteOptions

from mrmodel import storage as st
from mrmodel.parallel import map_parallel

from .conftest import get_json

MODELS = Path(__file__).parent / "models"
# long: the machine may be busy with more than this test
JOB_SECONDS = 300
ENDED = {"FINISHED", "FAILED", "KILLED"}


@dataclass(frozen=True)
class Done:
    """How a command ended: its exit code, what it said, and how long it took."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def summary(self):
        """What --json printed."""
        return json.loads(self.out)


def command(*arguments):
    return [sys.executable, "-m", "mrmodel", *map(str, arguments)]


def mrmodel(*arguments, timeout=JOB_SECONDS, **environment):
    """Run a command to its end."""
    begun = time.monotonic()
    done = subprocess.run(
        command(*arguments),
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    return Done(done.returncode, done.stdout, done.stderr, time.monotonic() - begun)


def on_hadoop(model, inputs, output, *options, **keywords):
    """`mrmodel predict -r hadoop --json`; `model` is a file in models/ and the class in it."""
    inputs = inputs if isinstance(inputs, list) else [inputs]
    target = ["-o", output, "-r", "hadoop", "--json"]
    return mrmodel("predict", path_of(model), *inputs, *target, *options, **keywords)


def path_of(model):
    """``name.py:Class`` in models/; a reference with a folder stays as it is."""
    return str(model) if "/" in str(model) else f"{MODELS}/{model}"


@contextmanager
def started(*arguments, **environment):
    """A command while it runs; killed at the end if it still does."""
    process = subprocess.Popen(
        command(*arguments),
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.communicate()


def until(condition, seconds=120, what="condition"):
    """Wait until `condition()` is true; what it was then."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what}: not after {seconds} s"
        time.sleep(0.3)
    return found


# what lies on HDFS


def write_file(uri, data, block_size=None):
    """Write `data` with blocks of `block_size` bytes, one copy of each."""
    if block_size is None:
        st.write_bytes(uri, data)
        return
    options = WriteOptions(block_size=block_size, replication=1, overwrite=True)
    _, authority, path = st.split(uri)
    for pause in (1, 5, 0):
        try:
            with Client(f"hdfs://{authority}").create(path, options) as file:
                file.write(data)
            return
        except RuntimeError:
            # hdfs-native does not wait where a busy DataNode is late to say that it has a block
            if not pause:
                raise
            time.sleep(pause)


def blocks_per_node(cluster, uri):
    """Host → blocks of the file `uri` that it holds."""
    found = get_json(_webhdfs(cluster, uri, "GETFILEBLOCKLOCATIONS"))
    blocks = found["BlockLocations"]["BlockLocation"]
    return Counter(host for block in blocks for host in block["hosts"])


def change(cluster, uri, operation, method="PUT", **parameters):
    """An operation of WebHDFS, as the cluster's own user."""
    user = Path.home().owner()
    url = _webhdfs(cluster, uri, operation, **{"user.name": user}, **parameters)
    urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=60).close()


def _webhdfs(cluster, uri, operation, **parameters):
    query = urlencode({"op": operation, **parameters})
    return f"{page_of(cluster, 'namenode')}/webhdfs/v1{quote(st.split(uri)[2])}?{query}"


def page_of(cluster, daemon):
    """The URL of a daemon's pages."""
    daemons = json.loads((cluster.folder / "state.json").read_text())["daemons"]
    return next(d["url"] for d in daemons if d["name"] == daemon)


def json_lines(rows):
    """Rows as lines; bytes among them are a line as it is."""
    lines = (row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows)
    return b"".join(line + b"\n" for line in lines)


def names(uri):
    """What lies in the folder `uri`, hidden names too; None where there is no folder."""
    storage = st.storage_for(uri)
    return sorted(e.name for e in storage.ls(uri)) if storage.stat(uri) else None


def rows(output):
    """All predicted rows, part by part."""
    parts = [name for name in names(output) if name.startswith("part-")]
    read = map_parallel(lambda name: st.read_bytes(f"{output}/{name}"), parts)
    found = []
    for name, data in zip(parts, read, strict=True):
        if name.endswith(".parquet"):
            found += pq.read_table(io.BytesIO(data)).to_pylist()
        else:
            found += [json.loads(line) for line in data.splitlines()]
    return found


def ids(output):
    return [row["id"] for row in rows(output)]


def dead_letters(output):
    """All of `_bad`."""
    parts = names(f"{output}/_bad") or []
    read = (st.read_bytes(f"{output}/_bad/{name}") for name in parts)
    return [json.loads(line) for data in read for line in data.splitlines()]


def run_json(output):
    return st.read_json(f"{output}/_mrmodel/run.json")


def staging(output):
    """The hidden folder beside `output`."""
    return f"{st.parent(output)}/.{st.basename(output)}.mrmodel"


# what YARN knows


def applications(cluster, output):
    """id → ResourceManager's record of the applications that were to write `output`."""
    found = (cluster.rm("cluster/apps")["apps"] or {"app": []})["app"]
    name = f"mrmodel predict {st.basename(output)}"
    return {app["id"]: app for app in found if app["name"] == name}


def the_application(cluster, output):
    """The only application that was to write `output`, once it has ended."""
    (app,) = until(
        lambda: [a for a in applications(cluster, output).values() if a["state"] in ENDED],
        what=f"end of the application of {output}",
    )
    return app


def kill_applications(cluster, output):
    """End what still runs for `output`."""
    for name, app in applications(cluster, output).items():
        if app["state"] not in ENDED:
            cluster.run("yarn", "application", "-kill", name, timeout=60)


def _history(cluster, application, path):
    """The history server's answer about a job, as soon as it has one."""
    job = application.replace("application_", "job_")

    def ask():
        try:
            return cluster.history(f"jobs/{job}/{path}")
        except urllib.error.HTTPError:
            return None

    return until(ask, 60, f"{job} in the history server")


def counters(cluster, application):
    """group → name → value: Hadoop's own books of a finished job."""
    groups = _history(cluster, application, "counters")["jobCounters"]["counterGroup"]
    return {
        group["counterGroupName"].rpartition(".")[2]: {
            counter["name"]: counter["totalCounterValue"] for counter in group["counter"]
        }
        for group in groups
    }


def configuration(cluster, application):
    """name → value: what a finished job was configured with."""
    found = _history(cluster, application, "conf")["conf"]["property"]
    return {entry["name"]: entry["value"] for entry in found}


def attempts(cluster, application):
    """Attempt id → state, of all map tasks of a finished job."""
    tasks = _history(cluster, application, "tasks")["tasks"]["task"]
    found = {}
    for task in tasks:
        told = _history(cluster, application, f"tasks/{task['id']}/attempts")
        found |= {a["id"]: a["state"] for a in told["taskAttempts"]["taskAttempt"]}
    return found
