"""Text files: one row per line, in the column ``text``. Blank lines are rows too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from mrmodel.formats.base import BadRow, Block, Inspection, InspectOptions, ReadOptions
from mrmodel.formats.columns import bad_row, cast_column, deliver, file_fields, make_block
from mrmodel.formats.lines import Fault, read_lines
from mrmodel.formats.schemas import choose, require
from mrmodel.shards.shard import Piece

SCHEMA = pa.schema([("text", pa.string())])


class TextFormat:
    """One row per line of a text file."""

    name = "text"
    splittable = True

    def inspect(self, uris: Sequence[str], options: InspectOptions) -> Inspection:
        where = uris[0] if uris else "text files"
        return Inspection(choose(SCHEMA, options, where), [None] * len(uris))

    def rows_span_lines(self, uri: str) -> bool:
        return False

    def read(self, piece: Piece, options: ReadOptions) -> Iterator[Block]:
        require(piece, file_fields(piece, options.schema), SCHEMA.names)
        return deliver(piece, options, _blocks(piece, options))


def _blocks(piece: Piece, options: ReadOptions) -> Iterator[Block]:
    row = 0
    for lines in read_lines(piece):
        entries = lines.decoded()
        texts, numbers, bad = _sort_out(piece, entries, row)
        columns = {
            f.name: cast_column(pa.array(texts, pa.string()), f)
            for f in file_fields(piece, options.schema)
        }
        yield make_block(
            piece, options.schema, numbers, columns, bad, texts.__getitem__, lines.nbytes
        )
        row += len(entries)


def _sort_out(
    piece: Piece, entries: list[str | Fault], row: int
) -> tuple[list[str], np.ndarray, list[BadRow]]:
    """The good lines, their numbers, and the bad ones, of lines that begin with number `row`."""
    good = [i for i, entry in enumerate(entries) if isinstance(entry, str)]
    numbers = np.array(good, dtype=np.int64) + row
    bad = [
        bad_row(piece, row + i, entry, None)
        for i, entry in enumerate(entries)
        if isinstance(entry, Fault)
    ]
    return [entries[i] for i in good], numbers, bad
