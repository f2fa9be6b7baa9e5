"""`asyncmq demo`."""

from __future__ import annotations

import inspect
from typing import Annotated, Any

import typer

from asyncmq_cli.commands.options import dress
from asyncmq_cli.commands.tree import CONTEXT, Command


def register(app: typer.Typer) -> None:
    # Without the global options: the demo brings its own Redis.
    def invoke(**given: Any) -> None:
        demo(**given)

    dress(invoke, demo, list(inspect.signature(demo, eval_str=True).parameters.values()))
    app.command("demo", cls=Command, context_settings=CONTEXT)(invoke)


def demo(
    command: Annotated[
        list[str] | None,
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
