"""What tasks on a cluster need beside their data: put on HDFS once, fetched by each node once.

Files lie under ``/user/NAME/.mrmodel/cache/SHA256/``, so a second job with the same model uploads
nothing, and YARN's distributed cache finds on the nodes what the first one left there.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from mrmodel import storage
from mrmodel.errors import UsageError
from mrmodel.models.code import package_zip
from mrmodel.models.weights import resolve_weights

_CHUNK = 8 << 20
_ARCHIVES = (".tar.gz", ".tgz", ".zip")
# that means nothing else in Hadoop's list of files
_PLAIN = re.compile(r"[\w:/.@+~-]+", re.ASCII)
ROUND_WEIGHTS = "round.safetensors"


@dataclass(frozen=True)
class Shipment:
    """`files`: ``URI#NAME`` for each file that tasks find as NAME in their folder; `links`: the
    names of the weights among them (name in the weights folder → NAME). `env`: ``URI#env`` of
    the archive that YARN unpacks into the folder ``env``."""

    files: tuple[str, ...]
    links: dict[str, str]
    weights_is_folder: bool
    env: str | None = None


def ship(
    code: bytes | None, weights: str | None, env: str | None, user: str, defaults: str
) -> Shipment:
    """Put mrmodel itself, the user's `code` (a zip), `weights` (a local path) and `env` (an
    archive, a local path or a URI) on HDFS.

    `defaults` is the URI of the file system, ``hdfs://NAMENODE``. Raises UsageError for an
    archive that is missing or of a kind that YARN does not unpack.
    """
    cache = storage.join(defaults, "user", user, ".mrmodel", "cache")
    files = [f"{_put_bytes(cache, package_zip().data)}#mrmodel.zip"]
    if code:
        files.append(f"{_put_bytes(cache, code)}#code.zip")
    links: dict[str, str] = {}
    is_folder = bool(weights) and Path(weights).is_dir()
    if weights:
        root = Path(weights)
        for index, (name, _) in enumerate(resolve_weights(root).files):
            links[name] = f"weights-{index:04d}"
            path = root / name if is_folder else root
            files.append(f"{_put_file(cache, path)}#{links[name]}")
    return Shipment(tuple(files), links, is_folder, _put_env(cache, env) if env else None)


def ship_round(uri: str | None) -> str | None:
    """``URI#NAME`` for the weights of a round, `uri`, which each node then fetches once, whatever
    the number of its tasks; None where there are none, or its name cannot stand in a list: tasks
    read it themselves then."""
    return f"{uri}#{ROUND_WEIGHTS}" if uri and _PLAIN.fullmatch(uri) else None


def _put_env(cache: str, env: str) -> str:
    ending = next((end for end in _ARCHIVES if env.endswith(end)), None)
    if ending is None or not storage.exists(env):
        wrong = "it does not exist" if ending else f"received {env}"
        raise UsageError(f"--env {env}: expected an archive ({', '.join(_ARCHIVES)}): {wrong}")
    if not storage.is_local(env):
        return f"{storage.normalise(env)}#env"
    # YARN goes by the ending
    return f"{_put_file(cache, Path(storage.normalise(env)), f'env{ending}')}#env"


def _put_bytes(cache: str, data: bytes) -> str:
    uri = storage.join(cache, hashlib.sha256(data).hexdigest(), "data")
    if not storage.exists(uri):
        storage.write_bytes(uri, data)
    return uri


def _put_file(cache: str, path: Path, name: str = "data") -> str:
    uri = storage.join(cache, _sha256(path), name)
    if storage.exists(uri):
        return uri
    # under another name until it is whole: another job may look for it at this moment
    temporary = f"{uri}.{os.getpid()}-{secrets.token_hex(4)}"
    store = storage.storage_for(uri)
    with path.open("rb") as source, store.create(temporary) as target:
        while chunk := source.read(_CHUNK):
            target.write(chunk)
    try:
        store.rename(temporary, uri)
    except FileExistsError:
        store.delete(temporary)
    return uri


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
