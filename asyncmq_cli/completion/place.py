"""Find what comes next on a command line by walking the tree of commands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import typer
from msgspec import Struct, field


class Place(Struct):
    """The position on a command line: the words before the one that is being typed.

    `given` has the values by the parameter's name; a flag has an empty list. `pending` is the option whose
    value comes next. `problem` says that no command accepts these words.
    """

    node: Any
    context: Any
    command: tuple[str, ...] = ()
    given: dict[str, list[str]] = field(default_factory=dict)
    pending: Any = None
    only_arguments: bool = False
    problem: bool = False
    filled: int = 0

    def last(self, name: str) -> str | None:
        """The last value that was given for a parameter, which is the one that counts; None if there is
        none."""
        return next(reversed(self.given.get(name, [])), None)

    @property
    def parameters(self) -> list[Any]:
        return list(self.node.get_params(self.context))

    @property
    def options(self) -> list[Any]:
        return [p for p in self.parameters if p.param_type_name == "option" and not p.hidden]

    @property
    def argument(self) -> Any:
        """The argument that comes next, or None. Hidden arguments are not offered."""
        left = self.filled
        for param in self.parameters:
            if param.param_type_name != "argument":
                continue
            if param.nargs < 0 or left < param.nargs:
                return None if param.hidden else param
            left -= param.nargs
        return None

    def enter_default(self) -> None:
        """Options directly after a noun belong to its default verb."""
        verb = getattr(self.node, "default_verb", None)
        if verb is not None:
            _take_word(self, verb)

    @property
    def subcommands(self) -> dict[str, Any]:
        return getattr(self.node, "commands", {})

    def option(self, name: str) -> Any:
        for param in self.parameters:
            if param.param_type_name == "option" and name in (*param.opts, *param.secondary_opts):
                return param
        return None


def walk(root: Any, words: Sequence[str]) -> Place:
    """The position after these words, which do not include the name of the program."""
    place = Place(root, typer.Context(root, info_name="asyncmq"))
    for word in words:
        _step(place, word)
    return place


def takes_value(option: Any) -> bool:
    return not option.is_flag and not option.count


def _step(place: Place, word: str) -> None:
    if place.pending is not None:
        place.given.setdefault(place.pending.name, []).append(word)
        place.pending = None
    elif place.only_arguments or word == "-" or not word.startswith("-"):
        _take_word(place, word)
    elif word == "--":
        place.only_arguments = True
    elif word.startswith("--"):
        _set(place, *word.partition("="))
    else:
        _set_short(place, word[1:])


def _take_word(place: Place, word: str) -> None:
    if place.subcommands:
        node = place.node.get_command(place.context, word)
        if node is None:
            place.problem = True
            return
        place.node, place.context = node, typer.Context(node, info_name=node.name, parent=place.context)
        place.command = (*place.command, str(node.name))
        return
    argument = place.argument
    place.filled += 1
    if argument is not None:
        place.given.setdefault(argument.name, []).append(word)


def _set(place: Place, name: str, equals: str, value: str) -> None:
    place.enter_default()
    option = place.option(name)
    if option is None:
        return
    values = place.given.setdefault(option.name, [])
    if equals:
        values.append(value)
    elif takes_value(option):
        place.pending = option


def _set_short(place: Place, letters: str) -> None:
    place.enter_default()
    for number, letter in enumerate(letters, 1):
        option = place.option(f"-{letter}")
        if option is None:
            return
        values = place.given.setdefault(option.name, [])
        if takes_value(option):
            if number < len(letters):
                values.append(letters[number:])
            else:
                place.pending = option
            return
