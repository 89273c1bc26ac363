"""``mrmodel run``: a job written down."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from mrmodel.cli.evaluate import evaluate
from mrmodel.cli.options import CONTEXT
from mrmodel.cli.predict import predict
from mrmodel.cli.train import train
from mrmodel.errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

COMMANDS = {"predict": predict, "evaluate": evaluate, "train": train}
# how a job file says what the command line says by position, or by another name
_NAMES = {
    "input": "inputs_",
    "format": "input_format",
    "type": "types",
    "conf_path": "conf_paths",
    "json": "as_json",
    "metric": "metrics",
}

# an option that has the key of an argument, of which it takes a list
_LISTS = {"model": "models"}


@click.command(
    context_settings={**CONTEXT, "ignore_unknown_options": True, "allow_extra_args": True}
)
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def run(file: Path, options: tuple[str, ...]) -> Any:
    """Run the job in FILE (TOML); OPTIONS of the command line win over the file.

    The keys are the options of the command without their dashes, and `command` (predict, evaluate,
    train), `model` (of predict also a list, as --model has it), `input` (one or a list) and
    `output`.

    \b
    Example file:
      model = "model.py:Net"
      input = ["hdfs:///data/*.parquet"]
      output = "hdfs:///predictions"
      runner = "hadoop"
      inputs = ["x", "y"]
      max-bad = "1%"
      [jobconf]
      "mapreduce.job.queuename" = "night"

    \b
    Examples:
      mrmodel run job.toml
      mrmodel run job.toml --resume --max-bad 2%
    """
    if str(file).startswith("-"):
        raise UsageError(
            f"expected the job file first but received {file}: mrmodel run FILE {file}"
        )
    values = _read(file)
    name = values.pop("command", "predict")
    if name not in COMMANDS:
        raise UsageError(f"{file}: command: expected {', '.join(COMMANDS)} but received {name!r}")
    command = COMMANDS[name]
    defaults = _defaults(file, command, values)
    with command.make_context(name, list(options), default_map=defaults) as context:
        return command.invoke(context)


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError as error:
        raise UsageError(f"job file {file} does not exist") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"job file {file} cannot be read as TOML: {error}") from error


def _defaults(file: Path, command: click.Command, values: dict[str, Any]) -> dict[str, Any]:
    """`values` by the names of the command's parameters. Raises UsageError for an unknown key."""
    parameters = {parameter.name: parameter for parameter in command.params}
    known = {_key(name) for name in parameters}
    defaults = {}
    for key, value in values.items():
        name = _parameter(key.replace("-", "_"), value, parameters)
        if name not in parameters or _key(name) != key.replace("_", "-"):
            raise UsageError(
                f"{file}: unknown key {key!r}: expected one of {', '.join(sorted(known))}"
            )
        defaults[name] = _listed(parameters[name], value)
    return defaults


def _parameter(key: str, value: Any, parameters: dict[str, click.Parameter]) -> str:
    several = _LISTS.get(key) if isinstance(value, list) else None
    return several if several in parameters else _NAMES.get(key, key)


def _key(name: str) -> str:
    names = {parameter: key for key, parameter in [*_NAMES.items(), *_LISTS.items()]}
    return names.get(name, name).replace("_", "-")


def _listed(parameter: click.Parameter, value: Any) -> Any:
    """One value where several may stand is a list of one; a table is its pairs."""
    several = getattr(parameter, "multiple", False) or parameter.nargs == -1
    if not several:
        return value
    if isinstance(value, dict):
        return [(str(k), str(v)) for k, v in value.items()]
    return value if isinstance(value, list) else [value]
