"""What of scripts/cluster can be seen without a cluster; needs no Java."""

import os
import socket
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from .conftest import SCRIPT

sys.path.insert(0, str(SCRIPT.parent))
from _cluster import configuration, processes, state  # scripts/ is no package


@pytest.fixture
def layout(tmp_path):
    cluster = state.Cluster(str(tmp_path / "c"), nodes=2, memory=2048, vcores=3, dist="/jars")
    configuration.choose_ports(cluster)
    cluster.conf.mkdir(parents=True)
    configuration.node_file(cluster, "127.0.0.11").parent.mkdir()
    configuration.write(cluster)
    return cluster


def values(path):
    return {
        p.findtext("name"): p.findtext("value") for p in ElementTree.parse(path).iter("property")
    }


def test_every_name_in_the_templates_is_filled_in(layout):
    files = [*layout.conf.iterdir(), *(layout.home / "etc" / "nodes").iterdir()]
    assert {"core-site.xml", "log4j.properties", "127.0.0.12.xml"} < {file.name for file in files}
    for file in files:
        assert "@" not in file.read_text().replace("between @", "")


def test_nodes_share_no_port(layout):
    ports = list(configuration.master_ports(layout).values())
    for host in layout.hosts:
        ports += configuration.node_ports(layout, host).values()
    assert len(set(ports)) == len(ports)


def test_blocks_and_containers_are_on_the_same_hosts(layout):
    for host in layout.hosts:
        node = values(configuration.node_file(layout, host))
        assert node["dfs.datanode.hostname"] == node["yarn.nodemanager.hostname"] == host


def test_every_value_has_its_reason():
    """Each property, or the group it stands in, has a comment above it."""
    for template in configuration.TEMPLATES.glob("*.xml"):
        for group in template.read_text().split("\n\n"):
            if "<property>" in group:
                assert "<!--" in group, f"{template.name}: {group}"


def test_ports_of_last_time_are_kept_unless_taken(layout):
    before = layout.base_port
    configuration.choose_ports(layout)
    assert layout.base_port == before
    with socket.create_server(("127.0.0.1", before + 1)):
        configuration.choose_ports(layout)
        assert layout.base_port != before


def test_a_reused_pid_is_not_the_daemon():
    started = processes.start_time(os.getpid())
    assert processes.alive(os.getpid(), started)
    assert not processes.alive(os.getpid(), started - 1)
    assert not processes.alive(0, 0)


def test_stop_kills_what_does_not_listen():
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True)"
    child = subprocess.Popen(
        [sys.executable, "-c", f"{deaf}; time.sleep(60)"], stdout=subprocess.PIPE
    )
    child.stdout.readline()
    known = (child.pid, processes.start_time(child.pid))
    assert processes.stop([known], seconds=0.2) == [known]
    assert not processes.alive(*known)


def test_state_survives_a_round_trip(layout):
    layout.daemons = [state.Daemon("namenode", "127.0.0.1", "http://x", "x.log", 7, 9)]
    layout.save()
    assert state.load(layout.path) == layout
