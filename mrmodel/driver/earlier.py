"""How an earlier run cut the input: a resumed one keeps to that, whatever it would do by itself.

Otherwise what one worker has begun could not be gone on with by two: the shards would be others,
and none of them finished.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from mrmodel import storage
from mrmodel.driver.target import Target, difference_to_output
from mrmodel.shards.coverage import check_coverage
from mrmodel.shards.plan import Plan, Source
from mrmodel.shards.shard import Piece, Shard
from mrmodel.specs import ModelSpec

_NAME = "shards.json"
_FORM = "form.json"


def earlier_shards(target: Target, identity: dict[str, str], plan: Plan) -> tuple[Shard, ...]:
    """The shards of the run that is resumed, those without a file that has changed since; together
    they hold all of each of their files. Empty where there was no such run."""
    found = _in_staging(target, identity) or _in_output(target, identity)
    pieces: dict[str, list[Piece]] = defaultdict(list)
    for shard in found:
        for piece in shard.pieces:
            pieces[piece.uri].append(piece)
    sources = {source.uri: source for source in plan.sources}
    return _without(found, {u for u, of in pieces.items() if not _are_all_of(sources.get(u), of)})


def earlier_size(target: Target) -> int | None:
    """The shard size of the run that is resumed, by which Hadoop cuts again as it did."""
    uri = target.staging.folder(_NAME)
    found = storage.read_json(uri) if storage.exists(uri) else (target.run or {}).get("cut", {})
    return found.get("shard_size")


def write_shards(target: Target, shards: Sequence[Shard], shard_size: int) -> None:
    """Note down the cut for the run that may have to go on with it."""
    told = {"shard_size": shard_size, "shards": [shard.to_dict() for shard in shards]}
    storage.write_json(target.staging.folder(_NAME), told)


def earlier_form(target: Target, spec: ModelSpec) -> dict[str, Any] | None:
    """What --dtype auto came to in the run that is resumed, with the same tolerance: measured
    again it could be something else, and no finished shard would count."""
    uri = target.staging.folder(_FORM)
    found = storage.read_json(uri) if storage.exists(uri) else None
    found = found or (target.run or {}).get("model", {}).get("form")
    return found if found and found["tolerance"] == spec.tolerance else None


def write_form(target: Target, form: dict[str, Any] | None) -> None:
    """Note down what --dtype auto came to, where it was asked for."""
    if form:
        storage.write_json(target.staging.folder(_FORM), form)


def _in_staging(target: Target, identity: dict[str, str]) -> list[Shard]:
    uri = target.staging.folder(_NAME)
    if target.staging.read_identity() != identity or not storage.exists(uri):
        return []
    return [Shard.from_dict(shard) for shard in storage.read_json(uri)["shards"]]


def _in_output(target: Target, identity: dict[str, str]) -> list[Shard]:
    if target.run is None or difference_to_output(target, identity):
        return []
    records = target.run.get("shards", [])
    return [Shard.from_dict({**r, "rows": r["rows"]["in"]}) for r in records]


def _are_all_of(source: Source | None, pieces: list[Piece]) -> bool:
    if source is None or any(piece.mtime != source.mtime for piece in pieces):
        return False
    return not check_coverage([source], pieces)


def _without(shards: Sequence[Shard], files: set[str]) -> tuple[Shard, ...]:
    """`shards` less those that touch one of `files`, or a file of which a shard is left out."""
    while files:
        touching = [s for s in shards if not files.isdisjoint(_files_of(s))]
        shards = [s for s in shards if files.isdisjoint(_files_of(s))]
        files = {uri for shard in touching for uri in _files_of(shard)}
    return tuple(shards)


def _files_of(shard: Shard) -> list[str]:
    return [piece.uri for piece in shard.pieces]
