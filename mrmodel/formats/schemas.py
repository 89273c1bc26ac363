"""One schema for many files: what inspection and readers check, and what they say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import pyarrow as pa

from mrmodel.errors import InputError
from mrmodel.formats.base import InspectOptions
from mrmodel.formats.types import parse_type, unify
from mrmodel.shards.shard import Piece

_LISTED = 30  # columns named in a message


def listed(names: Iterable[str]) -> str:
    """Column names for people."""
    names = list(names)
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(map(repr, names[:_LISTED])) + more if names else "none"


def require(piece: Piece, fields: Iterable[pa.Field], there: Sequence[str]) -> None:
    """Raises InputError when one of `fields` is not among the columns `there` are in the file."""
    for field in fields:
        if field.name not in there:
            raise missing(piece.uri, field.name, there)


def missing(uri: str, column: str, there: Iterable[str]) -> InputError:
    """The error of a file that lacks a column."""
    return InputError(
        f"{uri}: expected a column {column!r} but its columns are {listed(there)}: check the "
        "name, or leave this file out"
    )


def twice(uri: str, names: Sequence[str]) -> None:
    """Raises InputError when a name is there twice: nobody could say which is meant."""
    doubled = sorted(name for name, times in Counter(names).items() if times > 1)
    if doubled:
        raise InputError(f"{uri}: two columns are called {doubled[0]!r}: rename one of them")


def choose(schema: pa.Schema, options: InspectOptions, uri: str) -> pa.Schema:
    """The columns of `schema` that `options` name, in their order; all when they name none.

    Raises InputError, naming `uri`, for one that is not there.
    """
    if options.columns is None:
        return schema
    for name in options.columns:
        if name not in schema.names:
            raise missing(uri, name, schema.names)
    return pa.schema([schema.field(name) for name in options.columns])


def given_types(options: InspectOptions) -> dict[str, pa.DataType]:
    """The types that the user gave. Raises UsageError for one that is none."""
    return {column: parse_type(name, column) for column, name in options.types.items()}


class Merger:
    """Brings the schemas of files together, one file after the other, in order.

    Types may differ where one holds the other; anything else is an InputError that ends in
    `remedy`. With `mix_numbers` integers and floats become doubles.
    """

    def __init__(self, options: InspectOptions, remedy: str, mix_numbers: bool = False):
        self._columns = options.columns
        self._given = given_types(options)
        self._remedy, self._mix = remedy, mix_numbers
        self._types: dict[str, pa.DataType] = {}
        self._seen: dict[str, str] = {}  # column → the file that it was first seen in
        self._first: str | None = None

    def add(self, uri: str, types: dict[str, pa.DataType], complete: bool = True) -> None:
        """Take in the columns of the file `uri`; `complete`: it has no others than these."""
        wanted = list(types) if self._columns is None else list(self._columns)
        if complete:
            self._check_names(uri, wanted, types)
        for name in wanted:
            if name in types:
                self._add_column(uri, name, types[name])

    def _check_names(self, uri: str, wanted: list[str], types: dict[str, pa.DataType]) -> None:
        if self._columns is None and self._first is not None:
            extra = [name for name in wanted if name not in self._types]
            if extra:
                raise InputError(
                    f"{uri}: has a column {extra[0]!r} that {self._first} lacks: name the columns "
                    "to read (--inputs, --keep), or leave one of the files out"
                )
            wanted = list(self._types)
        self._first = self._first or uri
        for name in wanted:
            if name not in types:
                raise missing(uri, name, types)

    def _add_column(self, uri: str, name: str, kind: pa.DataType) -> None:
        if name in self._given:
            kind = self._given[name]
        if name not in self._types:
            self._types[name], self._seen[name] = kind, uri
            return
        both = unify(self._types[name], kind, self._mix)
        if both is None:
            remedy = self._remedy.format(column=name)
            raise InputError(
                f"{uri}: column {name!r} is {kind} but {self._types[name]} in "
                f"{self._seen[name]}: {remedy}"
            )
        self._types[name] = both

    def schema(self, unknown: pa.DataType | None = None) -> pa.Schema:
        """The common schema, in the order of the columns asked for or of the first file.

        Columns that no file could tell the type of are of the type `unknown`.
        """
        names = list(self._types) if self._columns is None else list(self._columns)
        types = {**self._given, **self._types}
        return pa.schema([(n, types.get(n, unknown or pa.null())) for n in names])
