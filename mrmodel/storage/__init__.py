"""Where files are: local disks and HDFS behind one small interface (:mod:`.base`).

Importing this is cheap: pyarrow and the storages' own libraries load on first use.
"""

from __future__ import annotations

import json
import os
import secrets
import threading
from importlib import import_module
from typing import TYPE_CHECKING, Any

from mrmodel.errors import UsageError
from mrmodel.storage.uris import basename, is_local, join, normalise, parent, relative, split

if TYPE_CHECKING:
    from mrmodel.storage.base import Storage

__all__ = [
    "basename",
    "exists",
    "is_local",
    "join",
    "normalise",
    "parent",
    "read_bytes",
    "read_json",
    "relative",
    "split",
    "storage_for",
    "write_bytes",
    "write_json",
]

# scheme → (class, what to install when it cannot be imported)
_STORAGES = {
    "file": ("mrmodel.storage.local:LocalStorage", "pip install pyarrow"),
    "hdfs": ("mrmodel.storage.hdfs:HdfsStorage", "pip install hdfs-native"),
}
_LATER = {"s3", "s3a", "s3n"}

_open: dict[tuple[str, str], Storage] = {}
_lock = threading.Lock()


def storage_for(uri: str) -> Storage:
    """The storage that holds `uri`: one object per scheme and authority, safe among threads.

    Raises UsageError for a scheme that mrmodel does not know, or whose library is not installed.
    """
    _check_scheme(uri)
    scheme, authority, _ = split(normalise(uri))
    with _lock:
        if (scheme, authority) not in _open:
            _open[scheme, authority] = _load(scheme, uri)(authority)
        return _open[scheme, authority]


def _check_scheme(uri: str) -> None:
    scheme = split(os.fspath(uri))[0]
    if scheme not in _STORAGES:
        known = "a local path or " + ", ".join(f"{name}://" for name in sorted(_STORAGES))
        verdict = "is not supported yet" if scheme in _LATER else "is not known"
        raise UsageError(f"{uri}: {scheme}:// {verdict}; expected {known}")


def _load(scheme: str, uri: str) -> type:
    target, hint = _STORAGES[scheme]
    module, _, name = target.partition(":")
    try:
        return getattr(import_module(module), name)
    except ImportError as error:
        raise UsageError(f"{uri}: {scheme}:// needs a library ({error}): {hint}") from error


def exists(uri: str) -> bool:
    """Whether there is a file or folder at `uri`."""
    return storage_for(uri).stat(uri) is not None


def read_bytes(uri: str) -> bytes:
    """All of the file `uri`. Raises FileNotFoundError and the other errors of `Storage`."""
    with storage_for(uri).open(uri) as file:
        return file.read()


def write_bytes(uri: str, data: bytes) -> None:
    """Write the file `uri` in one atomic step: a kill leaves the old content or the new.

    Folders above are made. Raises the errors of `Storage`.
    """
    storage = storage_for(uri)
    uri = normalise(uri)
    temporary = join(parent(uri), f".{secrets.token_hex(8)}.tmp")
    try:
        with storage.create(temporary) as file:
            file.write(data)
        storage.replace(temporary, uri)
    except BaseException:
        _discard(storage, temporary)
        raise


def _discard(storage: Storage, uri: str) -> None:
    """Delete a temporary file while another error is on its way, which matters more."""
    try:
        storage.delete(uri)
    except Exception:  # noqa: BLE001
        pass


def read_json(uri: str) -> Any:
    """The JSON value in the file `uri`. Raises ValueError where it is not JSON."""
    return json.loads(read_bytes(uri))


def write_json(uri: str, value: Any) -> None:
    """Write `value` as JSON, atomically as `write_bytes` does."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    try:
        data = text.encode()
    except UnicodeEncodeError:  # a file name that is not UTF-8 has surrogates
        data = (json.dumps(value, indent=2) + "\n").encode()
    write_bytes(uri, data)


def _forget_after_fork() -> None:
    """A child must not wait for a lock that a thread of its parent held."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
