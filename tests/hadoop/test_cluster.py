"""The development cluster itself: its daemons are real, and they behave as a cluster's do."""

import collections
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .conftest import describe, run_script

pytestmark = pytest.mark.hadoop

HERE = Path(__file__).parent
BLOCK = 65536
BLOCKS = 12


def daemons_of(folder):
    return json.loads((folder / "state.json").read_text())["daemons"]


def processes_of(folder):
    """Pids of daemons and containers: they carry the cluster's folder in their environment."""
    mark = f"MRMODEL_CLUSTER_MARK={folder}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            pass
    return found


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not after {seconds} s"
        time.sleep(0.2)


def streaming(mapper, name, **options):
    """A map-only streaming job over one line."""
    settings = {
        "mapreduce.job.name": name,
        "mapreduce.job.reduces": "0",
        "mapreduce.map.maxattempts": "1",
        "mapreduce.map.java.opts": "-Xmx128m",
        **options,
    }
    defined = [word for pair in settings.items() for word in ("-D", "=".join(pair))]
    files = ["-input", f"/tmp/{name}/in", "-output", f"/tmp/{name}/out"]
    return ["mapred", "streaming", *defined, *files, "-mapper", mapper]


def put_line(cluster, name, tmp_path):
    (tmp_path / "line").write_text("one line\n")
    cluster.run("hdfs", "dfs", "-mkdir", "-p", f"/tmp/{name}")
    cluster.run("hdfs", "dfs", "-put", str(tmp_path / "line"), f"/tmp/{name}/in")


def finished_jobs(cluster):
    """As the history server knows them, a moment after they end."""
    found = cluster.history("jobs")["jobs"] or {}
    return [job["id"] for job in found.get("job", [])]


def diagnostics(cluster, job):
    """What YARN said about each attempt of the job; the client does not always print the last."""
    for task in cluster.history(f"jobs/{job}/tasks")["tasks"]["task"]:
        attempts = cluster.history(f"jobs/{job}/tasks/{task['id']}/attempts")
        for attempt in attempts["taskAttempts"]["taskAttempt"]:
            yield attempt["diagnostics"]


def test_status_lists_every_daemon(cluster):
    shown = run_script(cluster.folder, "status")
    assert shown.returncode == 0, shown.stdout
    rows = [line.split() for line in shown.stdout.splitlines()[1:]]
    kinds = [row[0].partition("-")[0] for row in rows]
    assert kinds.count("datanode") == kinds.count("nodemanager") == cluster.nodes
    assert {"namenode", "resourcemanager", "historyserver"} < set(kinds)
    assert {row[-1] for row in rows} == {"up"}


def test_second_up_says_already_running(cluster):
    before = daemons_of(cluster.folder)
    again = run_script(cluster.folder, "up")
    assert again.returncode == 0
    assert "already running" in again.stderr
    assert daemons_of(cluster.folder) == before


