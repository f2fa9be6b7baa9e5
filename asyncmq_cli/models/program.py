"""The commands of the program, as help, manual and `help --json` have them, and completion candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Parameter:
    """An argument or an option. `name` is the one in the help: `--state STATE`. `options` are only its
    names; `metavar` is the name of its value, None for a flag."""

    name: str
    text: str
    default: str | None = None
    env: str | None = None
    required: bool = False
    options: Sequence[str] = ()
    metavar: str | None = None
    repeatable: bool = False
    choices: Sequence[str] = ()


@dataclass(frozen=True)
class Command:
    """`path` is without the program's name; `text` are paragraphs."""

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


@dataclass(frozen=True)
class Noun:
    name: str
    text: Sequence[str]
    commands: Sequence[Command]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A word that may be typed next, and its description."""

    value: str
    about: str = ""
