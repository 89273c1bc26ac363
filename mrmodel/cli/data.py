"""``mrmodel data``: put, get and list data."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from mrmodel.cli.data_inspect import inspect
from mrmodel.cli.options import CONTEXT

if TYPE_CHECKING:
    from collections.abc import Callable

    from mrmodel.driver.transfer import Report
    from mrmodel.storage.base import Entry


@click.group(context_settings=CONTEXT)
def data() -> None:
    """Put, get, list and inspect data on this machine and on HDFS."""


data.add_command(inspect)


def _transfer_options(command: Callable) -> Callable:
    options = (
        click.argument("sources", metavar="SRC...", nargs=-1, required=True),
        click.argument("target", metavar="DST"),
        click.option("--overwrite", is_flag=True, help="Replace files that have other content."),
        click.option(
            "--jobs",
            default=4,
            type=click.IntRange(1, 256),
            metavar="N",
            show_default=True,
            help="Files at once; for many small files on HDFS more (32) is faster.",
        ),
        click.option("-q", "--quiet", is_flag=True, help="No progress."),
        click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@data.command()
@_transfer_options
def put(
    sources: tuple[str, ...], target: str, overwrite: bool, jobs: int, quiet: bool, as_json: bool
) -> None:
    """Copy files and folders to DST, on HDFS or on this machine.

    A folder's content goes into DST; with several SRC, a glob, or a DST that ends in a slash, each
    keeps its name under DST. Every copy is read back and compared (SHA-256) before it gets its
    name, so no file is ever half there. Files that are there with the same content are skipped:
    after an interruption the same command copies the rest.

    \b
    Examples:
      mrmodel data put reviews.parquet hdfs:///data/reviews.parquet
      mrmodel data put reviews/ hdfs:///data/reviews
      mrmodel data put 2026-01.csv 2026-02.csv hdfs:///data/months/
      mrmodel data put 'logs/*.jsonl.gz' hdfs://namenode:8020/logs --jobs 8
    """
    _transfer(sources, target, overwrite, jobs, quiet, as_json)


@data.command()
@_transfer_options
def get(
    sources: tuple[str, ...], target: str, overwrite: bool, jobs: int, quiet: bool, as_json: bool
) -> None:
    """Copy files and folders from HDFS, or from this machine, to DST.

    Names, checks and resuming are those of `mrmodel data put`. A folder's _SUCCESS is copied after
    all else.

    \b
    Examples:
      mrmodel data get hdfs:///out/predictions predictions
      mrmodel data get hdfs:///out/predictions/part-00000.parquet .
      mrmodel data get 'hdfs:///logs/2026-*.jsonl' hdfs:///more/x.jsonl logs/
    """
    _transfer(sources, target, overwrite, jobs, quiet, as_json)


def _transfer(
    sources: tuple[str, ...], target: str, overwrite: bool, jobs: int, quiet: bool, as_json: bool
) -> None:
    from mrmodel.driver.signals import terminate_is_interrupt
    from mrmodel.driver.transfer import Watcher, transfer
    from mrmodel.driver.transfer_progress import TransferProgress

    watcher = Watcher() if quiet else TransferProgress()
    with terminate_is_interrupt():
        report = transfer(sources, target, overwrite=overwrite, jobs=jobs, watcher=watcher)
    click.echo(json.dumps(report.to_dict(), indent=2) if as_json else _summary(report))


def _summary(report: Report) -> str:
    from mrmodel.units import format_size

    rate = format_size(report.copied_size / max(report.seconds, 1e-3))
    text = f"copied {_count(len(report.copied), 'file')}, {format_size(report.copied_size)}"
    text += f" in {report.seconds:.1f} s ({rate}/s), checked by SHA-256"
    if report.skipped:
        text += f"; {_count(len(report.skipped), 'file')} were there already"
    return text


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


@data.command()
@click.argument("uris", metavar="URI...", nargs=-1, required=True)
@click.option("-R", "--recursive", is_flag=True, help="Also what is in the folders below.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one list of entries.")
def ls(uris: tuple[str, ...], recursive: bool, as_json: bool) -> None:
    """List files and folders: size, time of last change, name; and the total.

    \b
    Examples:
      mrmodel data ls hdfs:///data
      mrmodel data ls -R hdfs:///out/predictions
      mrmodel data ls 'logs/dt=2026-01-*' --json | jq '.[].size'
    """
    from mrmodel.driver.transfer_plan import find

    listed = [pair for uri in uris for entry in find(uri) for pair in _below(entry, recursive)]
    if as_json:
        click.echo(json.dumps([_to_dict(entry) for _, entry in listed], indent=2))
        return
    for name, entry in listed:
        click.echo(_line(name, entry))
    click.echo(_total([entry for _, entry in listed]))


def _below(entry: Entry, recursive: bool) -> list[tuple[str, Entry]]:
    """(the name to show, the entry) of `entry`'s content, or of itself if it is a file."""
    from mrmodel.driver.transfer_plan import told
    from mrmodel.errors import InputError
    from mrmodel.storage import relative, storage_for

    if not entry.is_dir:
        return [(entry.uri, entry)]
    try:
        found = storage_for(entry.uri).ls(entry.uri, recursive)
    except OSError as error:
        raise InputError(told(error)) from error
    return [(relative(below.uri, entry.uri), below) for below in found]


def _line(name: str, entry: Entry) -> str:
    import time

    from mrmodel.units import format_size

    size = "-" if entry.is_dir else format_size(entry.size)
    changed = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.mtime))
    return f"{size:>8}  {changed}  {_printable(name)}{'/' if entry.is_dir else ''}"


def _printable(name: str) -> str:
    """`name` without what would garble a terminal: control characters, bytes that are no text."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def _total(entries: list[Entry]) -> str:
    from mrmodel.units import format_size

    files = [entry for entry in entries if not entry.is_dir]
    folders = len(entries) - len(files)
    text = f"total {_count(len(files), 'file')}, {format_size(sum(e.size for e in files))}"
    return text + (f"; {_count(folders, 'folder')}" if folders else "")


def _to_dict(entry: Entry) -> dict:
    from datetime import datetime, timezone

    changed = datetime.fromtimestamp(entry.mtime, timezone.utc)
    kind = "folder" if entry.is_dir else "file"
    return {
        "uri": entry.uri,
        "type": kind,
        "size": entry.size,
        "modified": changed.isoformat(timespec="milliseconds"),
    }
