"""URIs as text. One form for every place: ``/a/b`` for local paths, ``hdfs://authority/a/b``.

Names are never percent-encoded or decoded, so spaces, commas, braces, ``%`` and ``#`` stay what
they are; that is why urllib is not used here.
"""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path
from xml.etree import ElementTree

from mrmodel.errors import UsageError

LOCAL = "file"
# Hadoop writes file:/a and hdfs:/a where there is no authority, so for those one slash is enough
_URI = re.compile(r"^(?:([A-Za-z][A-Za-z0-9+.-]*)://([^/]*)|(file|hdfs):(?=/))(.*)$", re.DOTALL)


def split(uri: str) -> tuple[str, str, str]:
    """(scheme, authority, path) of `uri`; a plain path has the scheme ``file``."""
    match = _URI.match(uri)
    if match is None:
        return LOCAL, "", uri
    return (match[1] or match[3]).lower(), match[2] or "", match[4]


def is_local(uri: str) -> bool:
    """Whether `uri` is a path of this machine."""
    return split(os.fspath(uri))[0] == LOCAL


def normalise(uri: str | os.PathLike) -> str:
    """The one form of `uri` that mrmodel works with.

    A local path becomes absolute, without a scheme; ``hdfs:///x`` gets the authority of
    fs.defaultFS; doubled and trailing slashes go. Raises UsageError when `uri` is empty, or has no
    authority and the Hadoop configuration names none.
    """
    scheme, authority, path = split(os.fspath(uri))
    if scheme == LOCAL:
        return _local(uri, authority, path)
    if not authority:
        authority = default_authority(scheme, uri)
    return f"{scheme}://{authority}{_clean(path)}"


def _local(uri: str, authority: str, path: str) -> str:
    if authority not in ("", "localhost"):
        raise UsageError(
            f"{uri}: expected file:///PATH but received the host {authority!r}: put a / before it"
        )
    if not path:
        raise UsageError(f"expected a path or URI but received {os.fspath(uri)!r}")
    return _clean(os.path.abspath(path))


def _clean(path: str) -> str:
    """`path` from its root, without ``//``, ``.``, ``..`` and the last slash."""
    return posixpath.normpath("/" + path.lstrip("/"))


def join(uri: str, *names: str) -> str:
    """`uri` and the `names` under it."""
    return "/".join([uri.rstrip("/"), *(name.strip("/") for name in names)])


def parent(uri: str) -> str:
    """The folder that holds `uri`; a root is its own parent."""
    root, path = _root(uri)
    return root + posixpath.dirname(path.rstrip("/") or "/")


def basename(uri: str) -> str:
    """The last name of `uri`; empty for a root."""
    return posixpath.basename(_root(uri)[1].rstrip("/"))


def relative(uri: str, folder: str) -> str:
    """`uri` as seen from `folder` above it; both normalised."""
    return uri[len(folder.rstrip("/")) :].lstrip("/")


def _root(uri: str) -> tuple[str, str]:
    """(``hdfs://authority``, ``/path``); the first is empty for a plain path."""
    uri = os.fspath(uri)
    path = split(uri)[2]
    return uri[: len(uri) - len(path)], path


def hadoop_conf_dir() -> Path | None:
    """HADOOP_CONF_DIR, or etc/hadoop under HADOOP_HOME; None where neither is set."""
    if os.environ.get("HADOOP_CONF_DIR"):
        return Path(os.environ["HADOOP_CONF_DIR"])
    if os.environ.get("HADOOP_HOME"):
        return Path(os.environ["HADOOP_HOME"], "etc", "hadoop")
    return None


def hadoop_setting(name: str, default: str | None = None) -> str | None:
    """The property `name` of core-site.xml and hdfs-site.xml.

    Raises UsageError when one of the files cannot be parsed.
    """
    conf = hadoop_conf_dir()
    found = default
    for path in [conf / "core-site.xml", conf / "hdfs-site.xml"] if conf else []:
        if path.exists():
            found = _properties(path).get(name, found)
    return found


def _properties(path: Path) -> dict[str, str]:
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise UsageError(f"{path}: expected a Hadoop configuration file: {error}") from error
    return {p.findtext("name", ""): p.findtext("value", "").strip() for p in root.iter("property")}


def default_authority(scheme: str, uri: str) -> str:
    """The authority that a `uri` without one means. Raises UsageError when none is configured."""
    default = hadoop_setting("fs.defaultFS") or ""
    found, authority, _ = split(default)
    if found == scheme and authority:
        return authority
    conf = hadoop_conf_dir()
    told = f"{conf} has fs.defaultFS={default!r}" if conf else "HADOOP_CONF_DIR is not set"
    raise UsageError(
        f"{uri}: expected {scheme}://NAMENODE/PATH, or a NameNode in fs.defaultFS, but {told}"
    )
