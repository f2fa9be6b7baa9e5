"""Read the commands from the built Typer program, for `help --json`, docs/commands.md and the manual page."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from asyncmq_cli.cli.params import GLOBAL_OPTIONS
from asyncmq_cli.models.program import Command, Noun, Parameter

PROGRAM = "asyncmq"

_NOTE = re.compile(r"\s*\[([^\[\]]+)\]\Z")
_KNOWN_NOTE = re.compile(r"env(?: var)?: |default: |required\Z|[\d.-]*(?:<=?)?x(?:[<>]=?[\d.-]+)?\Z")


def of_root(root: Any) -> Command:
    """The program itself with its global options. `root` is the built program."""
    return _command(root, ())


def tree(root: Any) -> Iterator[Noun | Command]:
    """Nouns with their verbs, and commands without a noun, in the order of the program's help."""
    for name, command in shown(root):
        if not hasattr(command, "commands"):
            yield _command(command, (name,))
            continue
        verbs = [_command(verb, (name, word)) for word, verb in shown(command)]
        yield Noun(name, _paragraphs(command.help or "")[0], verbs)


def commands(root: Any) -> Iterator[Command]:
    for one in tree(root):
        if isinstance(one, Noun):
            yield from one.commands
        else:
            yield one


def shown(group: Any) -> list[tuple[str, Any]]:
    context = _context(group, ())
    found = [(name, group.get_command(context, name)) for name in group.list_commands(context)]
    return [(name, command) for name, command in found if not command.hidden]


def _context(command: Any, path: Sequence[str]) -> Any:
    return command.make_context(" ".join((PROGRAM, *path)), [], resilient_parsing=True)


def _command(command: Any, path: tuple[str, ...]) -> Command:
    context = _context(command, path)
    text, examples = _paragraphs(command.help or "")
    arguments, own, shared = [], [], []
    for param in command.get_params(context):
        record = param.get_help_record(context)
        if record is None:
            continue
        if param.param_type_name == "argument":
            arguments.append(_parameter(param, param.metavar, record[1]))
        elif param.name == "help" or _is_global(param):
            shared.append(_parameter(param, *record))
        else:
            own.append(_parameter(param, *record))
    return Command(
        path=path,
        usage=" ".join((context.command_path, *command.collect_usage_pieces(context))),
        text=text,
        examples=examples,
        arguments=arguments,
        options=own,
        global_options=shared,
        takes=frozenset(_options(command)),
    )


def _is_global(param: Any) -> bool:
    """Whether this is the global option as declared; `check` adds short names to some."""
    if param.name not in GLOBAL_OPTIONS:
        return False
    declared = GLOBAL_OPTIONS[param.name][0].__metadata__[0]
    return set(param.opts) <= {declared.default, *declared.param_decls}


def _options(command: Any) -> Iterator[str]:
    for param in command.params:
        if param.param_type_name == "option" and not param.hidden:
            yield from param.opts


def _paragraphs(text: str) -> tuple[list[str], list[str]]:
    """The paragraphs of a help text without its examples, and the lines of the examples."""
    said, examples = [], []
    for part in text.split("\n\n"):
        if part.startswith("\b\nExample"):
            examples = [line.strip() for line in part.splitlines()[2:]]
        else:
            said.append(" ".join(part.replace("\b", "").split()))
    return said, examples


def _parameter(param: Any, name: str, text: str) -> Parameter:
    """Parse an argument or option: move the notes in brackets, such as `[default: 10]`, from the help text
    into fields."""
    facts: dict[str, str] = {}
    while (found := _NOTE.search(text)) and _KNOWN_NOTE.match(found[1].split("; ")[0]):
        text = text[: found.start()]
        last = ""
        for note in found[1].split("; "):
            key, _, value = note.partition(": ")
            if key in ("env", "env var", "default"):
                last = key.split()[0]
                facts[last] = value
            elif note == "required":
                facts["required"] = note
            elif last and not _KNOWN_NOTE.match(note):
                facts[last] += f"; {note}"
    is_argument = param.param_type_name == "argument"
    return Parameter(
        name.rstrip("."),
        text.strip(),
        facts.get("default"),
        facts.get("env"),
        param.required or "required" in facts,
        () if is_argument else (*param.opts, *param.secondary_opts),
        None if getattr(param, "is_flag", False) else param.metavar,
        param.multiple or param.nargs == -1,
        getattr(param.callback, "choices", ()),
    )
