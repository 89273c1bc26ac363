"""Bytes to rows: one module per input format, imported when it is first asked for.

A format's reader delivers the rows of a piece block by block; see :mod:`.base` for the interface.
"""

from __future__ import annotations

from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING

from mrmodel.errors import UsageError

if TYPE_CHECKING:
    from mrmodel.formats.base import Format

FORMATS = MappingProxyType(
    {
        "csv": "mrmodel.formats.delimited:CsvFormat",
        "images": "mrmodel.formats.images:ImagesFormat",
        "jsonl": "mrmodel.formats.jsonl:JsonlFormat",
        "parquet": "mrmodel.formats.parquet:ParquetFormat",
        "text": "mrmodel.formats.text:TextFormat",
    }
)

_LINES = {
    "csv": (".csv", ".tsv"),
    "jsonl": (".jsonl", ".ndjson", ".jsonlines", ".json"),
    "text": (".txt", ".text", ".md", ".rst", ".log"),
}
_WHOLE = {
    "images": (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"),
    "parquet": (".parquet", ".pq", ".parq"),
}
_SUFFIXES = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd", ".zstd": "zstd"}


def get_format(name: str) -> Format:
    """The format called `name`. Raises UsageError for one that is not known."""
    if name not in FORMATS:
        known = ", ".join(FORMATS)
        raise UsageError(f"--format: expected auto or one of {known} but received {name!r}")
    module, _, cls = FORMATS[name].partition(":")
    return getattr(import_module(module), cls)()


def compression_of(uri: str) -> str | None:
    """``gzip``, ``bz2`` or ``zstd`` by the extension of `uri`, None for plain files."""
    return next((_SUFFIXES[s] for s in _SUFFIXES if uri.lower().endswith(s)), None)


def without_compression(uri: str) -> str:
    """`uri` less the extension that names its compression."""
    return next((uri[: -len(s)] for s in _SUFFIXES if uri.lower().endswith(s)), uri)


def detect(uri: str) -> str | None:
    """The format that the extension of `uri` names, None when it names none."""
    name = uri.lower()
    for table, stem in ((_WHOLE, name), (_LINES, without_compression(name))):
        for found, suffixes in table.items():
            if stem.endswith(suffixes):
                return found
    return None


def is_splittable(format_name: str, uri: str) -> bool:
    """Whether the file `uri` may be cut into pieces: never where it is compressed or an image."""
    return get_format(format_name).splittable and compression_of(uri) is None
