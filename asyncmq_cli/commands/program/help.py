"""`asyncmq help`."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from asyncmq_cli.cli.around_typer import CONTEXT, Command, lone
from asyncmq_cli.cli.options import argument
from asyncmq_cli.errors import UsageProblem, nearest

app = lone()


@app.command("help", cls=Command, context_settings=CONTEXT)
def help_(
    ctx: typer.Context,
    command: Annotated[list[str] | None, argument("[NOUN [VERB]]", "The command to explain.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Also explain the global options.")] = False,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="For programs: all commands with their options, and what they change."),
    ] = False,
) -> None:
    """Show the help of a command, as COMMAND --help does.

    \b
    Examples:
      asyncmq help
      asyncmq help jobs retry --all
      asyncmq help --json | jq -r '.commands[] | select(.changes == []) | .name'
    """
    root: Any = ctx.find_root().command
    if as_json:
        _print_document(root, " ".join(command or []))
        return
    words = [*(command or []), "--help", *(["--all"] if every else [])]
    root.main(args=words, prog_name="asyncmq", standalone_mode=False)


def _print_document(root: Any, wanted: str) -> None:
    """`wanted` is a noun or a command, or empty for all."""
    from asyncmq_cli.cli.help import command_tree
    from asyncmq_cli.output.json import program
    from asyncmq_cli.output.json.text import encode

    every = list(command_tree.commands(root))
    chosen = [each for each in every if f"{each.name} ".startswith(f"{wanted} ") or not wanted]
    if not chosen:
        near = nearest(wanted, [each.name for each in every])
        raise UsageProblem(
            f"there is no command {wanted!r}",
            hint=f"did you mean {near[0]!r}?" if near else "'asyncmq help' lists them",
        )
    document = program.commands(command_tree.of_root(root), chosen)
    sys.stdout.write(encode(document).decode() + "\n")
