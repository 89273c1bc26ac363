"""HDFS where there is none: what a person is told, and how soon. The rest is in tests/hadoop."""

import socket
import time

import pytest

from mrmodel import storage as st
from mrmodel.errors import MrmodelError, ServiceError, UsageError
from mrmodel.storage import hdfs, hdfs_calls
from mrmodel.storage.hdfs_errors import translate

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
        (RuntimeError('DataTransferError("All failed")'), ServiceError, "DataNodes"),
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
