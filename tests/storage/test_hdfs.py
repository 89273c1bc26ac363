"""HDFS where there is none: what a person is told, and how soon. The rest is in tests/hadoop."""

import socket
import time

import pytest

from mrmodel import storage as st
from mrmodel.errors import MrmodelError, ServiceError, UsageError
from mrmodel.storage import hdfs, hdfs_calls, hdfs_files
from mrmodel.storage.hdfs_calls import Caller
from mrmodel.storage.hdfs_errors import translate
from mrmodel.storage.hdfs_files import Writer

URI = "hdfs://nn:8020/a"


@pytest.fixture
def silent_server():
    """Takes connections and says nothing, as a NameNode does that has stopped."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def test_nobody_listens(monkeypatch):
    monkeypatch.setattr(hdfs_calls, "REFUSED_SECONDS", 0.1)
    uri = f"hdfs://127.0.0.1:{free_port()}"
    start = time.monotonic()
    with pytest.raises(ServiceError, match=rf"{uri} does not answer \(connection refused\): is"):
        st.exists(f"{uri}/a/b")
    assert time.monotonic() - start < 5


def test_no_such_host():
    with pytest.raises(ServiceError, match=r"hdfs://no-such-host\.invalid does not answer"):
        st.exists("hdfs://no-such-host.invalid/a")


def test_a_server_that_says_nothing(monkeypatch, silent_server):
    monkeypatch.setattr(hdfs_calls, "FIRST_SECONDS", 0.5)
    with pytest.raises(ServiceError, match="did not answer within 0 s|did not answer within 1 s"):
        st.exists(f"hdfs://127.0.0.1:{silent_server}/a")


def test_an_address_that_is_none():
    with pytest.raises(UsageError, match="expected hdfs://HOST:PORT/PATH"):
        st.exists("hdfs://a b/x")


@pytest.mark.parametrize(
    ("authority", "address"), [("nn", "nn:8020"), ("nn:9000", "nn:9000"), ("ha", "ha")]
)
def test_a_host_without_a_port(authority, address, tmp_path, monkeypatch):
    site = "<configuration><property><name>dfs.ha.namenodes.ha</name><value>a,b</value>"
    (tmp_path / "hdfs-site.xml").write_text(site + "</property></configuration>")
    monkeypatch.setenv("HADOOP_CONF_DIR", str(tmp_path))
    assert hdfs._with_port(authority) == address


def rpc(exception, message):
    return RuntimeError(f'RPCError("{exception}", "{message}\\n\\tat org.apache.hadoop.X(Y:1)")')


HDFS = "org.apache.hadoop.hdfs"
DENIED = 'Permission denied: user=a, access=WRITE, inode=\\"/\\":root:supergroup:drwxr-xr-x'


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (FileNotFoundError("/a"), FileNotFoundError, "No such file"),
        (FileExistsError("/a"), FileExistsError, URI),
        (IsADirectoryError("/a"), IsADirectoryError, URI),
        (rpc("org.apache.hadoop.security.AccessControlException", DENIED), PermissionError, "er=a"),
        (
            rpc("org.apache.hadoop.security.AccessControlException", "/f (is not a directory)"),
            NotADirectoryError,
            "/f",
        ),
        (rpc("org.apache.hadoop.fs.ParentNotDirectoryException", "x"), NotADirectoryError, URI),
        (rpc("java.io.IOException", "a and b must both be directories"), FileExistsError, URI),
        (rpc(f"{HDFS}.protocol.FSLimitException$PathComponentTooLongException", "x"), OSError, "x"),
        (rpc(f"{HDFS}.protocol.DSQuotaExceededException", "The quota is 1"), OSError, "The quota"),
        (rpc(f"{HDFS}.server.namenode.SafeModeException", "x"), ServiceError, "safe mode"),
        (rpc("org.apache.hadoop.ipc.StandbyException", "x"), ServiceError, "no active NameNode"),
        (rpc("java.io.IOException", "/a could only be written to 0 of"), ServiceError, "-report"),
        (rpc("java.io.IOException", "something new"), OSError, "IOException: something new"),
        (RuntimeError('DataTransferError("All failed")'), ServiceError, "a DataNode"),
        (RuntimeError("NoSASLMechanism"), ServiceError, "hadoop.security.authentication"),
        (OSError("Connection reset by peer (os error 104)"), ServiceError, "connection reset"),
        (NotImplementedError("File encryption"), ServiceError, "encryption zones"),
        (RuntimeError("ChecksumError"), OSError, "ChecksumError"),
        (UsageError("mine"), UsageError, "mine"),
    ],
)
def test_errors_of_the_library(error, kind, said):
    translated = translate(error, URI)
    assert isinstance(translated, kind)
    assert said in str(translated)
    assert "\n" not in str(translated) and "\\n" not in str(translated)
    assert URI in str(translated) or isinstance(translated, MrmodelError)


class Library:
    """The files that hdfs-native would write; the first `failures` of them fail in `method`."""

    def __init__(self, failures, method, error='DataTransferError("gone")'):
        self.failures, self.method, self.error = failures, method, error
        self.files = []

    def create(self):
        self.files.append(LibraryFile(self, len(self.files) < self.failures))
        return self.files[-1]


class LibraryFile:
    def __init__(self, library, fails):
        self._library, self._fails = library, fails
        self.data, self.whole = b"", False

    def write(self, data):
        self._fail("write")
        self.data += data

    def close(self):
        self._fail("close")
        self.whole = True

    def _fail(self, method):
        if self._fails and self._library.method == method:
            raise RuntimeError(self._library.error)


@pytest.fixture
def writer(monkeypatch):
    def make(library):
        monkeypatch.setattr(hdfs_files, "_PAUSES", (0.0, 0.0, 0.0))
        return Writer(URI, library.create, Caller())

    return make


@pytest.mark.parametrize("method", ["write", "close"])
@pytest.mark.parametrize("size", [1, 9 << 20])
def test_a_file_is_written_anew_when_a_data_node_fails(writer, method, size):
    library = Library(3, method)
    with writer(library) as file:
        for i in range(3):
            file.write(bytes([i]) * (size // 3 + 1))
    *failed, last = library.files
    assert len(failed) == 3 and not any(f.whole for f in failed)
    assert last.whole and last.data == b"".join(bytes([i]) * (size // 3 + 1) for i in range(3))


def test_a_long_file_is_not_kept_to_be_written_anew(writer):
    library = Library(1, "close")
    file = writer(library)
    file.write(b"x" * (17 << 20))
    with pytest.raises(ServiceError, match="DataNode"):
        file.close()
    assert len(library.files) == 1


def test_what_is_not_a_data_nodes_fault_is_not_tried_again(writer):
    library = Library(1, "write", rpc("x.AccessControlException", "no").args[0])
    file = writer(library)
    with pytest.raises(PermissionError):
        file.write(b"x" * (5 << 20))
    file.close()
    assert len(library.files) == 1 and not library.files[0].whole


def test_data_nodes_that_all_fail(writer):
    library = Library(9, "write")
    file = writer(library)
    with pytest.raises(ServiceError, match=f"{URI}: a DataNode .* does not answer"):
        file.write(b"x" * (5 << 20))
    file.close()
    assert len(library.files) == 4
