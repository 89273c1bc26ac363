"""HDFS by hdfs-native: a client in Rust, so that tasks need no JVM and no native Hadoop."""

from __future__ import annotations

import errno
import secrets
import threading

import pyarrow as pa
from hdfs_native import Client, WriteOptions

from mrmodel.storage.base import Entry
from mrmodel.storage.hdfs_calls import Caller
from mrmodel.storage.hdfs_errors import os_error, translate
from mrmodel.storage.hdfs_files import Reader, Writer
from mrmodel.storage.uris import hadoop_setting, join, normalise, parent, split

_PIECE = 8 << 20
# The library doubles its pauses between tries, up to 15 s, and gives up after 15 tries. Shorter
# ones find a NameNode that is back sooner; when to give up is for `Caller` to say.
_SETTINGS = {
    "dfs.client.failover.sleep.max.millis": "3000",
    "dfs.client.failover.max.attempts": "60",
}


class HdfsStorage:
    """One HDFS; see `Storage` for what each method promises.

    The user is HADOOP_USER_NAME, else that of the Kerberos ticket or of the process. Safe among
    threads; not across fork() once used (`Caller` says so rather than hang).
    """

    scheme = "hdfs"

    def __init__(self, authority: str):
        self._root = f"hdfs://{authority}"
        self._address = _with_port(authority)
        self._call = Caller(_host_and_port(self._address))
        self._lock = threading.Lock()
        self._made: Client | None = None

    def _client(self) -> Client:
        with self._lock:
            if self._made is None:
                try:
                    self._made = Client(f"hdfs://{self._address}", _SETTINGS)
                except Exception as error:
                    raise translate(error, self._root) from error
            return self._made

    def _do(self, uri: str, method: str, *args: object):
        """Call `method` of the client; `uri` is what it is about."""
        return self._call(uri, getattr(self._client(), method), *args)

    def stat(self, uri: str) -> Entry | None:
        uri = normalise(uri)
        try:
            return _entry(uri, self._do(uri, "get_file_info", split(uri)[2]))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def ls(self, uri: str, recursive: bool = False) -> list[Entry]:
        uri = normalise(uri)
        root, path = uri[: len(self._root)], split(uri)[2]
        found = self._call(uri, lambda: list(self._client().list_status(path, recursive)))
        # listing a file gives the file itself
        if len(found) == 1 and found[0].path == path:
            raise os_error(errno.ENOTDIR, uri)
        entries = [_entry(root + status.path, status) for status in found]
        return sorted(entries, key=lambda entry: entry.uri)

    def open(self, uri: str) -> pa.NativeFile:
        uri = normalise(uri)
        try:
            file = self._do(uri, "read", split(uri)[2])
        except FileNotFoundError as error:
            # the NameNode calls a folder a file that does not exist
            entry = self.stat(uri)
            raise (os_error(errno.EISDIR, uri) if entry and entry.is_dir else error) from None
        return pa.PythonFile(Reader(uri, file, self._call), mode="r")

    def create(self, uri: str) -> pa.NativeFile:
        uri = normalise(uri)
        options = WriteOptions(overwrite=True, create_parent=True, permission=_mode(0o666))
        try:
            writer = Writer(
                uri, lambda: self._do(uri, "create", split(uri)[2], options), self._call
            )
        except FileExistsError:
            raise os_error(errno.EISDIR, uri) from None
        return pa.PythonFile(writer, mode="w")

    def mkdir(self, uri: str) -> None:
        uri = normalise(uri)
        self._do(uri, "mkdirs", split(uri)[2], _mode(0o777), True)

    def rename(self, source: str, target: str) -> None:
        self._rename(normalise(source), normalise(target), False)

    def replace(self, source: str, target: str) -> None:
        self._rename(normalise(source), normalise(target), True)

    def _rename(self, source: str, target: str, over: bool) -> None:
        if split(target)[1] != split(source)[1]:
            raise os_error(errno.EXDEV, target)
        about = f"{source} -> {target}"
        self._do(about, "rename", split(source)[2], split(target)[2], over)

    def delete(self, uri: str) -> None:
        uri = normalise(uri)
        try:
            self._do(uri, "delete", split(uri)[2], True)
        except (FileNotFoundError, NotADirectoryError):
            pass

    def copy(self, source: str, target: str) -> None:
        target = normalise(target)
        temporary = join(parent(target), f".{secrets.token_hex(8)}.tmp")
        try:
            with self.open(source) as reader, self.create(temporary) as writer:
                while piece := reader.read(_PIECE):
                    writer.write(piece)
            self.replace(temporary, target)
        except BaseException:
            self._discard(temporary)
            raise

    def _discard(self, uri: str) -> None:
        """Delete while another error is on its way, which matters more."""
        try:
            self.delete(uri)
        except Exception:  # noqa: BLE001
            pass


def _entry(uri: str, status) -> Entry:
    block_size = None if status.isdir else status.blocksize
    mtime = status.modification_time / 1000
    return Entry(uri, 0 if status.isdir else status.length, mtime, status.isdir, block_size)


def _with_port(authority: str) -> str:
    """hdfs-native takes a host without a port for a name service, Hadoop for one with port 8020."""
    if ":" in authority or hadoop_setting(f"dfs.ha.namenodes.{authority}"):
        return authority
    return f"{authority}:8020"


def _host_and_port(address: str) -> tuple[str, int] | None:
    host, _, port = address.rpartition(":")
    return (host.strip("[]"), int(port)) if port.isdigit() else None


def _mode(mode: int) -> int:
    """`mode` less the umask of the Hadoop configuration, as Hadoop's own client applies it."""
    umask = hadoop_setting("fs.permissions.umask-mode") or "022"
    try:
        return mode & ~int(umask, 8)
    except ValueError:  # the symbolic form, u=rwx,g=rx,o=
        return mode & ~0o022