@pytest.fixture(scope="module")
def word_count(cluster, tmp_path_factory):
    """mrjob's word count over a file of many blocks: the text, the counts, what Hadoop said."""
    text = (Path(__file__).parents[2] / "LICENSE").read_text()
    text = (text * (BLOCK * BLOCKS // len(text) + 1))[: BLOCK * BLOCKS]
    local = tmp_path_factory.mktemp("words") / "text"
    local.write_text(text)
    target = f"{cluster.namenode}/tmp/words-{os.getpid()}"
    # one copy of each block: a task placed at random would find it there one time in three
    blocks = ["-D", f"dfs.blocksize={BLOCK}", "-D", "dfs.replication=1"]
    cluster.run("hdfs", "dfs", *blocks, "-put", str(local), target)
    command = [sys.executable, HERE / "mr_word_count.py", "-r", "hadoop", target]
    # small, for all to find a place at once; a speculative attempt has to run away from its block
    maps = ["-D", "mapreduce.map.memory.mb=512", "-D", "mapreduce.map.java.opts=-Xmx200m"]
    maps += ["-D", "mapreduce.map.speculative=false"]
    done = subprocess.run(
        [*command, "--python-bin", sys.executable, *maps],
        env=cluster.env,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    counts = dict(line.split("\t") for line in done.stdout.splitlines())
    return text, {json.loads(word): int(count) for word, count in counts.items()}, done.stderr


def test_mrjob_counts_words(word_count):
    text, counts, _ = word_count
    assert counts == collections.Counter(text.split())


def test_maps_run_where_their_blocks_are(word_count):
    said = word_count[2]
    local = int(re.search(r"Data-local map tasks=(\d+)", said)[1])
    launched = int(re.search(r"Launched map tasks=(\d+)", said)[1])
    assert launched >= BLOCKS
    assert local >= 0.9 * launched


def test_container_over_its_memory_is_killed(cluster, tmp_path):
    name = f"hog-{os.getpid()}"
    put_line(cluster, name, tmp_path)
    hog = tmp_path / "hog.py"
    hog.write_text("import time\nkept = b'x' * (700 << 20)\ntime.sleep(60)\n")
    command = streaming(f"{sys.executable} {hog}", name, **{"mapreduce.map.memory.mb": "512"})
    done = subprocess.run(command, env=cluster.env, capture_output=True, text=True)
    assert done.returncode != 0
    job = re.search(r"job_\d+_\d+", done.stderr)[0]
    until(lambda: job in finished_jobs(cluster))
    assert "beyond the 'PHYSICAL' memory limit" in "\n".join(diagnostics(cluster, job))


def test_logs_shows_what_a_container_said(cluster, tmp_path):
    name = f"said-{os.getpid()}"
    put_line(cluster, name, tmp_path)
    script = tmp_path / "say.sh"
    mapped = "grep -o -m 1 'classes-.*jsa' /proc/$PPID/maps"
    script.write_text(f"echo grüße from $LANG, maps $({mapped}) >&2\ncat\n")
    done = subprocess.run(
        streaming(f"sh {script}", name), env=cluster.env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    app = re.search(r"application_\d+_\d+", done.stderr)[0]
    shown = run_script(cluster.folder, "logs", app)
    assert "grüße from C.UTF-8" in shown.stdout
    # its JVM had not to load Hadoop's classes
    assert re.search(r", maps classes-\w+\.jsa\n", shown.stdout)


def test_others_have_no_permission(cluster):
    as_alice = {**cluster.env, "HADOOP_USER_NAME": "alice"}
    user = Path.home().owner()
    refused = subprocess.run(
        ["hdfs", "dfs", "-touchz", f"/user/{user}/x"], env=as_alice, capture_output=True, text=True
    )
    assert refused.returncode != 0
    assert "Permission denied: user=alice" in refused.stderr
    allowed = ["hdfs", "dfs", "-touchz", f"/tmp/alice-{os.getpid()}"]
    subprocess.run(allowed, env=as_alice, check=True)


def test_down_leaves_no_process(tmp_path):
    """A second cluster beside the first, with a job that runs, and a daemon lost."""
    folder = tmp_path / "second"
    client = None
    try:
        started = run_script(folder, "up", "--nodes", "1")
        assert started.returncode == 0, started.stderr
        client = start_endless_job(describe(folder), tmp_path)
        lost = next(d for d in daemons_of(folder) if d["name"] == "historyserver")
        os.kill(lost["pid"], signal.SIGKILL)
        until(lambda: run_script(folder, "status").returncode == 1)
    finally:
        stopped = run_script(folder, "down")
        if client:
            client.kill()
    assert stopped.returncode == 0, stopped.stderr
    assert processes_of(folder) == []
    assert run_script(folder, "status").returncode == 1


def start_endless_job(cluster, tmp_path):
    """A job whose container sleeps; returns its client, which would wait for it for ever."""
    put_line(cluster, "endless", tmp_path)
    client = subprocess.Popen(
        streaming("sleep 600", "endless"),
        env=cluster.env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until(lambda: any(map(is_sleep, processes_of(cluster.folder))))
    return client


def is_sleep(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().endswith(b"sleep\x00600\x00")
    except OSError:
        return False
