"""The commands of the built program, for the tools that document them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import typer

from asyncmq_cli.app import app
from asyncmq_cli.cli.help import command_tree
from asyncmq_cli.cli.help.command_tree import PROGRAM
from asyncmq_cli.cli.options import with_values
from asyncmq_cli.models.program import Command, Noun


def built() -> Any:
    return typer.main.get_command(app)


def root() -> Command:
    return command_tree.of_root(built())


def tree() -> Iterator[Noun | Command]:
    return command_tree.tree(built())


def commands() -> Iterator[Command]:
    return command_tree.commands(built())


def parse(words: Sequence[str]) -> None:
    """Read a command line as the program would, without doing it. Raises what the program would."""
    command, context = built(), None
    name, rest = PROGRAM, with_values(words)
    while True:
        context = command.make_context(name, rest, parent=context)
        if not hasattr(command, "commands"):
            return
        left = [*context._protected_args, *context.args]
        if not left:
            return
        name, command, rest = command.resolve_command(context, left)
