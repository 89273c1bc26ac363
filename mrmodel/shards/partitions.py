"""Hive-style partitions: ``key=value`` folders become columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from mrmodel.errors import InputError, UsageError
from mrmodel.storage import basename, parent

if TYPE_CHECKING:
    from mrmodel.shards.listing import InputFile

HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"
INT64, STRING = "int64", "string"


def partition_root(folder: str) -> str:
    """`folder` without the partitions at its end.

    So ``data/dt=2026-01-01`` named as an input has the column dt, as ``data`` and ``data/dt=*``
    have: naming less of the data must not change its columns.
    """
    while _is_partition(basename(folder)):
        folder = parent(folder)
    return folder


def partition_of(uri: str, root: str) -> dict[str, str | None]:
    """The partition values between `root` and the file `uri`, decoded, outermost first."""
    folders = uri[len(root.rstrip("/")) : uri.rfind("/")]
    if "=" not in folders:
        return {}
    pairs = [name.split("=", 1) for name in folders.split("/") if _is_partition(name)]
    return {unquote(key): _value(value) for key, value in pairs}


def _is_partition(name: str) -> bool:
    return name.find("=") > 0


def _value(text: str) -> str | None:
    return None if text == HIVE_NULL else unquote(text)


def partition_types(files: Sequence[InputFile], types: Mapping[str, str]) -> dict[str, str]:
    """Column → ``int64`` or ``string`` for the partitions of `files`, outermost first.

    A column is int64 when every value is an integer written the usual way (no leading zeros or
    plus sign) that fits; dates stay strings. ``types`` may say otherwise.

    Raises InputError when files do not have the same partition columns, and UsageError when
    `types` asks for what the values cannot be.
    """
    if not files:
        return {}
    first = files[0]
    for file in files:
        if file.partition.keys() != first.partition.keys():
            raise InputError(
                f"partition columns differ: {file.uri} has {_names(file)} "
                f"but {first.uri} has {_names(first)}"
            )
    return {key: _type_of(key, files, types.get(key)) for key in first.partition}


def _names(file: InputFile) -> str:
    return ", ".join(file.partition) or "none"


def _type_of(key: str, files: Sequence[InputFile], asked: str | None) -> str:
    values = {file.partition[key] for file in files} - {None}
    inferred = INT64 if values and all(_is_int64(v) for v in values if v is not None) else STRING
    if asked in (None, inferred, STRING):
        return asked or inferred
    possible = " or ".join(sorted({inferred, STRING}))
    raise UsageError(f"partition column {key!r}: expected the type {possible} but received {asked}")


def _is_int64(text: str) -> bool:
    # isascii: int() reads other scripts' digits too
    if not text.isascii() or not text.lstrip("-").isdigit():
        return False
    number = int(text) if len(text) <= 20 else 1 << 64
    return str(number) == text and -(1 << 63) <= number < 1 << 63


def typed_partition(file: InputFile, types: Mapping[str, str]) -> dict[str, Any]:
    """The partition values of `file` as Python values of `types`."""
    return {
        key: int(value) if value is not None and types[key] == INT64 else value
        for key, value in file.partition.items()
    }
