"""What is known about one cluster, kept in its folder so that any later command finds it."""

import contextlib
import fcntl
import json
import os
import re
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .errors import ClusterError

REPOSITORY = Path(__file__).resolve().parents[2]
LOCK_SECONDS = 120


@dataclass
class Daemon:
    """One daemon as it was started. (pid, started) names a process for good: pids are reused."""

    name: str
    host: str
    url: str
    log: str
    pid: int = 0
    started: int = 0


@dataclass
class Cluster:
    """One cluster: its size, its ports and its daemons."""

    folder: str
    nodes: int = 0
    memory: int = 0
    vcores: int = 0
    base_port: int = 0
    dist: str = ""
    java_home: str = ""
    daemons: list[Daemon] = field(default_factory=list)

    @property
    def path(self):
        return Path(self.folder)

    @property
    def home(self):
        """HADOOP_HOME."""
        return self.path / "hadoop"

    @property
    def conf(self):
        """HADOOP_CONF_DIR."""
        return self.home / "etc" / "hadoop"

    @property
    def data(self):
        return self.path / "data"

    @property
    def logs(self):
        return self.path / "logs"

    @property
    def mark(self):
        """NAME=VALUE in the environment of every process of this cluster, and of no other."""
        return f"MRMODEL_CLUSTER_MARK={self.folder}"

    @property
    def hosts(self):
        return [f"127.0.0.{11 + i}" for i in range(self.nodes)]

    def node_folder(self, host):
        return self.data / "nodes" / host

    def save(self):
        """Write beside and rename, so that a reader never sees half a file."""
        beside = self.path / "state.json.new"
        beside.write_text(json.dumps(asdict(self), indent=1))
        beside.replace(self.path / "state.json")


def default_folder():
    named = os.environ.get("MRMODEL_CLUSTER_DIR")
    return Path(named).absolute() if named else REPOSITORY / ".cluster"


def cache_folder():
    """Where downloads lie: outside of any cluster, so that `down` never costs a download."""
    named = os.environ.get("MRMODEL_CACHE_DIR")
    if named:
        return Path(named).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mrmodel"


def load(folder):
    """The cluster in `folder`; an empty one when there is none."""
    try:
        known = json.loads((folder / "state.json").read_text())
    except FileNotFoundError:
        return Cluster(str(folder))
    except ValueError as error:
        raise ClusterError(f"{folder}/state.json is damaged ({error}); remove {folder}") from error
    known["daemons"] = [Daemon(**daemon) for daemon in known["daemons"]]
    known["folder"] = str(folder)
    return Cluster(**known)


def check_folder(folder):
    """Hadoop puts this path into lists, URIs and shell commands, and escapes it in none."""
    if re.search(r"[^\w./+@=-]", str(folder), re.ASCII):
        raise ClusterError(
            f"expected a cluster folder of plain letters, digits and ./_+@=- but received "
            f"{str(folder)!r}; set MRMODEL_CLUSTER_DIR to another"
        )


@contextlib.contextmanager
def locked(folder):
    """One `up` or `down` (or download) at a time in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as file:
        _wait_for_lock(file, folder)
        yield


def _wait_for_lock(file, folder):
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"another scripts/cluster has held {folder}/lock for {LOCK_SECONDS} s"
                ) from None
            time.sleep(0.2)
