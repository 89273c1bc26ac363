"""``mrmodel doctor``."""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import click

from mrmodel.cli.options import CONTEXT, set_up_logging

if TYPE_CHECKING:
    from mrmodel.driver.checks.base import Finding

_COLOURS = {"ok": "green", "warn": "yellow", "FAIL": "red", "skip": "bright_black"}
_MARK_WIDTH = 6


@click.command(context_settings=CONTEXT)
@click.option(
    "-r",
    "--runner",
    type=click.Choice(["inline", "local", "hadoop"]),
    default="inline",
    show_default=True,
    help="Where jobs are to run: on this machine, or on YARN.",
)
@click.option("--deep", is_flag=True, help="Also run a job of one task, and tell what it found.")
@click.option(
    "--python", metavar="PATH", help="Python interpreter on the nodes, for --deep.  [default: this]"
)
@click.option(
    "--memory", metavar="SIZE", help="Memory of a container.  [default: that of a small model]"
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("-v", "--verbose", count=True, help="Tell what happens inside; -vv tells more.")
@click.pass_context
def doctor(ctx: click.Context, verbose: int, as_json: bool, **options: Any) -> None:
    """Check that jobs can run here, or on the cluster that HADOOP_CONF_DIR describes.

    Every line says what was found and, behind an arrow, what to do about it.

    \b
    Examples:
      mrmodel doctor
      mrmodel doctor -r hadoop
      mrmodel doctor -r hadoop --deep --python /opt/venv/bin/python

    Exit codes: 0 nothing fails; 2 installation or configuration is wrong; 4 a service does not
    answer.
    """
    set_up_logging(verbose, False)
    from mrmodel.driver.checks.base import Request
    from mrmodel.driver.doctor import checks_for, examine
    from mrmodel.tasks.stdio import stdout_to_stderr

    request = Request(**options)
    if as_json:
        with stdout_to_stderr():
            report = examine(request)
        click.echo(json.dumps(report.to_dict(), indent=2))
    else:
        table = _Table(max(len(check.name) for check in checks_for(request)))
        report = examine(request, table.start, table.tell)
        click.echo(", ".join(f"{n} {mark}" for mark, n in sorted(report.counts.items())))
    ctx.exit(report.exit_code)


class _Table:
    """The lines, each printed when it is known. On a terminal they are coloured and wrapped;
    elsewhere a check is one line, for grep."""

    def __init__(self, names: int):
        self._indent = _MARK_WIDTH + names + 2
        self._terminal = sys.stdout.isatty()
        self._colour = self._terminal and "NO_COLOR" not in os.environ

    def start(self, name: str) -> None:
        if self._terminal:
            click.echo(f"{'...':<{_MARK_WIDTH}}{name}", nl=False)

    def tell(self, name: str, finding: Finding) -> None:
        if self._terminal:
            click.echo("\r\x1b[K", nl=False)
        told = f"{finding.found} -> {finding.remedy}" if finding.remedy else finding.found
        head = f"{finding.mark:<{_MARK_WIDTH}}{name:<{self._indent - _MARK_WIDTH}}"
        click.echo(self._painted(finding.mark, self._wrapped(head + " ".join(told.split()))))
        for line in finding.detail.splitlines():
            click.echo(" " * self._indent + line)

    def _wrapped(self, line: str) -> str:
        if not self._terminal:
            return line
        width = max(self._indent + 30, shutil.get_terminal_size().columns - 1)
        return textwrap.fill(
            line, width, subsequent_indent=" " * self._indent, break_on_hyphens=False,
            break_long_words=False, drop_whitespace=True,
        )  # fmt: skip

    def _painted(self, mark: str, text: str) -> str:
        if not self._colour:
            return text
        return click.style(text[:_MARK_WIDTH], fg=_COLOURS[mark]) + text[_MARK_WIDTH:]
