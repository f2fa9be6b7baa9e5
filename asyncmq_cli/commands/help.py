"""`asyncmq help`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from asyncmq_cli.cli.decorators import bare_command
from asyncmq_cli.cli.params import argument


def register(app: typer.Typer) -> None:
    bare_command(app, "help")(help_)


def help_(
    ctx: typer.Context,
    command: Annotated[list[str] | None, argument("[NOUN [VERB]]", "The command that is meant.")] = None,
) -> None:
    """Show how a command is used: the same as --help behind it.

    \b
    Examples:
      asyncmq help
      asyncmq help jobs retry
    """
    root: Any = ctx.find_root().command
    root.main(args=[*(command or []), "--help"], prog_name="asyncmq", standalone_mode=False)
