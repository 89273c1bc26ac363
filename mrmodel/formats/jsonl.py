"""JSON Lines: one object per line. Blank lines are no rows; keys not asked for are left out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from mrmodel.errors import InputError
from mrmodel.formats.base import BadRow, Block, Inspection, InspectOptions, ReadOptions
from mrmodel.formats.columns import bad_row, deliver, file_fields, make_block
from mrmodel.formats.json_values import convert, infer, settled
from mrmodel.formats.lines import Fault, read_lines, slices
from mrmodel.formats.samples import MAJORITY, sample, spread
from mrmodel.formats.schemas import Merger, given_types, missing
from mrmodel.parallel import map_parallel
from mrmodel.shards.shard import Piece

_GIVE_TYPE = "; where that is right, give --type {}=TYPE"


class JsonlFormat:
    """Rows of JSON Lines files; types come from a sample of them, or from the user."""

    name = "jsonl"
    splittable = True

    def inspect(self, uris: Sequence[str], options: InspectOptions) -> Inspection:
        chosen = spread(uris)
        samples = map_parallel(sample, chosen)
        given = given_types(options)
        merger = Merger(options, "give its type with --type {column}=TYPE", mix_numbers=True)
        there: dict[str, None] = {}
        for uri, entries in zip(chosen, samples, strict=True):
            rows = _objects(uri, entries)
            names = dict.fromkeys(name for row in rows for name in row)
            there.update(names)
            wanted = [n for n in names if options.columns is None or n in options.columns]
            types = {n: given.get(n) or _type(uri, n, [r.get(n) for r in rows]) for n in wanted}
            merger.add(uri, types, complete=False)
        for name in options.columns or ():
            if there and name not in there and name not in options.types:
                raise missing(chosen[0], name, there)
        schema = merger.schema()
        schema = pa.schema([(field.name, settled(field.type)) for field in schema])
        return Inspection(schema, [None] * len(uris))

    def rows_span_lines(self, uri: str) -> bool:
        return False

    def read(self, piece: Piece, options: ReadOptions) -> Iterator[Block]:
        return deliver(piece, options, _blocks(piece, options))


def parse_line(line: str) -> dict | Fault:
    """The object in `line`, or what is wrong with it."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        return Fault(type(error).__name__, f"expected a JSON object per line: {error}", line)
    if not isinstance(value, dict):
        message = f"expected a JSON object per line but received {line[:100].strip()!r}"
        return Fault("TypeError", message, line)
    return value


def _blocks(piece: Piece, options: ReadOptions) -> Iterator[Block]:
    row = 0
    fields = file_fields(piece, options.schema)
    for lines in read_lines(piece):
        entries = [e for e in lines.decoded() if isinstance(e, Fault) or not _is_blank(e)]
        for start, some, nbytes in slices(entries, lines.nbytes, options.block_rows):
            yield _block(piece, options, fields, some, row + start, nbytes)
        row += len(entries)


def _is_blank(line: str) -> bool:
    return not line.strip(" \t\r")


def _block(
    piece: Piece,
    options: ReadOptions,
    fields: Sequence[pa.Field],
    entries: list[str | Fault],
    first: int,
    nbytes: int,
) -> Block:
    good: list[dict] = []
    texts: list[str] = []
    numbers: list[int] = []
    bad: list[BadRow] = []
    for number, entry in enumerate(entries, first):
        value = parse_line(entry) if isinstance(entry, str) else entry
        if isinstance(value, Fault):
            bad.append(bad_row(piece, number, value, None))
        else:
            good.append(value)
            texts.append(entry)
            numbers.append(number)
    columns = {
        f.name: convert([row.get(f.name) for row in good], f, _GIVE_TYPE.format(f.name))
        for f in fields
    }
    where = np.array(numbers, dtype=np.int64)
    return make_block(piece, options.schema, where, columns, bad, texts.__getitem__, nbytes)


def _objects(uri: str, entries: Iterable[str | Fault]) -> list[dict]:
    """The objects in a sample. Bad lines are left to the task that reads them, but a file without
    a good one is something else than JSON Lines: an InputError."""
    values = [
        parse_line(e) if isinstance(e, str) else e
        for e in entries
        if isinstance(e, Fault) or not _is_blank(e)
    ]
    rows = [value for value in values if isinstance(value, dict)]
    if values and not rows:
        raise InputError(
            f"{uri}: not JSON Lines: {values[0].message}: write one object per line, or give "
            "another --format"
        )
    return rows


def _type(uri: str, name: str, values: list[Any]) -> pa.DataType:
    kind = infer(values) or _of_most(values)
    if kind is None:
        first, other = _two_that_differ(values)
        raise InputError(
            f"{uri}: column {name!r} holds {first!r} and {other!r}, which have no type in common: "
            f"give its type with --type {name}=TYPE"
        )
    return kind


def _of_most(values: list[Any]) -> pa.DataType | None:
    """The type of most `values`, None where none is that of MAJORITY of them."""
    there = [value for value in values if value is not None]
    kinds = Counter(map(_kind, there)).most_common(1)
    if not kinds or kinds[0][1] < MAJORITY * len(there):
        return None
    return infer([value for value in there if _kind(value) == kinds[0][0]])


def _kind(value: Any) -> type:
    return float if type(value) is int else type(value)


def _two_that_differ(values: list[Any]) -> tuple[str, str]:
    """The first two values that have no type in common, cut for a message."""
    there = [value for value in values if value is not None]
    seen = there[:1]
    for value in there[1:]:
        for before in seen:
            if infer([before, value]) is None:
                return _short(before), _short(value)
        if infer([value]) not in [infer([s]) for s in seen]:
            seen.append(value)
    return _short(there[0]), _short(there[-1])


def _short(value: Any) -> Any:
    text = json.dumps(value, ensure_ascii=False)
    return value if len(text) <= 60 else text[:60] + "…"
