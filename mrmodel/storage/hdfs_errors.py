"""What hdfs-native raises, as the errors that `Storage` promises. The one place that knows.

The library has Python's own types for a few errors and RuntimeError, with Rust's debug text, for
the rest: ``RPCError("org.apache.hadoop.security.AccessControlException", "Permission denied: …")``.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable

from mrmodel.errors import MrmodelError, ServiceError, UsageError

_RPC = re.compile(r'^(?:Fatal)?RPCError\("([\w.$]+)", "(.*)"\)$', re.DOTALL)
_OS_CODE = re.compile(r"\(os error (\d+)\)")

# exceptions of the NameNode → the errno that says the same
_CODES = {
    "AccessControlException": errno.EACCES,
    "TraverseAccessControlException": errno.EACCES,
    "FileNotFoundException": errno.ENOENT,
    "FileAlreadyExistsException": errno.EEXIST,
    "AlreadyBeingCreatedException": errno.EEXIST,
    "ParentNotDirectoryException": errno.ENOTDIR,
    "PathIsNotDirectoryException": errno.ENOTDIR,
    "PathIsNotEmptyDirectoryException": errno.ENOTEMPTY,
    "InvalidPathException": errno.EINVAL,
    "PathComponentTooLongException": errno.ENAMETOOLONG,
    "NSQuotaExceededException": errno.EDQUOT,
    "DSQuotaExceededException": errno.EDQUOT,
}
_BUSY = {
    "SafeModeException": "is in safe mode and takes no writes: wait until its DataNodes have "
    "reported, or see `hdfs dfsadmin -safemode get`",
    "RetriableException": "is starting up or in safe mode: try again in a minute",
    "StandbyException": "has no active NameNode: see `hdfs haadmin -getAllServiceState`",
    "InvalidToken": "refuses the delegation token: it expired or is of another cluster; log in "
    "again (kinit) and submit anew",
}
# what the Rust error is called → what is wrong and what to do
_SERVICE = {
    "DataTransferError": "a DataNode that it lies on, or goes to, does not answer: see "
    "`hdfs dfsadmin -report`",
    "OperationFailed": "no DataNode has taken the data: see `hdfs dfsadmin -report`",
    "BlocksNotFound": "its blocks are missing: see `hdfs fsck PATH -files -blocks -locations`",
    "GSSAPIError": "Kerberos refused: is there a ticket (klist; kinit)?",
    "SASLError": "authentication failed: is there a ticket (klist; kinit)?",
    "NoSASLMechanism": "authentication failed: is hadoop.security.authentication right in "
    "HADOOP_CONF_DIR?",
    "InvalidArgument": "it names no NameNode that HADOOP_CONF_DIR knows",
    "InvalidRPCResponse": "what answers there is not a NameNode's RPC port: is the port right?",
    "UnsupportedFeature": "hdfs-native cannot do that (encryption zones are not supported)",
}


def unreachable(uri: str, reason: str) -> ServiceError:
    """`uri`'s NameNode does not answer, because of `reason`."""
    where = re.sub(r"^(\w+://[^/]*).*$", r"\1", uri, flags=re.DOTALL)
    conf = os.environ.get("HADOOP_CONF_DIR", "not set")
    return ServiceError(
        f"HDFS at {where} does not answer ({reason}): is the NameNode running, and is "
        f"HADOOP_CONF_DIR right ({conf})?"
    )


def blames_data_node(error: Exception) -> bool:
    """Whether `error` is that a DataNode failed, so that another may do."""
    return getattr(error, "data_node", False)


def _data_node_error(uri: str, name: str, reason: str) -> ServiceError:
    error = ServiceError(f"{uri}: {_SERVICE[name]} ({reason})")
    error.data_node = True
    return error


def stuck(uri: str, seconds: float) -> ServiceError:
    """A call about `uri` did not end, though the NameNode takes connections."""
    return ServiceError(
        f"{uri}: HDFS did not answer within {seconds:.0f} s: are its NameNode and DataNodes well "
        "(`hdfs dfsadmin -report`)?"
    )


def translate(
    error: BaseException, uri: str, name_node_up: Callable[[], bool] = lambda: False
) -> Exception:
    """The error to raise in place of `error`, which hdfs-native raised about `uri`.

    `name_node_up` is asked when a connection broke: if it is up, a DataNode's did.
    """
    text = str(error)
    if isinstance(error, MrmodelError):
        return error
    if isinstance(error, UnicodeEncodeError):
        return os_error(errno.EILSEQ, uri, "HDFS has only names that are UTF-8")
    for kind, code in (
        (FileNotFoundError, errno.ENOENT),
        (FileExistsError, errno.EEXIST),
        (IsADirectoryError, errno.EISDIR),
    ):
        if isinstance(error, kind):
            return os_error(code, uri, _first_line(text) if " " in text else "")
    if isinstance(error, OSError):
        return _from_io_error(text, uri, name_node_up)
    if isinstance(error, NotImplementedError):
        return ServiceError(f"{uri}: {_SERVICE['UnsupportedFeature']}: {text}")
    if text.startswith("IOError("):
        return _from_io_error(text, uri, name_node_up)
    return _from_debug_text(text, uri)


def os_error(code: int, uri: str, why: str = "") -> OSError:
    """Python's error for `code`: FileExistsError for EEXIST, and so on."""
    return OSError(code, why or os.strerror(code), uri)


def _from_io_error(text: str, uri: str, name_node_up: Callable[[], bool]) -> Exception:
    code = _OS_CODE.search(text)
    reason = os.strerror(int(code[1])).lower() if code else _first_line(text)
    if name_node_up():
        return _data_node_error(uri, "DataTransferError", reason)
    return unreachable(uri, reason)


def _from_debug_text(text: str, uri: str) -> Exception:
    rpc = _RPC.match(text)
    if rpc:
        return _from_name_node(rpc[1].rpartition(".")[2].rpartition("$")[2], rpc[2], uri)
    name = re.match(r"\w*", text)[0]
    if name == "UrlParseError":
        return UsageError(f"{uri}: expected hdfs://HOST:PORT/PATH: {text}")
    if name in ("DataTransferError", "OperationFailed"):
        return _data_node_error(uri, name, _first_line(text))
    if name in _SERVICE:
        return ServiceError(f"{uri}: {_SERVICE[name]} ({_first_line(text)})")
    return os_error(errno.EIO, uri, _first_line(text))


def _from_name_node(exception: str, message: str, uri: str) -> Exception:
    message = _first_line(message)
    if "could only be written to" in message or "could only be replicated to" in message:
        return _data_node_error(uri, "OperationFailed", message)
    if exception in _BUSY:
        return ServiceError(f"{uri}: HDFS {_BUSY[exception]}")
    code = _CODES.get(exception, errno.EIO)
    # rename, before it looks whether it may overwrite: a folder onto a file or the reverse
    if "must both be directories" in message:
        code = errno.EEXIST
    # the NameNode says so when a name on the way is a file, to those who are not its superuser
    if code == errno.EACCES and "is not a directory" in message.lower():
        code = errno.ENOTDIR
    return os_error(code, uri, message if code != errno.EIO else f"{exception}: {message}")


def _first_line(text: str) -> str:
    """`text` without the Java stack trace, whose line breaks Rust writes as ``\\n``; not long."""
    line = re.split(r"\\n|\n", text, maxsplit=1)[0].replace('\\"', '"').strip()
    return line if len(line) <= 300 else line[:300] + "…"
