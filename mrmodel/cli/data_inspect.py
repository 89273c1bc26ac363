"""``mrmodel data inspect``: what the input is and how it would be split."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mrmodel.shards.survey import Survey

_NAME_WIDTH, _TYPE_WIDTH, _VALUE_WIDTH = 30, 24, 16


@click.command("inspect")
@click.argument("uris", metavar="INPUT...", nargs=-1, required=True)
@click.option(
    "--format",
    "format_name",
    default="auto",
    metavar="NAME",
    show_default=True,
    help="parquet, jsonl, csv, text, images; auto goes by the files' names.",
)
@click.option(
    "--shard-size",
    default="128MB",
    metavar="SIZE",
    show_default=True,
    help="How much one task would read.",
)
@click.option(
    "--rows",
    default=5,
    type=click.IntRange(min=0),
    metavar="N",
    show_default=True,
    help="How many of the first rows to show.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def inspect(
    uris: tuple[str, ...], format_name: str, shard_size: str, rows: int, as_json: bool
) -> None:
    """Show the columns of INPUT, its size, its first rows and how it would be split.

    INPUT is a file, a folder or a glob, on this machine or on hdfs://. Of Parquet only footers
    are read, of lines a sample; row counts that are estimated have a ≈ before them.

    \b
    Examples:
      mrmodel data inspect reviews/
      mrmodel data inspect 'logs/dt=2026-01-*/*.jsonl.gz' --rows 2
      mrmodel data inspect hdfs:///data/reviews --shard-size 512MB
      mrmodel data inspect reviews/ --json | jq .rows
    """
    from mrmodel.shards.survey import survey
    from mrmodel.specs import DataSpec
    from mrmodel.units import parse_size

    found = survey(
        DataSpec(uris=uris, format=format_name), parse_size(shard_size, "--shard-size"), rows
    )
    if as_json:
        click.echo(json.dumps(found.to_dict(), ensure_ascii=False, indent=2))
    else:
        _print(found)


def _print(found: Survey) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    for name, value in _facts(found):
        console.print(f"{name:<12}{value}", markup=False, soft_wrap=True)
    for table in _tables(found, console.width):
        console.print()
        console.print(table)


def _facts(found: Survey) -> list[tuple[str, str]]:
    from mrmodel.units import format_size

    facts = [
        ("format", found.format),
        ("files", f"{found.files:,} ({format_size(found.nbytes)})"),
        ("rows", _rows(found)),
    ]
    if found.row_groups:
        facts.append(("row groups", _sizes(found.row_groups)))
    for column, values in found.partitions.items():
        facts.append(("partition", f"{column}: {values:,} value{'s' * (values != 1)}"))
    facts.append(("shards", _sizes(found.shards)))
    if found.data_local is not None:
        rest = found.hadoop_tasks - found.data_local
        facts.append(
            ("on hadoop", f"{found.data_local:,} tasks where their blocks lie, {rest:,} elsewhere")
        )
    return facts


def _rows(found: Survey) -> str:
    if found.rows is None:
        return "unknown until read"
    return f"{'' if found.exact else '≈ '}{found.rows:,}"


def _sizes(sizes: dict[str, int]) -> str:
    from mrmodel.units import format_size

    if not sizes["count"]:
        return "0"
    text = ", ".join(f"{name} {format_size(sizes[name])}" for name in ("min", "median", "max"))
    return f"{sizes['count']:,} ({text})"


def _tables(found: Survey, width: int) -> Iterator[Any]:
    """The columns and the sample, in as many tables as the terminal's width asks for."""
    if not found.columns:
        return
    names = min(_NAME_WIDTH, max(map(len, found.columns)))
    kinds = min(_TYPE_WIDTH, max(map(len, found.columns.values())))
    fit = max(1, (width - names - kinds - 4) // (_VALUE_WIDTH + 2))
    for first in range(0, max(1, len(found.sample)), fit):
        yield _table(found, range(first, min(first + fit, len(found.sample))))


def _table(found: Survey, rows: range) -> Any:
    """A line per column, so that any number of them fits: its name, type and values in `rows`."""
    from rich.table import Table
    from rich.text import Text

    from mrmodel.shards.survey import cell

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("column", overflow="fold", max_width=_NAME_WIDTH)
    table.add_column("type", overflow="fold", max_width=_TYPE_WIDTH)
    for number in rows:
        table.add_column(f"row {number}", overflow="ellipsis", no_wrap=True, min_width=_VALUE_WIDTH)
    for name, kind in found.columns.items():
        values = [cell(found.sample[number][name]) for number in rows]
        table.add_row(*(Text(text) for text in [name, kind, *values]))
    return table
