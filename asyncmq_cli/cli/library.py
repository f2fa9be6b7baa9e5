"""The command line of the AsyncMQ library, whose console script is called `asyncmq` as well.

`translate` parses a line as that program would. What both programs can do, our commands do; what only the
library can do, such as starting a worker, is handed over to it. Its nouns are singular, and its options
follow the verb."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from msgspec import Struct

from asyncmq_cli.errors import AdminError, command_line
from asyncmq_cli.system.shortage import noun_place

HANDED_OVER = "_ASYNCMQ_CLI_HANDED_OVER"
"""Counts how often a line was handed over to a program on PATH, which may be this program again: this
prevents an endless loop."""
_MOST_OFTEN = 3
_READ = 64 * 1024
"""How many bytes of a script are read to find the module that it starts."""

# The body of the library's console script, but without the working directory on the path: -c puts it first,
# and its files could hide installed modules.
_START = (
    "import sys; sys.path = [entry for entry in sys.path if entry]; sys.argv[0] = 'asyncmq'; "
    "from asyncmq.cli.__main__ import main; sys.exit(main())"
)


class Lines(Struct, frozen=True):
    """Our command lines that do the same as a line of the library, run one after the other. If they change
    something (`changes`), a note shows them."""

    lines: tuple[tuple[str, ...], ...]
    changes: bool = False


class HandOver(Struct, frozen=True):
    """A line that only the library can run. `instead` is our command that does nearly the same, or ()."""

    args: tuple[str, ...]
    instead: tuple[str, ...] = ()


Meaning = Lines | HandOver | None


class _Words(Struct, frozen=True):
    """The words after a verb: the values of the library's options by name, and all other words in order."""

    options: Mapping[str, str]
    rest: tuple[str, ...]


def translate(args: Sequence[str]) -> Meaning:
    """Our commands for a line of the library, or a HandOver if only the library can run it. None if the line
    does not have a form that only the library uses."""
    start = noun_place(args)
    head, words = tuple(args[:start]), args[start:]
    if not words:
        return None
    noun, verb = words[0], words[1] if len(words) > 1 else ""
    if noun == "info" or (noun, verb) in _LIBRARY_ONLY:
        # A line that begins with one of our global options is for us.
        return None if head else HandOver(tuple(words), _instead(noun, verb, words[2:]))
    form = _FORMS.get((noun, verb))
    if form is None:
        return None
    meaning = form(words[2:])
    if isinstance(meaning, Lines):
        return Lines(tuple((*head, *line) for line in meaning.lines), meaning.changes)
    return meaning


def _read(words: Sequence[str], with_value: Sequence[str] = (), flags: Sequence[str] = ()) -> _Words:
    """Separate the library's options from the other words. Options may stand anywhere. A second, different
    value stays among the other words, where our command refuses it."""
    options: dict[str, str] = {}
    rest: list[str] = []
    place = 0
    while place < len(words):
        name, equals, value = words[place].partition("=")
        if words[place] == "--":
            rest += words[place:]
            break
        if name in with_value and (equals or place + 1 < len(words)):
            given = value if equals else words[place + 1]
            if options.setdefault(name, given) != given:
                rest += [name, given]
            place += 0 if equals else 1
        elif words[place] in flags:
            options[words[place]] = ""
        else:
            rest.append(words[place])
        place += 1
    return _Words(options, tuple(rest))


def _as(*ours: str, changes: bool = False) -> Callable[[Sequence[str]], Meaning]:
    """A translation that only replaces noun and verb, by `ours`."""
    return lambda words: Lines(((*ours, *words),), changes)


def _job(*ours: str, changes: bool = False) -> Callable[[Sequence[str]], Meaning]:
    """A translation for job commands: the library takes the queue as an option, our commands as the first
    argument."""

    def form(words: Sequence[str]) -> Meaning:
        read = _read(words, ("--queue",))
        # Without --queue, this is our own form, with the noun in the singular.
        return Lines(((*ours, read.options["--queue"], *read.rest),), changes) if read.options else None

    return form


_MOST_CLEANED = "1000"


def _clean(words: Sequence[str]) -> Meaning:
    read = _read(words, ("--grace", "--limit"))
    grace, limit = read.options.get("--grace", "0"), read.options.get("--limit", _MOST_CLEANED)
    if "--older-than" in (word.partition("=")[0] for word in words):
        # This is our own form, with the noun in the singular.
        return None
    most = () if limit == "0" else ("--limit", limit)
    return Lines((("queues", "clean", "--older-than", grace, *most, *read.rest),), changes=True)


