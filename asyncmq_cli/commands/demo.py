"""`asyncmq demo`."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from asyncmq_cli.commands.options import CONTEXT, Command


def register(app: typer.Typer) -> None:
    app.command("demo", cls=Command, context_settings=CONTEXT)(demo)


def demo(
    command: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Argument(
            metavar="[-- COMMAND...]", help="An asyncmq command to run in it, after --.", show_default=False
        ),
    ] = None,
    shell: Annotated[
        bool, typer.Option("--shell", help="Open your shell with ASYNCMQ_REDIS_URL set to it.")
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
