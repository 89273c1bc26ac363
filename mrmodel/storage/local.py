"""Local disks, and whatever is mounted as one."""

from __future__ import annotations

import ctypes
import errno
import os
import secrets
import shutil
import stat as modes
from collections.abc import Callable, Iterator

import pyarrow as pa

from mrmodel.parallel import map_parallel
from mrmodel.storage.base import Entry
from mrmodel.storage.uris import normalise

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
# what a kernel, C library or file system says that has no exclusive rename
_NO_SUCH_CALL = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM}


class LocalStorage:
    """Files of this machine; see `Storage` for what each method promises."""

    scheme = "file"

    def __init__(self, authority: str = ""):
        pass

    def stat(self, uri: str) -> Entry | None:
        path = normalise(uri)
        try:
            return _entry(path, os.stat(path))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def ls(self, uri: str, recursive: bool = False) -> list[Entry]:
        found = _walk(normalise(uri), recursive, frozenset())
        return sorted(found, key=lambda entry: entry.uri)

    def open(self, uri: str) -> pa.NativeFile:
        path = normalise(uri)
        if os.path.isdir(path):
            raise _os_error(errno.EISDIR, path)
        return _native(path, "rb")

    def create(self, uri: str) -> pa.NativeFile:
        path = normalise(uri)
        _make_folders(os.path.dirname(path))
        # not truncated in place: `copy` may have given this inode other names
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
        return _native(path, "wb")

    def mkdir(self, uri: str) -> None:
        os.makedirs(normalise(uri), exist_ok=True)

    def rename(self, source: str, target: str) -> None:
        rename_exclusively(normalise(source), normalise(target))

    def replace(self, source: str, target: str) -> None:
        os.replace(normalise(source), normalise(target))

    def delete(self, uri: str) -> None:
        path = normalise(uri)
        while os.path.lexists(path):
            try:
                _remove(path)
            except FileNotFoundError:  # another process is deleting it too: see what is left
                continue

    def copy(self, source: str, target: str) -> None:
        source, target = os.path.realpath(normalise(source)), normalise(target)
        if os.path.isdir(source):
            raise _os_error(errno.EISDIR, source)
        _make_folders(os.path.dirname(target))
        temporary = os.path.join(os.path.dirname(target), f".{secrets.token_hex(8)}.tmp")
        try:
            _link_or_copy(source, temporary)
            os.replace(temporary, target)
        finally:
            # still there after a failure, and when both names were one inode already
            if os.path.lexists(temporary):
                os.unlink(temporary)


def _os_error(code: int, *paths: str) -> OSError:
    """The error that Python raises for `code`: FileExistsError for EEXIST, and so on."""
    return OSError(code, os.strerror(code), paths[0], None, *paths[1:])


def _entry(path: str, info: os.stat_result) -> Entry:
    is_dir = modes.S_ISDIR(info.st_mode)
    return Entry(path, 0 if is_dir else info.st_size, info.st_mtime, is_dir)


def _walk(folder: str, recursive: bool, above: frozenset) -> Iterator[Entry]:
    """Entries under `folder`; `above` holds the folders on the way, so that links cannot loop."""
    info = os.stat(folder)
    above = above | {(info.st_dev, info.st_ino)}
    with os.scandir(folder) as items:
        for item in items:
            try:
                info = os.stat(item.path)
            except FileNotFoundError:
                if item.is_symlink():  # silence would lose its rows
                    raise FileNotFoundError(
                        errno.ENOENT, "a link to nothing; mend or remove it", item.path
                    ) from None
                continue  # deleted since it was listed
            yield _entry(item.path, info)
            inside = recursive and modes.S_ISDIR(info.st_mode)
            if inside and (info.st_dev, info.st_ino) not in above:
                yield from _walk(item.path, recursive, above)


def _make_folders(folder: str) -> None:
    try:
        os.makedirs(folder, exist_ok=True)
    except FileExistsError:  # makedirs' word for a file in the way
        raise _os_error(errno.ENOTDIR, folder) from None


def _native(path: str, mode: str) -> pa.NativeFile:
    if os.path.isdir(path):
        raise _os_error(errno.EISDIR, path)
    try:
        path.encode()
    except UnicodeEncodeError:  # pyarrow cannot spell names that are not UTF-8
        return pa.PythonFile(open(path, mode), mode[0])
    try:
        return pa.OSFile(path, mode)
    except OSError as error:  # pyarrow's own words for it are long and name no file apart
        raise (_os_error(error.errno, path) if error.errno else error) from None


def _remove(path: str) -> None:
    """What `path` names; of folders, those of one depth at once. There are kernels that wait for
    milliseconds with each, and a network's file system does."""
    if not os.path.isdir(path) or os.path.islink(path):
        os.unlink(path)
        return
    levels = [[path]]
    while deeper := [inner for folder in levels[-1] for inner in _folders_in(folder)]:
        levels.append(deeper)
    for folders in reversed(levels):
        map_parallel(shutil.rmtree, folders)


def _folders_in(folder: str) -> list[str]:
    with os.scandir(folder) as items:
        return [item.path for item in items if item.is_dir(follow_symlinks=False)]


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:  # other device, other owner, too many links, no links here
        shutil.copy2(source, target)


def rename_exclusively(source: str, target: str) -> None:
    """Rename where nothing is: of many at once, one wins and the others get FileExistsError.

    Raises FileNotFoundError, FileExistsError and os.rename's other errors.
    """
    try:
        code = _renameat2(source, target)
    except AttributeError:  # a C library without it
        code = errno.ENOSYS
    if code in _NO_SUCH_CALL:
        _rename_by_claim(source, target)
    elif code:
        raise _os_error(code, source, target)


def _renameat2(source: str, target: str) -> int:
    """0, or the errno of Linux's renameat2(2) with RENAME_NOREPLACE."""
    call: Callable[..., int] = ctypes.CDLL(None, use_errno=True).renameat2
    paths = os.fsencode(source), os.fsencode(target)
    failed = call(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], ctypes.c_uint(_RENAME_NOREPLACE))
    return ctypes.get_errno() if failed else 0


def _rename_by_claim(source: str, target: str) -> None:
    """The same with what every POSIX file system has: link(2) and mkdir(2) are exclusive.

    For folders the target stands empty for a moment, since rename(2) goes over an empty folder.
    """
    if not os.path.isdir(source) or os.path.islink(source):
        os.link(source, target, follow_symlinks=False)
        os.unlink(source)
        return
    os.mkdir(target)
    try:
        os.rename(source, target)
    except OSError:
        os.rmdir(target)
        raise
