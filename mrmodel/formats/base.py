"""What every input format offers: look at files while planning, read rows in a task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from mrmodel.shards.shard import Piece

# How a decoded image travels in a column: `data` is height x width x 3 bytes, RGB, row by row. A
# list column would cost Arrow an offset or a fixed size, and images may differ in size.
IMAGE = pa.struct([("height", pa.int32()), ("width", pa.int32()), ("data", pa.binary())])
# What remains of a bad row's text, in characters.
RECORD_LIMIT = 10_000


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be predicted.

    ``row`` counts from 0: in the file for Parquet, in the piece for formats made of lines (a task
    cannot know how many lines lie before its piece; the driver adds them). ``error`` is the name
    of the exception, ``record`` the row as text, cut to 10,000 characters.
    """

    source: str
    row: int
    error: str
    message: str
    record: str | None


@dataclass(frozen=True)
class Block:
    """Consecutive rows of one piece, as many as fit the memory asked for.

    ``batch`` holds the rows that parsed, with the requested columns in the requested order;
    ``rows`` (int64, one per row of `batch`) says where each stood; ``bad`` holds the rows of the
    same stretch that did not parse. ``nbytes`` is how many bytes of the file this block took
    (approximate for Parquet and compressed files): they sum to the piece's length, for which a
    block without any rows may come.
    """

    batch: pa.RecordBatch
    rows: np.ndarray
    source: str
    bad: tuple[BadRow, ...] = ()
    nbytes: int = 0


@dataclass(frozen=True)
class ReadOptions:
    """What a task wants of a reader, the same for every piece of a job.

    ``schema``: the columns to deliver, in order, with the types to deliver them in; partition
    columns among them are filled from ``Piece.partition``. ``block_bytes`` and ``block_rows``
    bound a block (bytes of Arrow data; at least one row). ``image_size`` is (height, width) to
    resize images to, or None to leave them as they are.
    """

    schema: pa.Schema
    block_bytes: int = 8 << 20
    block_rows: int = 8192
    image_size: tuple[int, int] | None = None


@dataclass(frozen=True)
class Inspection:
    """What planning learned of files: their common schema, and rows per file where countable.

    ``row_groups``: for Parquet, for each file the rows and the middle byte of every row group, so
    that planning can say how many rows a byte range holds.
    """

    schema: pa.Schema
    rows: list[int | None]
    row_groups: list[list[tuple[int, int]]] | None = None


@dataclass(frozen=True)
class InspectOptions:
    """``columns``: the columns of the files that matter, without partition columns (None: all); a
    file that lacks one, or has it with another type, is an InputError. ``types``: column → Arrow
    type name, given by the user for formats that carry none (``{"price": "float64"}``).
    ``inputs``: the columns that the model reads (None: not known): a few values that do not fit
    the others do not change the type of such a column."""

    columns: tuple[str, ...] | None = None
    types: dict[str, str] = field(default_factory=dict)
    inputs: tuple[str, ...] | None = None


class Format(Protocol):
    """One input format. Stateless."""

    name: str
    splittable: bool

    def inspect(self, uris: Sequence[str], options: InspectOptions) -> Inspection:
        """Look at `uris` (footers, or a sample of lines).

        Raises InputError, naming the file, when one cannot be read or differs from the others.
        """
        ...

    def rows_span_lines(self, uri: str) -> bool:
        """Whether rows of the file `uri` go over several lines, so that pieces of it would not hold
        whole rows. Reads all of it, where that can be.

        Raises InputError when it cannot be read.
        """
        ...

    def read(self, piece: Piece, options: ReadOptions) -> Iterator[Block]:
        """The rows of `piece`, block by block, in order, memory bounded by the block.

        Rows that do not parse come as ``Block.bad``. Raises InputError when the file itself
        breaks (truncated, unreadable), never for a row.
        """
        ...


Batch = dict[str, Any]  # column → numpy array (rows first) or list
