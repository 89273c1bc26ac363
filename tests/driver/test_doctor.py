"""`mrmodel doctor`: how checks follow each other; this machine; the Hadoop client on it."""

import configparser
import sys
import tempfile
import time
from pathlib import Path

import pytest

from mrmodel.driver import doctor
from mrmodel.driver.checks import client, machine
from mrmodel.driver.checks.base import Check, Facts, Request, fail, ok, telling_line, warn
from mrmodel.errors import ServiceError, UsageError

ROOT = Path(__file__).parents[2]
FACTS = Facts(Request("hadoop"))


def executable(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["#!/bin/sh", *lines]) + "\n")
    path.chmod(0o755)
    return path


# -- the doctor itself


def run_checks(monkeypatch, *checks):
    monkeypatch.setattr(doctor, "checks_for", lambda request: list(checks))
    return doctor.examine(Request())


def raiser(error):
    def check(facts):
        raise error

    return check


def test_a_check_is_skipped_for_the_root_of_the_trouble(monkeypatch):
    told = run_checks(
        monkeypatch,
        Check("a", lambda facts: fail("broken", "mend it")),
        Check("b", lambda facts: ok("never asked"), ("a",)),
        Check("c", lambda facts: ok("never asked"), ("b",)),
        Check("d", lambda facts: ok("asked")),
    )
    assert [finding.mark for finding in told.findings.values()] == ["FAIL", "skip", "skip", "ok"]
    assert told.findings["c"].found == "needs a"


def test_a_warning_keeps_no_check_from_running(monkeypatch):
    told = run_checks(
        monkeypatch,
        Check("a", lambda facts: warn("odd", "look")),
        Check("b", lambda facts: ok("asked"), ("a",)),
    )
    assert told.findings["b"].mark == "ok"
    assert told.exit_code == 0


@pytest.mark.parametrize(
    "error, code",
    [
        (ServiceError("nobody there"), 4),
        (UsageError("set it"), 2),
        (PermissionError(13, "no", "/x"), 2),
        (ZeroDivisionError("oops"), 2),
    ],
)
def test_an_error_is_a_line_and_the_next_check_runs(monkeypatch, error, code):
    told = run_checks(monkeypatch, Check("a", raiser(error)), Check("b", lambda facts: ok("asked")))
    assert told.findings["a"].mark == "FAIL" and str(error) in told.findings["a"].found
    assert told.findings["b"].mark == "ok"
    assert told.exit_code == code


def test_a_wrong_configuration_outweighs_a_silent_service(monkeypatch):
    service, usage = Check("a", raiser(ServiceError("x"))), Check("b", raiser(UsageError("y")))
    assert run_checks(monkeypatch, service, usage).exit_code == 2


def test_every_need_is_a_check_before():
    for request in (
        Request(),
        Request("local", deep=True),
        Request("hadoop"),
        Request("hadoop", deep=True),
    ):
        seen = set()
        for check in doctor.checks_for(request):
            assert set(check.needs) <= seen, check.name
            seen.add(check.name)


def test_options_about_nodes_need_a_cluster():
    with pytest.raises(UsageError, match="--memory is about the nodes of a cluster"):
        doctor.checks_for(Request(memory="2GB"))
    with pytest.raises(UsageError, match="--python"):
        doctor.checks_for(Request("local", python="/usr/bin/python3"))
    with pytest.raises(UsageError, match="--memory: expected a size"):
        doctor.checks_for(Request("hadoop", memory="much"))


# -- this machine


def test_this_machine_is_in_order():
    told = doctor.examine(Request("local", deep=True))
    assert told.exit_code == 0, told.findings
    assert told.task["python"] == list(sys.version_info[:3])
    assert "as here" in told.findings["task packages"].found
    assert told.findings["task data"].mark == "ok"


@pytest.mark.parametrize(
    "version, mark",
    [
        ((3, 9, 18), "FAIL"),
        ((3, 10, 0), "ok"),
        ((3, 13, 9), "ok"),
        ((3, 14, 0), "warn"),
    ],
)
def test_python_versions(version, mark):
    found = machine.judge_python(version, "/usr/bin/python3", "take another")
    assert found.mark == mark
    assert found.found.startswith(".".join(map(str, version)))


def test_the_least_versions_are_those_that_pip_installs():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    wanted = setup["options"]["install_requires"].splitlines()
    for name, least in machine.LEAST.items():
        assert any(line == f"{name}>={least}" or line.startswith(f"{name}>={least},")
                   for line in wanted), name  # fmt: skip
    oldest = ".".join(map(str, machine.OLDEST_PYTHON))
    assert setup["options"]["python_requires"] == f">={oldest}"


