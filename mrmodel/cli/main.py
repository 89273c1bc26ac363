"""The ``mrmodel`` command. Sub-commands are imported when they are called for, not before."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from contextlib import suppress
from importlib import import_module

import click

from mrmodel.cli.options import CONTEXT
from mrmodel.errors import MrmodelError
from mrmodel.imports import end_process
from mrmodel.version import __version__

# name → (where, what it says in --help)
COMMANDS = {
    "predict": ("mrmodel.cli.predict:predict", "Run a model over data and write its predictions."),
    "evaluate": ("mrmodel.cli.evaluate:evaluate", "Measure a model on data with labels."),
    "train": ("mrmodel.cli.train:train", "Train a model on data where it lies."),
    "run": ("mrmodel.cli.run:run", "Run a job written down in a TOML file."),
    "data": ("mrmodel.cli.data:data", "Put, get, list and inspect data."),
    "model": ("mrmodel.cli.model:model", "Look at a model."),
    "doctor": ("mrmodel.cli.doctor:doctor", "Check that jobs can run here, or on a cluster."),
    "completion": ("mrmodel.cli.completion:completion", "Print the tab completion for a shell."),
}


class LazyGroup(click.Group):
    """A group whose commands live in modules of their own, imported on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[name][0].partition(":")
        return getattr(import_module(module), attribute)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings=CONTEXT)
@click.version_option(__version__, prog_name="mrmodel")
def cli() -> None:
    """Run any PyTorch model as MapReduce jobs, over data where it lies.

    \b
    Examples:
      mrmodel predict model.py:Net data/ -o out --weights net.safetensors
      mrmodel predict model.py:Net hdfs:///data -o hdfs:///out -r hadoop
      mrmodel data inspect hdfs:///data
      mrmodel doctor -r hadoop

    Exit codes: 0 complete; 1 the job failed; 2 wrong usage, unreadable input or model; 3 complete
    but with more bad rows than allowed; 4 cluster or service unreachable; 130 interrupted.
    """


def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    _quiet_libraries()
    try:
        return cli.main(argv, prog_name="mrmodel", standalone_mode=False) or 0
    except MrmodelError as error:
        return _fail(error.message, error.exit_code, error.detail)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return _fail("interrupted", 130)
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except OSError as error:
        return _fail(f"{type(error).__name__}: {error}", 1, _stack_if_wanted())
    except Exception as error:  # noqa: BLE001 a person should see one line before the stack
        line = f"{type(error).__name__}: {error} (this is a bug in mrmodel: please report it)"
        return _fail(line, 1, traceback.format_exc())


def entry() -> None:
    """The command as a process: `main`, and the end."""
    code = main()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    if "hdfs_native" in sys.modules:
        # a call of it that still runs in a thread, after Ctrl-C say, would abort Python's own end
        os._exit(code)
    end_process(code)


def _fail(message: str, code: int, detail: str = "") -> int:
    click.echo(f"Error: {message}", err=True)
    if detail:
        click.echo(detail.rstrip(), err=True)
    return code


def _stack_if_wanted() -> str:
    return traceback.format_exc() if logging.getLogger("mrmodel").level == logging.DEBUG else ""


def _quiet_libraries() -> None:
    """mrjob talks much about what mrmodel says in its own words; -v brings it back."""
    logging.getLogger("mrjob").propagate = False
