"""`asyncmq help`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from asyncmq_cli.cli.around_typer import CONTEXT, Command, lone
from asyncmq_cli.cli.params import argument

app = lone()


@app.command("help", cls=Command, context_settings=CONTEXT)
def help_(
    ctx: typer.Context,
    command: Annotated[list[str] | None, argument("[NOUN [VERB]]", "The command to explain.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Explain the global options, too.")] = False,
) -> None:
    """Show how a command is used, as --help after it does.

    \b
    Examples:
      asyncmq help
      asyncmq help jobs retry --all
    """
    root: Any = ctx.find_root().command
    words = [*(command or []), "--help", *(["--all"] if every else [])]
    root.main(args=words, prog_name="asyncmq", standalone_mode=False)
