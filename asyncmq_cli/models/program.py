"""The commands of the program, for the help, the manual and `help --json`; and completion candidates."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct, field


class Parameter(Struct, frozen=True):
    """An argument or an option. `name` is its heading in the help: `--state STATE`. `options` are its names
    only; `metavar` is the name of its value, or None for a flag."""

    name: str
    text: str
    default: str | None = None
    env: str | None = None
    required: bool = False
    options: Sequence[str] = ()
    metavar: str | None = None
    repeatable: bool = False
    choices: Sequence[str] = ()


class Command(Struct, frozen=True):
    """A command. `path` is its words without the program's name; `text` has one string per paragraph; `takes`
    has the names of all options that it accepts."""

    path: tuple[str, ...]
    usage: str
    text: Sequence[str]
    examples: Sequence[str]
    arguments: Sequence[Parameter]
    options: Sequence[Parameter]
    global_options: Sequence[Parameter]
    takes: frozenset[str] = field(default_factory=frozenset)

    @property
    def name(self) -> str:
        return " ".join(self.path)


class Noun(Struct, frozen=True):
    name: str
    text: Sequence[str]
    commands: Sequence[Command]


class Candidate(Struct, frozen=True):
    """A word that completion offers, and its description."""

    value: str
    about: str = ""
