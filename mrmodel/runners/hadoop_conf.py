"""The cluster's configuration as this machine has it, and whether its ResourceManager answers."""

from __future__ import annotations

import os
import re
import shutil
import socket
from pathlib import Path
from xml.etree import ElementTree

from mrmodel.errors import ServiceError, UsageError
from mrmodel.storage.uris import hadoop_conf_dir

_FILES = ("core-site.xml", "hdfs-site.xml", "yarn-site.xml", "mapred-site.xml")
_VARIABLE = re.compile(r"\$\{([^}]+)\}")
_TIMEOUT = 5.0


class HadoopConf:
    """Properties of all *-site.xml files, ``${...}`` put in."""

    def __init__(self, properties: dict[str, str]):
        self._properties = properties

    @classmethod
    def load(cls) -> HadoopConf:
        """Raises UsageError where there is no Hadoop configuration."""
        folder = hadoop_conf_dir()
        if folder is None or not folder.is_dir():
            raise UsageError(
                "-r hadoop: expected HADOOP_HOME or HADOOP_CONF_DIR to name a Hadoop client's "
                f"configuration but received {folder or 'neither'}; set them as on any machine "
                'that submits jobs (development cluster: eval "$(scripts/cluster env)")'
            )
        properties: dict[str, str] = {}
        for name in _FILES:
            properties.update(_properties(folder / name))
        return cls(properties)

    def get(self, name: str, default: str = "") -> str:
        """The value of `name`, its variables replaced."""
        value = self._properties.get(name, default)
        for _ in range(20):  # as many levels as Hadoop allows
            replaced = _VARIABLE.sub(self._variable, value)
            if replaced == value:
                break
            value = replaced
        return value

    def resource_managers(self) -> list[tuple[str, str]]:
        """(RPC address, base URL of the pages) of each ResourceManager."""
        ids = self.get("yarn.resourcemanager.ha.rm-ids")
        if self.get("yarn.resourcemanager.ha.enabled") == "true" and ids:
            return [self._manager(f".{name.strip()}") for name in ids.split(",")]
        return [self._manager("")]

    def history_server(self) -> str:
        """The base URL of the MapReduce history server's pages."""
        name = "mapreduce.jobhistory"
        if self.get(f"{name}.http.policy") == "HTTPS_ONLY":
            return "https://" + self.get(f"{name}.webapp.https.address", "0.0.0.0:19890")
        return "http://" + self.get(f"{name}.webapp.address", "0.0.0.0:19888")

    def _manager(self, suffix: str) -> tuple[str, str]:
        name = "yarn.resourcemanager"
        host = self.get(f"{name}.hostname{suffix}", "0.0.0.0")
        rpc = self.get(f"{name}.address{suffix}", f"{host}:8032")
        if self.get("yarn.http.policy") == "HTTPS_ONLY":
            return rpc, "https://" + self.get(
                f"{name}.webapp.https.address{suffix}", f"{host}:8090"
            )
        return rpc, "http://" + self.get(f"{name}.webapp.address{suffix}", f"{host}:8088")

    def _variable(self, match: re.Match[str]) -> str:
        found = self._properties.get(match[1], os.environ.get(match[1].removeprefix("env.")))
        return found if found is not None else match[0]


def check_resource_manager(conf: HadoopConf) -> str:
    """The base URL of the pages of the first ResourceManager that answers.

    Raises ServiceError, within seconds, when none does: Hadoop's own client would try for 15
    minutes.
    """
    tried = []
    for rpc, pages in conf.resource_managers():
        host, _, port = rpc.rpartition(":")
        try:
            socket.create_connection((host, int(port)), _TIMEOUT).close()
            return pages
        except (OSError, ValueError) as error:
            tried.append(f"{rpc} ({error})")
    raise ServiceError(
        f"YARN's ResourceManager does not answer at {', '.join(tried)}: is it running, and is "
        f"HADOOP_CONF_DIR right?"
    )


def hadoop_binary() -> str:
    """The ``hadoop`` command. Raises UsageError when there is none."""
    home = os.environ.get("HADOOP_HOME", "")
    found = shutil.which("hadoop", path=f"{home}/bin" if home else None) or shutil.which("hadoop")
    if found is None:
        raise UsageError(
            "-r hadoop: expected the hadoop command in $HADOOP_HOME/bin or on PATH but found none; "
            "set HADOOP_HOME to a Hadoop client"
        )
    return found


def _properties(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise UsageError(f"{path}: expected a Hadoop configuration file: {error}") from error
    return {p.findtext("name", ""): p.findtext("value", "").strip() for p in root.iter("property")}
