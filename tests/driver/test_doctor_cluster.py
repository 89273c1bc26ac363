"""The checks of `mrmodel doctor` that ask a cluster: HDFS, YARN, settings, the one-task job."""

import ast
import http.server
import json
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mrmodel.driver.checks import hdfs, rest, settings, task, yarn
from mrmodel.driver.checks.base import Facts, Request, skip
from mrmodel.errors import JobError, ServiceError
from mrmodel.runners.hadoop_conf import HadoopConf
from mrmodel.storage import hdfs_calls

ROOT = Path(__file__).parents[2]


def facts(*, runner="hadoop", memory=None, **properties):
    conf = HadoopConf({name.replace("_", "."): value for name, value in properties.items()})
    return Facts(Request(runner, memory=memory), conf)


# -- HDFS and YARN that do not answer


@pytest.fixture
def silent():
    """The address of a port that takes connections and says nothing, as a stopped daemon does."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def free_address():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


def test_a_dead_name_node_is_told_soon():
    started = time.monotonic()
    with pytest.raises(ServiceError, match="does not answer"):
        hdfs.check_name_node(facts(fs_defaultFS=f"hdfs://{free_address()}"))
    assert time.monotonic() - started < 20


def test_a_stopped_name_node_is_told_soon(silent, monkeypatch):
    assert hdfs_calls.FIRST_SECONDS <= 20
    monkeypatch.setattr(hdfs_calls, "FIRST_SECONDS", 1.0)
    with pytest.raises(ServiceError, match="did not answer within 1 s"):
        hdfs.check_name_node(facts(fs_defaultFS=f"hdfs://{silent}"))


@pytest.mark.parametrize("value", ["file:///", "s3a://bucket", ""])
def test_a_default_file_system_that_is_not_hdfs(value):
    found = hdfs.check_name_node(facts(fs_defaultFS=value))
    assert found.mark == "FAIL" and "expected hdfs://NAMENODE" in found.found


def manager(rpc, pages):
    return facts(yarn_resourcemanager_address=rpc, yarn_resourcemanager_webapp_address=pages)


def test_a_dead_resource_manager():
    with pytest.raises(ServiceError, match="ResourceManager does not answer"):
        yarn.check_manager(manager(free_address(), free_address()))


def test_a_stopped_resource_manager(silent, monkeypatch):
    monkeypatch.setattr(rest, "_TIMEOUT", 0.5)
    found = yarn.check_manager(manager(silent, silent))
    assert (found.mark, found.exit_code) == ("FAIL", 4)
    assert "takes connections and says nothing" in found.found


# -- a ResourceManager and a NodeManager that say what a test wants

NODE = {
    "nodeHostName": "n1",
    "state": "RUNNING",
    "usedMemoryMB": 1024,
    "availMemoryMB": 3072,
    "usedVirtualCores": 1,
    "availableVirtualCores": 1,
}


class Pages(http.server.BaseHTTPRequestHandler):
    nodes: list = []
    settings: dict = {}

    def do_GET(self):
        name = self.path.partition("?name=")[2]
        if self.path == "/ws/v1/cluster/info":
            self.tell({"clusterInfo": {"hadoopVersion": "3.4.2"}})
        elif self.path == "/ws/v1/cluster/nodes":
            self.tell({"nodes": {"node": self.nodes} if self.nodes else None})
        elif name in self.settings:
            self.tell({"property": {"key": name, "value": self.settings[name]}})
        else:
            self.send_error(403)

    def tell(self, value):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(value).encode())

    def log_message(self, *args):
        pass


@pytest.fixture
def pages(monkeypatch):
    """(address, handler) of web pages whose nodes and settings can be set."""
    monkeypatch.setattr(Pages, "nodes", [])
    monkeypatch.setattr(Pages, "settings", {})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    server.handle_error = lambda *args: None  # of a client that has heard enough
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"127.0.0.1:{server.server_address[1]}", Pages
    server.shutdown()
    thread.join()
    server.server_close()


def with_pages(pages, **options):
    found = facts(**options)
    found.pages = f"http://{pages[0]}"
    return found


def test_a_resource_manager_that_answers(pages):
    found = yarn.check_manager(manager(pages[0], pages[0]))
    assert found.mark == "ok" and "Hadoop 3.4.2" in found.found


def test_pages_behind_a_login_are_a_warning(pages, monkeypatch):
    monkeypatch.setattr(Pages, "do_GET", lambda self: self.send_error(401, "Login"))
    known = manager(pages[0], pages[0])
    found = yarn.check_manager(known)
    assert found.mark == "warn" and "HTTP 401 Login" in found.found
    assert yarn.check_nodes(known) == skip("only the ResourceManager's pages tell")


def test_pages_behind_a_firewall_are_a_warning(pages):
    found = yarn.check_manager(manager(pages[0], free_address()))
    assert found.mark == "warn" and "firewall" in found.remedy


def test_nodes_and_their_states(pages):
    Pages.nodes = [NODE, NODE, {**NODE, "availMemoryMB": 7168}]
    found = yarn.check_nodes(with_pages(pages))
    assert found.found == (
        "3 running: 2 with 4096 MB, 2 vcores; 1 with 8192 MB, 2 vcores; 13312 MB free"
    )
    Pages.nodes = [NODE, {**NODE, "state": "UNHEALTHY", "nodeHostName": "n2"}]
    assert "n2 is unhealthy" in yarn.check_nodes(with_pages(pages)).found
    Pages.nodes = [NODE, {**NODE, "state": "DECOMMISSIONED"}]
    assert yarn.check_nodes(with_pages(pages)).mark == "ok"
    for nodes in ([], [{**NODE, "state": "LOST"}]):
        Pages.nodes = nodes
        found = yarn.check_nodes(with_pages(pages))
        assert (found.mark, found.exit_code) == ("FAIL", 4)


@pytest.mark.parametrize(
    "memory, most, mark, told",
    [
        ("2GB", "8192", "ok", "fits 2 of 2 nodes"),
        ("4GB", "8192", "ok", "fits 2 of 2 nodes"),
        ("5GB", "8192", "warn", "only 1 of 2 nodes"),
        ("7GB", "8192", "FAIL", "the largest node has 6144 MB"),
        ("9GB", "8192", "FAIL", "the scheduler gives at most 8192 MB"),
        (None, "1024", "FAIL", "a task asks for 1536 MB"),
    ],
)
def test_task_memory(pages, memory, most, mark, told):
    Pages.settings = {"yarn.scheduler.maximum-allocation-mb": most}
    Pages.nodes = [NODE, {**NODE, "availMemoryMB": 5120}]
    known = with_pages(pages, memory=memory)
    yarn.check_nodes(known)
    found = yarn.check_task_memory(known)
    assert found.mark == mark and told in found.found


# -- settings


def test_settings_come_from_the_cluster_then_from_here(pages):
    known = with_pages(pages, a="here", b="here")
    Pages.settings = {"a": "there"}
    assert rest.setting(known, "a", "x") == ("there", "the cluster's")
    assert rest.setting(known, "b", "x") == ("here", "HADOOP_CONF_DIR's")
    assert rest.setting(known, "c", "x") == ("x", "Hadoop's default")


def test_virtual_memory_limits_are_a_warning(pages):
    assert settings.check_memory_limits(facts()).mark == "warn"
    off = HadoopConf({"yarn.nodemanager.vmem-check-enabled": "false"})
    assert settings.check_memory_limits(Facts(Request(), off)).mark == "ok"
    # the nodes know best
    Pages.settings = {"yarn.nodemanager.vmem-check-enabled": "true"}
    Pages.nodes = [{**NODE, "nodeHTTPAddress": pages[0]}]
    known = with_pages(pages)
    known.conf = off
    yarn.check_nodes(known)
    found = settings.check_memory_limits(known)
    assert found.mark == "warn" and "2.1 times" in found.found


def test_logs_committer_and_timeout():
    assert settings.check_logs(facts()).mark == "warn"
    on = HadoopConf({"yarn.log-aggregation-enable": "true"})
    assert settings.check_logs(Facts(Request(), on)).mark == "ok"
    assert "version 2" in settings.check_committer(facts()).found
    assert "600 s" in settings.check_timeout(facts()).found
    assert "never ends" in settings.check_timeout(facts(mapreduce_task_timeout="0")).found
    assert settings.check_timeout(facts(mapreduce_task_timeout="20000")).mark == "warn"


# -- what the one-task job told


def told(**changes):
    from mrmodel.jobs.mr_probe import look_around

    found = facts()
    found.task = {**look_around(), "input": {"uri": "/x", "seconds": 0.1}, **changes}
    return found


def test_the_probe_runs_on_machines_that_lack_everything():
    code = (ROOT / "mrmodel/jobs/mr_probe.py").read_text()
    tree = ast.parse(code, feature_version=(3, 7))
    nodes = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {getattr(node, "module", None) or node.names[0].name for node in nodes}
    assert {name.partition(".")[0] for name in names} <= {"mrjob", *sys.stdlib_module_names}


def test_the_probe_is_an_ordinary_job(tmp_path):
    (tmp_path / "lines.txt").write_text("any line\n")
    command = [sys.executable, "-m", "mrmodel.jobs.mr_probe", "-r", "inline", "--no-conf"]
    done = subprocess.run(
        [*command, str(tmp_path / "lines.txt")], capture_output=True, text=True, timeout=120
    )
    key, _, value = done.stdout.partition("\t")
    assert json.loads(key) == "mrmodel probe", done.stderr
    assert json.loads(value)["input"] is None and json.loads(value)["versions"]["torch"]


def test_the_interpreter_of_the_node():
    assert task.check_task_python(told()).mark == "ok"
    assert task.check_task_python(told(python=[3, 8, 10])).mark == "FAIL"
    other = 12 if sys.version_info[1] != 12 else 11
    found = task.check_task_python(told(python=[3, other, 1]))
    assert found.mark == "warn" and "this machine has" in found.found


def test_the_libraries_of_the_node():
    here = told().task["versions"]
    same_release = {**here, "torch": here["torch"].partition("+")[0] + "+cu999"}
    assert task.check_task_packages(told(versions=same_release)).mark == "ok"
    found = task.check_task_packages(told(versions={**here, "torch": "2.6.0"}))
    assert found.mark == "warn" and f"torch 2.6.0 (here {here['torch']})" in found.found
    found = task.check_task_packages(told(missing={"torch": "No module named 'torch'"}))
    assert found.mark == "FAIL" and "--python" in found.remedy


def test_data_and_limits_of_the_node():
    assert task.check_task_data(told()).mark == "ok"
    found = task.check_task_data(told(input={"uri": "hdfs://x", "error": "no route"}))
    assert found.mark == "FAIL" and "no route" in found.found
    assert task.check_task_resources(told()).mark == "ok"
    found = task.check_task_resources(told(address_space_mb=4096, container_mb=1536, vcores=1))
    assert found.mark == "warn"
    assert "container of 1536 MB, 1 vcore;" in found.found and "ulimit -v" in found.found


def test_a_task_that_tells_nothing(tmp_path):
    (tmp_path / "part-00000").write_text("a library's greeting\n")
    with pytest.raises(JobError, match="told nothing"):
        task.read_report(str(tmp_path))


def test_a_job_that_does_not_end_is_cancelled():
    started = time.monotonic()
    with (
        pytest.raises(ServiceError, match=r"did not end in 0 s \(application_7\)"),
        task.deadline(0.2, lambda: ["application_7"]),
    ):
        threading.Event().wait(60)
    assert time.monotonic() - started < 10
