"""`asyncmq demo`."""

from __future__ import annotations

from typing import Annotated

import typer

from asyncmq_cli.cli.around_typer import CONTEXT, Command, lone
from asyncmq_cli.cli.params import argument

app = lone()


@app.command("demo", cls=Command, context_settings=CONTEXT)
def demo(
    ctx: typer.Context,
    command: Annotated[
        list[str] | None, argument("[-- COMMAND...]", "An asyncmq command to run in it, after --.")
    ] = None,
    shell: Annotated[
        bool, typer.Option("--shell", help="Open your shell with ASYNCMQ_REDIS_URL set to the demo.")
    ] = False,
) -> None:
    """Try everything on a throw-away Redis with a real AsyncMQ worker in it.

    \b
    Examples:
      asyncmq demo
      asyncmq demo -- jobs list emails --state failed
      asyncmq demo --shell
    """
    from asyncmq_cli.demo.run import demo as run

    raise typer.Exit(run(shell, list(command or [])))
