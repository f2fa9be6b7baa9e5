"""`asyncmq demo`."""

from __future__ import annotations

from typing import Annotated

import typer

from asyncmq_cli.cli.around_typer import CONTEXT, Command, lone
from asyncmq_cli.cli.options import argument
from asyncmq_cli.errors import UsageProblem

app = lone()


@app.command("demo", cls=Command, context_settings=CONTEXT)
def demo(
    ctx: typer.Context,
    command: Annotated[
        list[str] | None, argument("[-- COMMAND...]", "An asyncmq command to run in it, after --.")
    ] = None,
    shell: Annotated[
        bool,
        typer.Option("--shell", help="Open a shell on the demo, with TAB completion."),
    ] = False,
    ui: Annotated[
        bool, typer.Option("--ui", help="Open the interactive screen of 'asyncmq ui' on the demo.")
    ] = False,
) -> None:
    """Try everything on a private, temporary Redis with real AsyncMQ workers.

    \b
    Examples:
      asyncmq demo
      asyncmq demo -- jobs list emails --state failed
      asyncmq demo --shell
      asyncmq demo --ui
    """
    from asyncmq_cli.demo.run import demo as run

    if ui and (shell or command):
        raise UsageProblem("--ui opens the screen alone", hint="'asyncmq demo --ui'")
    raise typer.Exit(run(shell, ["ui"] if ui else list(command or [])))
