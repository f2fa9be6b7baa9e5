"""Documents about the program: its commands for `help --json`, and its JSON Schemas."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asyncmq_cli import __version__
from asyncmq_cli.exit_status import OF_COMMANDS, ExitStatus
from asyncmq_cli.models.audit.actions import ACTIONS, ON_SCREEN

if TYPE_CHECKING:
    from asyncmq_cli.models.program import Command, Parameter

Document = dict[str, Any]

_KEEPS_HISTORY = {
    "metrics show": "--no-record",
    "metrics record": None,
    "metrics serve": "--no-record",
    "events tail": "--no-record",
}
"""Commands that add a snapshot to the metrics history, each with the option that prevents it."""
_WHOLE_NUMBER = "N"
_REFERENCE = re.compile(r'"\$ref": "([\w-]+)\.json')
_INSTALLED = Path(__file__).parents[2] / "schemas"
_CHECKOUT = Path(__file__).parents[3] / "docs" / "schemas"


def commands(root: Command, chosen: Sequence[Command]) -> Document:
    """The document of `help --json`. `root` has the global options, which every command accepts."""
    return {
        "name": "asyncmq-cli",
        "version": __version__,
        "exit_statuses": _statuses({int(status): status.meaning for status in ExitStatus}),
        "global_options": [_option(each) for each in root.global_options],
        "commands": [_command(each) for each in chosen],
    }


def _command(command: Command) -> Document:
    return {
        "name": command.name,
        "usage": command.usage,
        "description": "\n\n".join(command.text),
        "examples": list(command.examples),
        "arguments": [_argument(each) for each in command.arguments],
        "options": [_option(each) for each in command.options],
        "exit_statuses": _statuses(OF_COMMANDS.get(command.name, {})),
        "changes": [
            {"action": action.name, "only_with": _only_with(action.command, command.name)}
            for action in ACTIONS
            if action.command == command.name
            or _only_with(action.command, command.name)
            or (command.name == "ui" and action.name in ON_SCREEN)
        ],
        "adds_to_history": command.name in _KEEPS_HISTORY,
        "adds_to_history_unless": _KEEPS_HISTORY.get(command.name),
    }


def _statuses(meanings: Mapping[int, str]) -> list[Document]:
    return [{"status": status, "meaning": meaning.replace("`", "")} for status, meaning in meanings.items()]


def _only_with(line: str, name: str) -> str | None:
    """The option, if a line is a command with an option: `--repair` of `doctor --repair` for `doctor`; else
    None."""
    return line[len(name) + 1 :] if line.startswith(f"{name} --") else None


def _argument(argument: Parameter) -> Document:
    return {
        "name": argument.name,
        "description": argument.text,
        "required": argument.required,
        "repeatable": argument.repeatable,
    }


def _option(option: Parameter) -> Document:
    return {
        "names": list(option.options),
        "value": option.metavar,
        "type": _type(option),
        "description": option.text,
        "default": option.default,
        "choices": list(option.choices) or None,
        "environment": (option.env or "").split(", ") if option.env else [],
        "required": option.required,
        "repeatable": option.repeatable,
    }


def _type(option: Parameter) -> str:
    if option.metavar is None:
        return "boolean"
    return "integer" if option.metavar == _WHOLE_NUMBER else "string"


def schema_names() -> list[tuple[str, str]]:
    """The name and the title of each JSON Schema."""
    return [(file.stem, str(_read(file.stem)["title"])) for file in sorted(_folder().glob("*.json"))]


def schema(name: str) -> Document:
    """A self-contained JSON Schema: the schemas that it refers to are in `$defs`. Raises KeyError for an
    unknown name."""
    if name not in dict(schema_names()):
        raise KeyError(name)
    whole = {"$id": f"{name}.json", **_read(name)}
    others = {f"{each}.json": {"$id": f"{each}.json", **_read(each)} for each in _referred_to(name)}
    return {**whole, "$defs": {**whole.get("$defs", {}), **others}} if others else whole


def _referred_to(name: str) -> list[str]:
    """The other schemas that this one refers to, directly or through others."""
    found, left = {name}, [name]
    while left:
        new = set(_REFERENCE.findall(json.dumps(_read(left.pop())))) - found
        found |= new
        left += new
    return sorted(found - {name})


def _folder() -> Path:
    """The folder of the schemas: in an installed package it is beside the code, in a checkout it is in
    docs."""
    return _INSTALLED if _INSTALLED.is_dir() else _CHECKOUT


def _read(name: str) -> Document:
    document: Document = json.loads((_folder() / f"{name}.json").read_text(encoding="utf-8"))
    return document