def _line(*words: str) -> str:
    return command_line(*words).replace("asyncmq ", "asyncmq-cli ", 1)


def _instead(noun: str, verb: str, words: Sequence[str]) -> tuple[str, ...]:
    """Our command that comes nearest to a command that only the library has, or ()."""
    if (noun, verb) == ("job", "inspect"):
        read = _read(words, ("--queue",))
        return ("jobs", "show", read.options.get("--queue", "QUEUE"), *read.rest)
    return ("workers", "list") if (noun, verb) == ("worker", "inspect") else ()


# Commands that only the library has. We offer no `worker register`: it writes a heartbeat even if there is no
# worker.
_LIBRARY_ONLY = frozenset(
    {("worker", "start"), ("worker", "inspect"), ("worker", "register"), ("job", "inspect")}
)
_FORMS: Mapping[tuple[str, str], Callable[[Sequence[str]], Meaning]] = {
    ("queue", "info"): _as("queues", "show"),
    ("queue", "list-delayed"): _as("jobs", "list", "--state", "delayed"),
    ("queue", "remove-delayed"): _as("jobs", "remove", changes=True),
    ("queue", "list-repeatables"): _as("repeatables", "list"),
    ("queue", "pause-repeatable"): _as("repeatables", "pause", changes=True),
    ("queue", "resume-repeatable"): _as("repeatables", "resume", changes=True),
    ("queue", "clean"): _clean,
    ("job", "list"): _job("jobs", "list"),
    ("job", "retry"): _job("jobs", "retry", changes=True),
    ("job", "remove"): _job("jobs", "remove", changes=True),
    # `job cancel QUEUE ID`, `queue drain QUEUE` and `queue obliterate QUEUE` are the same in both.
    ("worker", "deregister"): _as("workers", "forget", changes=True),
}


def hand_over(line: HandOver) -> NoReturn:
    """Replace this process by the library's program. Raises AdminError if that is not found or does not
    start."""
    environment = dict(os.environ)
    if is_importable():
        program, words = sys.executable, [sys.executable, "-c", _START, *line.args]
    else:
        often = environment.get(HANDED_OVER, "")
        count = int(often) if often.isdecimal() and len(often) < 3 else 0
        found = next(others_on_path(), None) if count < _MOST_OFTEN else None
        if found is None:
            raise _missing(line)
        program, words = str(found), [str(found), *line.args]
        environment[HANDED_OVER] = str(count + 1)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    try:
        os.execve(program, [os.fsencode(word) for word in words], environment)  # noqa: S606
    except (OSError, ValueError) as exc:
        raise AdminError(f"cannot start {program}: {exc}") from exc


def is_importable() -> bool:
    """Whether the library's command line is in this environment; it is not imported."""
    from importlib.util import find_spec

    spec = find_spec("asyncmq")
    places = [] if spec is None else spec.submodule_search_locations or []
    return any((Path(place) / "cli" / "__main__.py").is_file() for place in places)


def others_on_path() -> Iterator[Path]:
    """The programs called `asyncmq` on PATH that are not this one."""
    return (path for path in programs_on_path("asyncmq") if not is_ours(path))


def programs_on_path(name: str) -> Iterator[Path]:
    """All programs of this name, in the order of PATH."""
    for directory in os.get_exec_path():
        path = Path(directory) / name
        if path.is_absolute() and path.is_file() and os.access(path, os.X_OK):
            yield path


def is_ours(path: Path) -> bool:
    """Whether the script starts this program, judged by the module that it names."""
    return b"asyncmq_cli" in _head(path)


def is_librarys(path: Path) -> bool:
    return b"asyncmq.cli" in _head(path)


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_READ)
    except OSError:
        return b""


def _missing(line: HandOver) -> AdminError:
    words = " ".join(line.args[:2])
    hint = "install it into this environment: 'pip install asyncmq', or start it by its full path"
    if line.instead:
        hint = f"{_line(*line.instead)} shows nearly the same; else {hint}"
    error = AdminError(
        f"'{words}' is a command of the AsyncMQ library, which is neither in this environment nor on PATH",
        hint=hint,
    )
    error.code = "library_missing"
    return error
