"""`asyncmq help`."""

from __future__ import annotations

import inspect
from typing import Annotated, Any

import typer

from asyncmq_cli.commands.options import CONTEXT_PARAMETER, dress
from asyncmq_cli.commands.tree import CONTEXT, Command


def register(app: typer.Typer) -> None:
    # Without the global options: nothing is read, and nothing but text is printed.
    def invoke(ctx: typer.Context, **given: Any) -> None:
        help_(ctx, **given)

    parameters = list(inspect.signature(help_, eval_str=True).parameters.values())[1:]
    dress(invoke, help_, [CONTEXT_PARAMETER, *parameters])
    app.command("help", cls=Command, context_settings=CONTEXT)(invoke)


def help_(
    ctx: typer.Context,
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NOUN [VERB]]", help="The command that is meant.", show_default=False),
    ] = None,
) -> None:
    """Show how a command is used: the same as --help behind it.

    \b
    Examples:
      asyncmq help
      asyncmq help jobs retry
    """
    root: Any = ctx.find_root().command
    root.main(args=[*(command or []), "--help"], prog_name="asyncmq", standalone_mode=False)
