"""Follow a command line through the tree of commands, and find the completion candidates for its last word,
in the program itself or in Redis."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from typing import Any

import typer
from msgspec import Struct, field

from asyncmq_cli.cli.options import fields_of
from asyncmq_cli.models.program import Candidate


class Place(Struct):
    """The position on a command line: the words before the one that is being typed.

    `given` has the values by the parameter's name; a flag has an empty list. `pending` is the option whose
    value comes next. `problem` says that no command accepts these words, and `is_elsewhere` that the line is
    for another Redis than the configured one.
    """

    node: Any
    context: Any
    command: tuple[str, ...] = ()
    given: dict[str, list[str]] = field(default_factory=dict)
    pending: Any = None
    only_arguments: bool = False
    problem: bool = False
    is_elsewhere: bool = False
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


COMMAND_LINE, FILES, COLUMNS = "command line", "files", "columns"
_KINDS = {
    "FILE": FILES,
    "QUEUE": "queues",
    "GLOB": "queues",
    "TASK": "tasks",
    "job_id": "jobs",
    "job_ids": "jobs",
    "repeatable_id": "repeatables",
    "repeatable_ids": "repeatables",
    "group": "groups",
    "task": "tasks",
    "command": COMMAND_LINE,
    "fields": COLUMNS,
    "COLUMN": COLUMNS,
    "globs": "queues",
    "EVENT": "edits",
}
NEEDS_A_BEGINNING = ("jobs",)


def kind_of(param: Any) -> str | None:
    """The kind of value of a parameter, by its metavar or its name; None if it is not completed from Redis. A
    new option with one of these names is completed in the same way."""
    return _KINDS.get(str(param.metavar).strip("[].")) or _KINDS.get(param.name)


_LONGEST_WAIT = 60.0
"""The longest time that completion may wait for Redis, in seconds."""
_ENVIRONMENT = re.compile(r"\$\{(\w+)\}|\$(\w+)")


class Answer(Struct, frozen=True):
    candidates: Sequence[Candidate] = ()
    files: bool = False
    """Whether the shell should also offer names of files."""


def answer(root: Any, words: Sequence[str], current: str) -> Answer:
    """The candidates for the word `current`, which comes after `words`."""
    return _at(root, walk(root, words), current)


def _at(root: Any, place: Place, current: str) -> Answer:
    if place.problem:
        return Answer()
    if place.pending is not None:
        return _values(root, place, place.pending, current)
    if not place.only_arguments and current.startswith("-"):
        place.enter_default()
        name, equals, value = current.partition("=")
        option = place.option(name) if equals else None
        if not equals:
            return Answer(_beginning(_options(place), current))
        return _behind_equals(root, place, option, name, value)
    if place.subcommands:
        return Answer(_beginning(_commands(place), current))
    if place.argument is None:
        return Answer(_beginning(_options(place), current) if not place.only_arguments else ())
    return _values(root, place, place.argument, current)


def _behind_equals(root: Any, place: Place, option: Any, name: str, value: str) -> Answer:
    if option is None or not takes_value(option):
        return Answer()
    found = _values(root, place, option, value)
    return Answer([Candidate(f"{name}={one.value}", one.about) for one in found.candidates], found.files)


def _values(root: Any, place: Place, param: Any, current: str) -> Answer:
    choices = param.shell_complete(place.context, current)
    if choices:
        return Answer([Candidate(choice.value) for choice in choices])
    kind = kind_of(param)
    if kind == FILES:
        return Answer(files=True)
    if kind == COLUMNS:
        return Answer(_columns(place, current))
    if kind == COMMAND_LINE:
        inner = walk(root, place.given.get(param.name, []))
        inner.is_elsewhere = True
        return _at(root, inner, current)
    if kind is None:
        return Answer()
    if param.param_type_name != "argument":
        return Answer(_live(place, kind, current))
    if kind in NEEDS_A_BEGINNING and not current:
        return Answer([] if place.only_arguments else _options(place))
    if _may_be_a_job(place, param) and current:
        # In `[QUEUE] ID…`, the first word may also be an id.
        return Answer([*_live(place, kind, current), *_live(place, "jobs", current)])
    known = place.given.get(param.name, [])
    candidates = [one for one in _live(place, kind, current) if one.value not in known]
    # A word that begins with `-` would be read as an option, so do not offer it.
    return Answer([o for o in candidates if place.only_arguments or not o.value.startswith("-")])


def _columns(place: Place, current: str) -> list[Candidate]:
    """The names of columns that are not used yet, each after the names already typed, or after the sign of
    `--sort`."""
    before, comma, begun = ("", "-", current[1:]) if current.startswith("-") else current.rpartition(",")
    taken = before.lower().split(",")
    names = fields_of(place.command, place.last("state"))
    return [
        Candidate(f"{before}{comma}{name}")
        for name in names
        if name.startswith(begun.lower()) and name not in taken
    ]


def _live(place: Place, kind: str, current: str) -> Sequence[Candidate]:
    if place.is_elsewhere:
        return []
    url = place.last("redis_url")
    if url is not None and "$" in url:
        # zsh and fish pass a variable unexpanded.
        url = _ENVIRONMENT.sub(lambda name: os.environ.get(name[1] or name[2], name[0]), url)
        if "$" in url:
            return []
    from asyncmq_cli import config
    from asyncmq_cli.durations import seconds
    from asyncmq_cli.services.candidates import PATIENCE, CandidateRequest, live

    queue = place.last("queue")
    setting = os.environ.get("ASYNCMQ_COMPLETION_TIMEOUT")
    patience = min(_LONGEST_WAIT, seconds(setting) if setting else PATIENCE)
    # If several contexts are given, names of queues and jobs come from the first.
    context = (place.last("context") or "").partition(",")[0] or None
    asked = {"redis_url": url, "context": context, "settings": place.last("settings")}
    where = config.resolve(asked, ask=False)
    if where.is_unasked:
        # Importing an application takes longer than TAB may.
        return []
    return live(where, CandidateRequest(kind, current, place.command, queue), patience)


def _may_be_a_job(place: Place, param: Any) -> bool:
    others = {each.name for each in place.parameters}
    return param.name == "queue" and not param.required and not others.isdisjoint(("job_id", "job_ids"))


def _commands(place: Place) -> list[Candidate]:
    return [Candidate(name, text) for name, text, _ in place.node.entries()]


def _options(place: Place) -> list[Candidate]:
    """The options that are not on the line yet, or may be repeated. Long names come first."""
    left = [option for option in place.options if option.multiple or option.name not in place.given]
    names = [(name, option.help or "") for option in left for name in (*option.opts, *option.secondary_opts)]
    return [Candidate(name, about) for name, about in sorted(names, key=lambda each: each[0][:2] != "--")]


def _beginning(candidates: Iterable[Candidate], current: str) -> list[Candidate]:
    found = [one for one in candidates if one.value.startswith(current)]
    long = [one for one in found if one.value[:1] != "-" or one.value[:2] == "--"]
    return long if long and current != "-" else found
