"""What the commands' options have in common: their types and how they are told."""

from __future__ import annotations

import json
import logging
from typing import Any

import click

from mrmodel.units import parse_columns

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Columns(click.ParamType):
    """``COL,...``, or a list in a job file."""

    name = "COL,..."

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, ...]:
        if isinstance(value, str):
            return parse_columns(value) or ()
        if not isinstance(value, list | tuple) or not all(isinstance(v, str) for v in value):
            self.fail(f"expected column names but received {value!r}", param, ctx)
        return tuple(value)


class JsonObject(click.ParamType):
    """A JSON object, or a table in a job file."""

    name = "JSON"

    def convert(self, value: Any, param: Any, ctx: Any) -> dict[str, Any]:
        if isinstance(value, dict):
            return value
        try:
            found = json.loads(value)
        except ValueError as error:
            self.fail(f"expected a JSON object but received {value!r}: {error}", param, ctx)
        if not isinstance(found, dict):
            self.fail(
                f'expected a JSON object such as {{"width": 8}}, received {value}', param, ctx
            )
        return found


class Pair(click.ParamType):
    """``KEY=VALUE``."""

    name = "KEY=VALUE"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        key, equals, rest = str(value).partition("=")
        if not equals or not key:
            self.fail(f"expected KEY=VALUE but received {value!r}", param, ctx)
        return key, rest


class ImageSize(click.ParamType):
    """``HEIGHTxWIDTH`` in pixels."""

    name = "HxW"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, int]:
        if isinstance(value, list | tuple):
            value = "x".join(map(str, value))
        height, x, width = str(value).lower().partition("x")
        if not (x and height.isdigit() and width.isdigit() and int(height) and int(width)):
            self.fail(f"expected HEIGHTxWIDTH, 224x224 say, but received {value!r}", param, ctx)
        return int(height), int(width)


def set_up_logging(verbose: int, quiet: bool) -> None:
    """-v shows mrmodel's and mrjob's log; -vv also what libraries say."""
    level = logging.ERROR if quiet else logging.DEBUG if verbose else logging.WARNING
    logging.basicConfig(format="%(name)s: %(message)s", level=level if verbose < 2 else 0)
    logging.getLogger("mrmodel").setLevel(level)
    if verbose:
        logging.getLogger("mrjob").propagate = True
    elif not quiet:
        logging.getLogger().setLevel(logging.WARNING)
