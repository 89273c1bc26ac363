"""`mrmodel model`: look at models."""

from __future__ import annotations

import json
from typing import Any

import click

from mrmodel.errors import UsageError


@click.group()
def model() -> None:
    """Look at models."""


@model.command()
@click.argument("model")
@click.option("--weights", metavar="PATH", help="Weights to load: a safetensors or state dict.")
@click.option("--model-args", metavar="JSON", default="{}", help="Constructor arguments.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def inspect(model: str, weights: str | None, model_args: str, as_json: bool) -> None:
    """Load MODEL as a task would and say what it is: parameters, dtypes, bytes, hash, what it
    expects, and whether the weights match.

    MODEL is path/to/file.py:Name, package.module:Name or a torch.export file.pt2.

    \b
    Example:
      mrmodel model inspect net.py:Net --weights net.safetensors
    """
    args = _parse_args(model_args)
    # torch takes seconds to import: not before the command is known to be well formed
    from mrmodel.models.inspect import inspect_model

    found = inspect_model(model, weights=weights, model_args=args)
    click.echo(json.dumps(found.to_dict(), indent=2) if as_json else found.to_text())


def _parse_args(text: str) -> dict[str, Any]:
    try:
        args = json.loads(text)
    except ValueError as e:
        raise UsageError(f"--model-args: not valid JSON: {e}") from e
    if not isinstance(args, dict):
        raise UsageError(
            f"--model-args: expected a JSON object such as '{{\"width\": 64}}' but received {text}"
        )
    return args
