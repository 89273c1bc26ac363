"""The cores of a container are not those of its machine."""

import os
import subprocess
import sys

import psutil
import pytest

from mrmodel import machine


def groups(tmp_path, proc, files):
    (tmp_path / "self").write_text(proc)
    for name, text in files.items():
        path = tmp_path / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "self", tmp_path / "cgroup"


@pytest.mark.parametrize(
    ("proc", "files", "quota"),
    [
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5),
        ("0::/\n", {"cpu.max": "max 100000\n"}, None),
        # the narrowest of a group and those above it
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000", "a/cpu.max": "200000 100000"}, 2.0),
        ("4:cpu:/x\n", {"cpu/cpu.cfs_quota_us": "400000", "cpu/cpu.cfs_period_us": "100000"}, 4.0),
        ("4:cpu:/x\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ("", {}, None),
    ],
)
def test_the_quota_of_a_control_group(tmp_path, proc, files, quota):
    assert machine._quota(*groups(tmp_path, proc, files)) == quota


def test_a_quota_is_rounded_up_and_adds_no_cores(monkeypatch):
    own = len(os.sched_getaffinity(0))
    for quota, expected in ((0.5, 1), (own - 0.5, own), (own + 10.0, own), (None, own)):
        monkeypatch.setattr(machine, "_quota", lambda *paths, quota=quota: quota)
        assert machine.cores() == expected


def test_a_process_bound_to_one_core_has_one():
    code = "from mrmodel.machine import cores; print(cores())"
    one = str(min(os.sched_getaffinity(0)))
    done = subprocess.run(
        ["taskset", "-c", one, sys.executable, "-c", code],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stdout == "1\n"


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"memory.max": "1073741824\n"}, 1 << 30),
        ({"memory.max": "max\n"}, None),
        ({"memory/memory.limit_in_bytes": "1073741824\n"}, 1 << 30),
        ({"memory/memory.limit_in_bytes": "9223372036854771712\n"}, None),
        ({}, None),
    ],
)
def test_free_memory_is_no_more_than_a_container_may_have(tmp_path, monkeypatch, files, limit):
    monkeypatch.setattr(machine, "_CGROUPS", groups(tmp_path, "", files)[1])
    assert machine.memory_limit() == limit
    available = psutil.virtual_memory().available
    assert machine.free_memory() <= (limit or psutil.virtual_memory().total)
    assert machine.free_memory() > (0.9 * limit if limit else available / 2)