def test_a_library_that_is_missing_or_old(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    found = machine.check_package("pyarrow")
    assert found.mark == "FAIL" and found.remedy == 'pip install "pyarrow>=16"'
    monkeypatch.setitem(machine.LEAST, "numpy", "99")
    assert "expected 99 or later" in machine.check_package("numpy").found


def test_a_torch_that_cannot_use_this_numpy(monkeypatch):
    import torch

    monkeypatch.setattr(torch, "from_numpy", raiser(RuntimeError("Numpy is not available")))
    found = machine.check_torch(FACTS)
    assert found.mark == "FAIL" and "Numpy is not available" in found.found


@pytest.mark.parametrize(
    "module, remedy", [("distutils", "setuptools>=68"), ("pipes", "standard-pipes>=3.13")]
)
def test_what_mrjob_misses_on_new_pythons(monkeypatch, module, remedy):
    monkeypatch.setitem(sys.modules, module, None)
    found = machine.check_mrjob(FACTS)
    assert found.mark == "FAIL" and module in found.found
    assert found.remedy == f'pip install "{remedy}"'


def test_the_temporary_folder(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert machine.check_temporary(FACTS).mark == "ok"
    monkeypatch.setattr(machine, "FREE_DISK", 1 << 60)
    assert machine.check_temporary(FACTS).mark == "warn"
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    found = machine.check_temporary(FACTS)
    assert found.mark == "FAIL" and "TMPDIR" in found.remedy


def test_little_memory_is_a_warning(monkeypatch, tmp_path):
    (tmp_path / "memory.max").write_text(f"{1 << 29}\n")
    monkeypatch.setattr("mrmodel.machine._CGROUPS", tmp_path)
    found = machine.check_resources(FACTS)
    assert found.mark == "warn" and "this container may have 512 MB" in found.found


# -- the Hadoop client


@pytest.fixture
def client_home(tmp_path, monkeypatch):
    """A Hadoop client whose commands are ours."""
    for name in ("HADOOP_CONF_DIR", "HADOOP_PREFIX", "HADOOP_INSTALL", "HADOOP_MAPRED_HOME"):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "hadoop"
    executable(home / "bin" / "hadoop", 'echo noise >&2; echo "Hadoop 3.4.2"')
    executable(tmp_path / "java" / "bin" / "java", "echo 'openjdk version \"17\"' >&2")
    monkeypatch.setenv("HADOOP_HOME", str(home))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "java"))
    conf = home / "etc" / "hadoop"
    conf.mkdir(parents=True)
    for name in ("core-site.xml", "yarn-site.xml"):
        (conf / name).write_text("<configuration/>")
    write_framework(conf, "yarn")
    return home


def write_framework(conf, value):
    name = "<name>mapreduce.framework.name</name>"
    (conf / "mapred-site.xml").write_text(
        f"<configuration><property>{name}<value>{value}</value></property></configuration>"
    )


def test_java(client_home, monkeypatch, tmp_path):
    assert client.check_java(FACTS).found == 'openjdk version "17" (JAVA_HOME)'
    executable(tmp_path / "java" / "bin" / "java", "echo broken; exit 1")
    assert "exit code 1: broken" in client.check_java(FACTS).found
    monkeypatch.setenv("JAVA_HOME", "/nowhere")
    assert "/nowhere" in client.check_java(FACTS).found
    monkeypatch.delenv("JAVA_HOME")
    monkeypatch.setenv("PATH", "/nowhere")
    assert client.check_java(FACTS).mark == "warn"


def test_the_hadoop_command(client_home):
    assert client.check_hadoop(FACTS).found == f"Hadoop 3.4.2 ({client_home}/bin/hadoop)"
    executable(client_home / "bin" / "hadoop", "echo ERROR: JAVA_HOME is wrong >&2; exit 1")
    found = client.check_hadoop(FACTS)
    assert found.mark == "FAIL" and "ERROR: JAVA_HOME is wrong" in found.found


def test_a_command_that_hangs_or_does_not_start(tmp_path):
    started = time.monotonic()
    assert telling_line(["sleep", "60"], 0.2) == (False, "no answer in 0 s")
    assert time.monotonic() - started < 10
    assert telling_line([str(tmp_path / "none")], 1)[1].startswith("cannot be run")
    assert telling_line(["false"], 10)[1] == "exit code 1: it prints nothing"


def test_the_configuration(client_home, monkeypatch):
    assert client.check_configuration(FACTS).mark == "ok"
    conf = client_home / "etc" / "hadoop"
    write_framework(conf, "local")
    assert "mapreduce.framework.name is local" in client.check_configuration(FACTS).found
    (conf / "yarn-site.xml").unlink()
    assert "has no yarn-site.xml" in client.check_configuration(FACTS).found
    monkeypatch.delenv("HADOOP_HOME")
    with pytest.raises(UsageError, match="HADOOP_CONF_DIR"):
        client.check_configuration(FACTS)


def test_the_streaming_jar_is_found_as_mrjob_finds_it(client_home):
    assert client.check_streaming_jar(FACTS).mark == "FAIL"
    jar = client_home / "share" / "tools" / "hadoop-streaming-3.4.2.jar"
    jar.parent.mkdir(parents=True)
    jar.touch()
    assert client.check_streaming_jar(FACTS).found == str(jar)
