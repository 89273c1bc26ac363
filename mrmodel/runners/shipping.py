"""What tasks on a cluster need beside their data: put on HDFS once, fetched by each node once.

Files lie under ``/user/NAME/.mrmodel/cache/SHA256/``, so a second job with the same model uploads
nothing, and YARN's distributed cache finds on the nodes what the first one left there.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mrmodel import storage
from mrmodel.errors import UsageError
from mrmodel.models.code import package_data
from mrmodel.models.weights import resolve_weights
from mrmodel.users import cache_folder

_CHUNK = 8 << 20
_ARCHIVES = (".tar.gz", ".tgz", ".zip")
# that means nothing else in Hadoop's list of files
_PLAIN = re.compile(r"[\w:/.@+~-]+", re.ASCII)
ROUND_WEIGHTS = "round.safetensors"


@dataclass(frozen=True)
class ShippedWeights:
    """Of one model: `links` are its files (name in the weights folder → NAME in the task's)."""

    links: dict[str, str] = field(default_factory=dict)
    is_folder: bool = False


@dataclass(frozen=True)
class Shipment:
    """`files`: ``URI#NAME`` for each file that tasks find as NAME in their folder; `weights`: those
    among them that are weights, of each model. `env`: ``URI#env`` of the archive that YARN unpacks
    into the folder ``env``. `compiled`: name → NAME in the task's folder."""

    files: tuple[str, ...]
    weights: tuple[ShippedWeights, ...]
    env: str | None = None
    compiled: dict[str, str] = field(default_factory=dict)


def ship(
    code: bytes | None,
    weights: Sequence[str | None],
    env: str | None,
    user: str,
    defaults: str,
    compiled: Mapping[str, str] | None = None,
) -> Shipment:
    """Put mrmodel itself, the user's `code` (a zip), the `weights` of each model (a local path, or
    None), `env` (an archive, a local path or a URI) and `compiled` (name → local path) on HDFS.

    `defaults` is the URI of the file system, ``hdfs://NAMENODE``. Raises UsageError for an
    archive that is missing or of a kind that YARN does not unpack.
    """
    cache = storage.join(defaults, "user", user, ".mrmodel", "cache")
    own = package_data(cache_folder() / "package")
    files = [f"{_put_bytes(cache, own)}#mrmodel.zip"]
    if code:
        files.append(f"{_put_bytes(cache, code)}#code.zip")
    names: dict[str, str] = {}  # models may share a file
    shipped = tuple(_put_weights(cache, path, names) for path in weights)
    files += [f"{uri}#{name}" for uri, name in names.items()]
    links = {name: f"compiled-{name}" for name in compiled or {}}
    files += [f"{_put_file(cache, Path((compiled or {})[n]))}#{link}" for n, link in links.items()]
    return Shipment(tuple(files), shipped, _put_env(cache, env) if env else None, links)


def _put_weights(cache: str, weights: str | None, names: dict[str, str]) -> ShippedWeights:
    """Put one model's `weights` on HDFS, and into `names` (URI → name in the task's folder)."""
    if weights is None:
        return ShippedWeights()
    root, links = Path(weights), {}
    for name, _ in resolve_weights(root).files:
        uri = _put_file(cache, root / name if root.is_dir() else root)
        links[name] = names.setdefault(uri, f"weights-{len(names):04d}")
    return ShippedWeights(links, root.is_dir())


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
