"""Which columns a job reads, and whether the input has them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from mrmodel.errors import InputError
from mrmodel.formats import get_format
from mrmodel.formats.base import Inspection, InspectOptions
from mrmodel.formats.types import parse_type

_SHOWN_COLUMNS = 40


@dataclass(frozen=True)
class Wish:
    """The columns a job asks for: ``inputs`` for the model (None: all there are), ``keep`` for
    the output (None: all but the inputs), ``also`` ones that are neither, a label say."""

    inputs: tuple[str, ...] | None
    keep: tuple[str, ...] | None
    also: tuple[str, ...] = ()

    @property
    def named(self) -> tuple[str, ...]:
        return unique((*(self.inputs or ()), *(self.keep or ()), *self.also))

    @property
    def open(self) -> bool:
        """Whether only the input can tell which columns are meant."""
        return self.inputs is None or self.keep is None

    def kept(self, columns: Sequence[str], format_name: str) -> tuple[str, ...]:
        """The columns joined to the output, of those there are; of images only the path, unless
        the picture is asked for."""
        if self.keep is not None:
            return self.keep
        left_out = {*(self.inputs or ()), *self.also}
        if format_name == "images":
            left_out.add("image")
        return tuple(name for name in columns if name not in left_out)

    def read(self, columns: Sequence[str], kept: Iterable[str]) -> set[str]:
        """The columns a task must read."""
        return set(columns) if self.inputs is None else {*self.inputs, *kept, *self.also}


def unique(names: Iterable[str]) -> tuple[str, ...]:
    """`names` without the second and later mention of each."""
    return tuple(dict.fromkeys(names))


def inspect_files(
    format_name: str,
    uris: Sequence[str],
    wish: Wish,
    partitions: Mapping[str, str],
    types: Mapping[str, str],
) -> Inspection:
    """What the files say of the columns that `wish` needs, in the files' order, partition columns
    left out; of no files, the named columns without rows.

    Raises InputError for a file that cannot be read or differs from the others, and for a column
    that is not there.
    """
    types = {name: kind for name, kind in types.items() if name not in partitions}
    if not uris:
        return Inspection(_schema(wish.named, types), [])
    there = None if wish.open else _names_in(format_name, uris, types)
    if there is not None:
        check_columns(wish.named, [*there, *_assured(format_name, types), *partitions])
    columns = None if wish.open else tuple(n for n in wish.named if n not in partitions)
    options = InspectOptions(columns, types, wish.inputs)
    found = get_format(format_name).inspect(uris, options)
    schema = _with_assured(found.schema, format_name, wish, types)
    check_columns(wish.named, [*schema.names, *partitions])
    if there is not None:
        schema = pa.schema(sorted(schema, key=lambda column: _place(column.name, there)))
    return Inspection(schema, found.rows, found.row_groups)


def _names_in(
    format_name: str, uris: Sequence[str], types: Mapping[str, str]
) -> Sequence[str] | None:
    """All columns of the input, for messages that list them; None where they are not to be had.

    Asked of one file, since others may differ in what the job does not need; JSON lines may
    differ in their keys, so there all files are asked, of which the format takes a sample.
    """
    options = InspectOptions(None, dict(types))
    try:
        asked = uris if format_name == "jsonl" else uris[:1]
        return get_format(format_name).inspect(asked, options).schema.names
    except InputError:  # perhaps of a column that is not needed; if not, it comes again
        return None


def _assured(format_name: str, types: Mapping[str, str]) -> list[str]:
    """Columns that exist because the person says so: a JSON key may be too rare for a sample."""
    return list(types) if format_name == "jsonl" else []


def _with_assured(
    schema: pa.Schema, format_name: str, wish: Wish, types: Mapping[str, str]
) -> pa.Schema:
    names = [n for n in _assured(format_name, types) if n in wish.named and n not in schema.names]
    return pa.schema([*schema, *_schema(names, types)])


def _schema(names: Iterable[str], types: Mapping[str, str]) -> pa.Schema:
    return pa.schema([(name, parse_type(types.get(name, "null"), name)) for name in names])


def _place(name: str, there: Sequence[str]) -> int:
    return there.index(name) if name in there else len(there)


def check_columns(names: Iterable[str], there: Sequence[str]) -> None:
    """Raises InputError for the first of `names` that is not among the columns `there`."""
    missing = next((name for name in names if name not in there), None)
    if missing is None:
        return
    similar = difflib.get_close_matches(missing, there, 1)
    hint = f"; is it {similar[0]!r}?" if similar else ""
    more = f", ... ({len(there)} in all)" if len(there) > _SHOWN_COLUMNS else ""
    raise InputError(
        f"column {missing!r} is not in the input; there are: "
        f"{', '.join(there[:_SHOWN_COLUMNS])}{more}{hint}"
    )


def with_partitions(schema: pa.Schema, partitions: Mapping[str, str]) -> pa.Schema:
    """`schema` and the partition columns at its end; no metadata, which is one file's own."""
    columns = [column for column in schema if column.name not in partitions]
    return pa.schema([*columns, *_schema(partitions, partitions)])
