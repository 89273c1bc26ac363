"""From INPUT... to a plan: the files, their format, the columns to read, and the shards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from mrmodel.errors import InputError
from mrmodel.formats import detect, get_format, is_splittable
from mrmodel.formats.base import Inspection
from mrmodel.shards.columns import Wish, inspect_files, unique, with_partitions
from mrmodel.shards.cutting import shards_of
from mrmodel.shards.listing import InputFile, list_inputs
from mrmodel.shards.partitions import partition_types, typed_partition
from mrmodel.shards.plan import Plan, Source
from mrmodel.specs import DataSpec
from mrmodel.units import AUTO


def plan_data(
    data: DataSpec,
    model_inputs: Sequence[str] | None,
    shard_size: int,
    also: Sequence[str] = (),
) -> Plan:
    """What a job over `data` reads, in shards of about `shard_size` bytes.

    `model_inputs` are the columns the model says it reads (None: it does not say); --inputs wins
    over them. `also` names columns to read that are neither inputs nor kept, a label say.

    Kept columns are those of --keep; without it all but the inputs, and of images only the path.
    A partition column wins over a column of the same name in the files, as in Spark.

    Raises InputError for input that is missing, of mixed or unknown format, unreadable, or lacks
    a column.
    """
    files = list_inputs(data.uris)
    format_name = _format_of(files, data.format)
    files = _with_rows(files, format_name, data.format)
    partitions = partition_types(files, data.types)
    wish = _wish(data, model_inputs, also)
    uris = [file.uri for file in files]
    found = inspect_files(format_name, uris, wish, partitions, data.types)
    schema = with_partitions(found.schema, partitions)
    keep = wish.kept(schema.names, format_name)
    read = wish.read(schema.names, keep)
    sources = _sources(files, format_name, found, partitions)
    return Plan(
        format_name,
        pa.schema([column for column in schema if column.name in read]),
        wish.inputs,
        keep,
        sources,
        shards_of(sources, shard_size),
        tuple(partitions),
    )


def _wish(data: DataSpec, model_inputs: Sequence[str] | None, also: Sequence[str]) -> Wish:
    inputs = data.inputs if data.inputs is not None else model_inputs
    return Wish(
        None if inputs is None else unique(inputs),
        None if data.keep is None else unique(data.keep),
        unique(also),
    )


def _format_of(files: Sequence[InputFile], asked: str) -> str:
    """The one format of `files`: as asked, or as the names of those with content say."""
    if asked != AUTO:
        return get_format(asked).name
    first: dict[str, str] = {}
    for file in [file for file in files if file.size] or files:
        first.setdefault(_detect(file), file.uri)
    if len(first) > 1:
        (one, a), (other, b) = list(first.items())[:2]
        raise InputError(
            f"input has files of several formats: {a} is {one} but {b} is {other}; "
            "narrow the input, or name the format of all with --format"
        )
    return next(iter(first), AUTO)


def _detect(file: InputFile) -> str:
    name = detect(file.uri)
    if name is None:
        raise InputError(
            f"{file.uri}: its ending does not tell its format; name it with --format, or narrow "
            "the input"
        )
    return name


def _with_rows(files: Sequence[InputFile], format_name: str, asked: str) -> list[InputFile]:
    """`files` without the empty ones of formats in which that means no rows.

    An empty image is a row, a bad one; an empty Parquet file lost its footer: InputError.
    """
    if format_name == "images":
        return list(files)
    empty = [file.uri for file in files if not file.size]
    # what has no ending is Parquet where the person says that all is
    lost = [uri for uri in empty if (detect(uri) or asked) == format_name == "parquet"]
    if lost:
        raise InputError(f"{lost[0]} is truncated: expected a Parquet file but received 0 bytes")
    return [file for file in files if file.size]


def _sources(
    files: Sequence[InputFile],
    format_name: str,
    found: Inspection,
    partitions: Mapping[str, str],
) -> tuple[Source, ...]:
    groups = found.row_groups or [None] * len(files)
    return tuple(
        Source(
            file.uri,
            file.size,
            file.mtime,
            typed_partition(file, partitions),
            file.block_size,
            is_splittable(format_name, file.uri),
            rows,
            None if of_file is None else tuple(of_file),
        )
        for file, rows, of_file in zip(files, found.rows, groups, strict=True)
    )
