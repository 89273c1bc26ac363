"""The cluster's configuration, as this machine has it."""

import socket

import pytest

from mrmodel.errors import ServiceError, UsageError
from mrmodel.runners.hadoop_conf import HadoopConf, check_resource_manager, hadoop_binary


@pytest.fixture
def conf(tmp_path, monkeypatch):
    monkeypatch.setenv("HADOOP_CONF_DIR", str(tmp_path))

    def write(name="yarn-site.xml", **properties):
        items = "".join(
            f"<property><name>{key.replace('__', '-').replace('_', '.')}</name>"
            f"<value> {value} </value></property>"
            for key, value in properties.items()
        )
        (tmp_path / name).write_text(f"<configuration>{items}</configuration>")
        return HadoopConf.load()

    return write


def test_variables_are_put_in(conf, monkeypatch):
    monkeypatch.setenv("SOMEWHERE", "/somewhere")
    conf("core-site.xml", a_root="${env.SOMEWHERE}/x")
    found = conf("yarn-site.xml", b_dir="${a.root}/y", c_dir="${no.such}", d="${d}")
    assert found.get("b.dir") == "/somewhere/x/y"
    assert found.get("c.dir") == "${no.such}"
    assert found.get("d") == "${d}"  # and no end of it
    assert found.get("missing", "default") == "default"


def test_addresses_of_the_resource_manager(conf):
    assert conf().resource_managers() == [("0.0.0.0:8032", "http://0.0.0.0:8088")]
    found = conf(yarn_resourcemanager_hostname="rm")
    assert found.resource_managers() == [("rm:8032", "http://rm:8088")]
    found = conf(yarn_resourcemanager_address="a:1", yarn_resourcemanager_webapp_address="b:2")
    assert found.resource_managers() == [("a:1", "http://b:2")]
    found = conf(yarn_resourcemanager_hostname="rm", yarn_http_policy="HTTPS_ONLY")
    assert found.resource_managers() == [("rm:8032", "https://rm:8090")]


def test_two_resource_managers(conf, tmp_path):
    text = "".join(
        f"<property><name>yarn.resourcemanager.{k}</name><value>{v}</value></property>"
        for k, v in {"ha.enabled": "true", "ha.rm-ids": "one, two", "hostname.one": "a",
                     "hostname.two": "b"}.items()
    )  # fmt: skip
    (tmp_path / "yarn-site.xml").write_text(f"<configuration>{text}</configuration>")
    managers = HadoopConf.load().resource_managers()
    assert [rpc for rpc, _ in managers] == ["a:8032", "b:8032"]


def test_one_that_answers_and_one_that_does_not(conf):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = conf(yarn_resourcemanager_address=f"127.0.0.1:{port}")
        assert check_resource_manager(found) == "http://0.0.0.0:8088"
    with pytest.raises(
        ServiceError, match=f"does not answer at 127.0.0.1:{port}.*refused"
    ) as raised:
        check_resource_manager(found)
    assert raised.value.exit_code == 4


@pytest.mark.parametrize("value", ["0.0.0.0", "rm:port", ""])
def test_addresses_that_are_none(conf, value):
    with pytest.raises(ServiceError, match="ResourceManager does not answer"):
        check_resource_manager(conf(yarn_resourcemanager_address=value))


def test_no_configuration(monkeypatch, tmp_path):
    monkeypatch.delenv("HADOOP_CONF_DIR", raising=False)
    monkeypatch.delenv("HADOOP_HOME", raising=False)
    with pytest.raises(UsageError, match="HADOOP_HOME or HADOOP_CONF_DIR.*received neither"):
        HadoopConf.load()
    monkeypatch.setenv("HADOOP_CONF_DIR", str(tmp_path / "no"))
    with pytest.raises(UsageError, match="received .*/no;"):
        HadoopConf.load()


def test_a_configuration_that_is_no_xml(conf, tmp_path):
    (tmp_path / "core-site.xml").write_text("<configuration>")
    with pytest.raises(UsageError, match="core-site.xml: expected a Hadoop configuration file"):
        HadoopConf.load()


def test_the_hadoop_command(monkeypatch, tmp_path):
    monkeypatch.setenv("HADOOP_HOME", str(tmp_path / "no"))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UsageError, match="found none; set HADOOP_HOME"):
        hadoop_binary()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "hadoop").write_text("#!/bin/sh")
    (tmp_path / "bin" / "hadoop").chmod(0o755)
    monkeypatch.setenv("HADOOP_HOME", str(tmp_path))
    assert hadoop_binary() == f"{tmp_path}/bin/hadoop"
    monkeypatch.delenv("HADOOP_HOME")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin")
    assert hadoop_binary() == f"{tmp_path}/bin/hadoop"
