"""``mrmodel completion``."""

from __future__ import annotations

import click

from mrmodel.cli.options import CONTEXT


@click.command(context_settings=CONTEXT)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the tab completion for SHELL.

    \b
    Examples:
      eval "$(mrmodel completion bash)"         # in ~/.bashrc
      eval "$(mrmodel completion zsh)"          # in ~/.zshrc
      mrmodel completion fish | source          # in config.fish
    """
    from click.shell_completion import get_completion_class

    from mrmodel.cli.main import cli

    kind = get_completion_class(shell)
    click.echo(kind(cli, {}, "mrmodel", "_MRMODEL_COMPLETE").source())
