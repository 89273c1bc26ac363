"""CSV and TSV with a header line. Tabs separate the fields of .tsv files, commas those of others.

Empty lines are no rows. An empty field is the empty string in a column of strings and null in any
other. Fields of lists and structs are written as JSON. Line breaks inside quotes work where a file
is one piece; they arrive as "\\n".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kinds

from mrmodel.errors import InputError
from mrmodel.formats import without_compression
from mrmodel.formats.base import BadRow, Block, Inspection, InspectOptions, ReadOptions
from mrmodel.formats.columns import (
    Column,
    bad_row,
    cast_column,
    deliver,
    file_fields,
    make_block,
    misfit,
)
from mrmodel.formats.compression import open_stream
from mrmodel.formats.json_values import convert
from mrmodel.formats.lines import CHUNK_BYTES, Fault, first_lines, read_lines, slices
from mrmodel.formats.records import MAX_RECORD, Entry, Record, parse
from mrmodel.formats.samples import MAJORITY, sample, spread
from mrmodel.formats.schemas import Merger, given_types, require, twice
from mrmodel.parallel import map_parallel
from mrmodel.shards.shard import Piece

_GIVE_TYPE = "; where that is right, give --type {}=TYPE"
_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_HEADER_BYTES = 64 << 10  # most headers are shorter; a longer one costs more reads


class CsvFormat:
    """Rows of CSV and TSV files; types come from a sample of them, or from the user."""

    name = "csv"
    splittable = True

    def inspect(self, uris: Sequence[str], options: InspectOptions) -> Inspection:
        headers = map_parallel(_header_names, uris)
        chosen = set(spread(uris))
        samples = dict(zip(chosen, map_parallel(_sample, chosen), strict=True))
        given, inputs = given_types(options), options.inputs or ()
        merger = Merger(options, "give its type with --type {column}=TYPE", mix_numbers=True)
        for uri, names in zip(uris, headers, strict=True):
            if names:  # a file without bytes has no rows to lack a column
                records = samples.get(uri, [])
                wanted = set(names if options.columns is None else options.columns) - set(given)
                merger.add(
                    uri,
                    {
                        n: _infer(records, i, n in inputs) if n in wanted else pa.null()
                        for i, n in enumerate(names)
                    },
                )
        schema = merger.schema(unknown=pa.string())
        types = [pa.string() if kinds.is_null(f.type) else f.type for f in schema]
        return Inspection(pa.schema(zip(schema.names, types, strict=True)), [None] * len(uris))

    def rows_span_lines(self, uri: str) -> bool:
        """Whether a line ends inside quotes, as far as the number of quotes before it tells."""
        with open_stream(uri) as stream:
            is_open = 0
            while chunk := stream.read(CHUNK_BYTES):
                data = np.frombuffer(chunk, np.uint8)
                quotes = np.add.accumulate(data == ord('"'), dtype=np.uint8) + is_open
                if np.any(quotes[data == ord("\n")] & 1):
                    return True
                is_open = quotes[-1] & 1
        return False

    def read(self, piece: Piece, options: ReadOptions) -> Iterator[Block]:
        return deliver(piece, options, _blocks(piece, options))


def _delimiter(uri: str) -> str:
    return "\t" if without_compression(uri).lower().endswith(".tsv") else ","


def _header(uri: str) -> tuple[list[str], int]:
    """The names in the header of `uri`, and the offset where the first line after it begins.

    No names when the file is empty. Raises InputError when the header cannot be read.
    """
    entries: list[Entry] = []
    offset = 0
    # one line at a time: how many lines the header has is known only once it is parsed
    for line, nbytes in _lines_with_sizes(uri):
        entries.append(line)
        offset += nbytes
        records, _ = parse(entries, _delimiter(uri), multiline=True, final=offset > MAX_RECORD)
        if records:
            return _names(uri, records[0]), offset
    if any(entries):
        raise InputError(f"{uri}: expected a header line but it has an open quote: close it")
    return [], offset


def _lines_with_sizes(uri: str) -> Iterator[tuple[Entry, int]]:
    for lines in first_lines(uri, MAX_RECORD, _HEADER_BYTES):
        if lines.too_long:
            yield lines.decoded()[0], lines.nbytes
            continue
        mark = lines.nbytes - len(lines.data)  # a byte order mark that was dropped
        start = 0
        for entry in lines.decoded():
            end = lines.data.find(b"\n", start) + 1 or len(lines.data)
            yield entry, end - start + mark
            start, mark = end, 0


def _names(uri: str, record: Record) -> list[str]:
    if isinstance(record.fields, Fault):
        raise InputError(f"{uri}: the header line cannot be read: {record.fields.message}")
    twice(uri, record.fields)
    return record.fields


def _header_names(uri: str) -> list[str]:
    return _header(uri)[0]


def _sample(uri: str) -> list[list[str]]:
    """The fields of the first records of `uri`, bad ones left out."""
    entries = sample(uri)
    records, _ = parse(entries, _delimiter(uri), multiline=True, final=False)
    good = [record.fields for record in records if isinstance(record.fields, list)]
    return [fields for fields in good[1:] if len(fields) == len(good[0])]


def _infer(records: list[list[str]], index: int, is_input: bool = False) -> pa.DataType:
    """int64, double, bool or string, whichever holds all values first; null without values. Of a
    column that is an input, numbers are found among a few values that are none."""
    values = pa.array([fields[index] for fields in records], pa.string())
    values = pc.utf8_trim_whitespace(values).filter(pc.not_equal(values, ""))
    if not len(values):
        return pa.null()
    if is_input:
        numbers = values.filter(pc.match_substring_regex(values, _NUMBER))
        values = numbers if len(numbers) >= MAJORITY * len(values) else values
    if pc.any(pc.match_substring_regex(values, "^[+-]?0[xX]")).as_py():
        return pa.string()  # Arrow reads 0x1F as 31
    for kind in (pa.int64(), pa.float64()):
        try:
            values.cast(kind)
            return kind
        except pa.ArrowInvalid:
            continue
    words = pc.is_in(pc.utf8_lower(values), pa.array(["true", "false"]))
    return pa.bool_() if pc.all(words).as_py() else pa.string()


def _blocks(piece: Piece, options: ReadOptions) -> Iterator[Block]:
    fields = file_fields(piece, options.schema)
    names, begin = _header(piece.uri)
    if not names:
        return
    require(piece, fields, names)
    places = {name: index for index, name in enumerate(names)}
    row = 0
    for records, taken in _records(piece, begin):
        for start, some, nbytes in slices(records, taken, options.block_rows):
            yield _block(piece, options, places, fields, some, row + start, nbytes)
        row += len(records)


def _records(piece: Piece, begin: int) -> Iterator[tuple[list[Record], int]]:
    """Runs of records, with the bytes of the file they took."""
    delimiter, left = _delimiter(piece.uri), []
    for lines in read_lines(piece, begin):
        records, left = parse([*left, *lines.decoded()], delimiter, piece.is_whole, final=False)
        yield records, lines.nbytes
    yield parse(left, delimiter, piece.is_whole, final=True)[0], 0


def _block(
    piece: Piece,
    options: ReadOptions,
    places: dict[str, int],
    fields: Sequence[pa.Field],
    records: list[Record],
    first: int,
    nbytes: int,
) -> Block:
    good: list[Record] = []
    numbers: list[int] = []
    bad: list[BadRow] = []
    for number, record in enumerate(records, first):
        fault = _fault(record, len(places))
        if fault:
            bad.append(bad_row(piece, number, fault, record.text))
        else:
            good.append(record)
            numbers.append(number)
    columns = {f.name: _column(piece, good, places[f.name], f) for f in fields}
    where = np.array(numbers, dtype=np.int64)
    return make_block(piece, options.schema, where, columns, bad, lambda i: good[i].text, nbytes)


def _fault(record: Record, width: int) -> Fault | None:
    if isinstance(record.fields, Fault):
        return record.fields
    if len(record.fields) != width:
        return Fault("FieldCount", f"expected {width} fields but received {len(record.fields)}")
    return None


def _column(piece: Piece, records: list[Record], index: int, field: pa.Field) -> Column:
    texts = [record.fields[index] for record in records]
    remedy = _GIVE_TYPE.format(field.name)
    if kinds.is_nested(field.type):
        return _json_column(texts, field, remedy)
    values = pa.array(texts, pa.string())
    if not (kinds.is_string(field.type) or kinds.is_large_string(field.type)):
        values = pc.utf8_trim_whitespace(values)
        values = pc.if_else(pc.equal(values, ""), pa.scalar(None, pa.string()), values)
    try:
        return cast_column(values, field, remedy)
    except pa.ArrowNotImplementedError as error:
        raise InputError(
            f"{piece.uri}: column {field.name!r}: text cannot be read as {field.type}: give "
            f"another --type {field.name}=TYPE"
        ) from error


def _json_column(texts: list[str], field: pa.Field, remedy: str) -> Column:
    values: list[Any] = []
    faults: dict[int, Fault] = {}
    for index, text in enumerate(texts):
        try:
            values.append(json.loads(text) if text.strip() else None)
        except (ValueError, RecursionError):
            values.append(None)
            faults[index] = misfit(field, text, f" (lists and structs are written as JSON){remedy}")
    column = convert(values, field, remedy)
    return Column(column.array, {**column.faults, **faults})
