"""Write the manual page asyncmq(1) in roff, with the macros of man(7) that every formatter knows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from asyncmq_cli import __version__
from asyncmq_cli.exit_status import ExitStatus
from asyncmq_cli.models.program import Command, Noun, Parameter
from tools import commandtree, pages

CONVENTIONS = (
    "Nouns are plural, and the singular works too: `job retry` is `jobs retry`. Where ids are taken, `-` "
    "reads them from standard input, one per line. A DURATION is `90s`, `5m`, `2h`, `7d`, `1h30m`, or plain "
    "seconds; an AGE is one, or a date such as `2026-03-01` or `2026-03-01T14:00Z`, in local time where it "
    "does not say."
)
"""What holds for all commands, in Markdown; the page of commands opens with it as well."""


def manual() -> str:
    """One page for all commands. Its tables of statuses and settings are those of the documents."""
    return "\n".join([*_head(), *_commands(), *_tail(), ""])


def _head() -> Iterator[str]:
    root = commandtree.root()
    yield '.\\" Made by `make reference`; do not edit.'
    yield f'.TH ASYNCMQ 1 "" "asyncmq\\-cli {__version__}" "User Commands"'
    # Nothing hyphenated and nothing stretched: an option that is torn apart cannot be copied.
    yield from (".nh", ".ad l")
    yield from (".SH NAME", f"asyncmq \\- {_text(_first_letter_small(root.text[0].rstrip('.')))}")
    yield from (".SH SYNOPSIS", *_synopsis())
    yield from (".SH DESCRIPTION", ".B asyncmq")
    yield _text(
        "works on the Redis that live AsyncMQ workers use. Data goes to standard output, everything else "
        "to standard error. On a terminal it prints tables, in a pipe the same rows separated by tabs, "
        "with --json one document and with --ndjson one object a line."
    )
    yield from (".PP", _text(pages.plain(CONVENTIONS)))
    yield from _examples(root)
    yield ".SH GLOBAL OPTIONS"
    yield _text("Every command but demo takes these, before the noun or after the verb.")
    yield from _parameters(root.global_options)
    yield from (".SH COMPLETION", _text("These stand alone, without a command."))
    yield from _parameters(root.options)


def _synopsis() -> Iterator[str]:
    for one in commandtree.tree():
        yield from (".B asyncmq", _text(one.name))
        if isinstance(one, Noun):
            # A line may end behind each: together they are longer than one.
            yield "|\\:".join(_text(command.path[-1]) for command in one.commands)
        yield from (".RI [ options ]", "\\&...", ".br")


def _commands() -> Iterator[str]:
    yield ".SH COMMANDS"
    for command in commandtree.commands():
        yield f".SS {_quoted(command.usage)}"
        for number, paragraph in enumerate(command.text):
            yield from ([".PP"] if number else [])
            yield _text(paragraph)
        yield from _parameters([*command.arguments, *command.options])
        yield from _examples(command)


def _parameters(parameters: Iterable[Parameter]) -> Iterator[str]:
    for each in parameters:
        yield from (".TP", f".B {_text(each.name)}")
        notes = [f"Default: {each.default}." if each.default else "", "Required." if each.required else ""]
        notes.append(f"Environment: {each.env}." if each.env else "")
        yield _text(" ".join(filter(None, [each.text, *notes])))


def _examples(command: Command) -> Iterator[str]:
    if not command.examples:
        return
    yield from (".PP", "Examples:", ".PP", ".RS 4", ".nf")
    yield from (_text(line) for line in command.examples)
    yield from (".fi", ".RE")


def _tail() -> Iterator[str]:
    yield ".SH EXIT STATUS"
    for status in ExitStatus:
        yield from (".TP", f".B {status}", _text(pages.plain(status.meaning)))
    yield from (
        ".PP",
        _text(pages.plain(pages.paragraph_under((pages.DOCS / "errors.md").read_text(), "Status"))),
    )
    yield from (".SH ENVIRONMENT", *_rows("settings.md", "Variable"))
    yield from (".SH FILES", *_rows("settings.md", "File"))
    yield from (".SH SEE ALSO", ".BR redis\\-cli (1),", ".BR jq (1)")


def _rows(page: str, title: str) -> Iterator[str]:
    text = (pages.DOCS / page).read_text(encoding="utf-8")
    for name, meaning, *default in pages.table(text, title):
        said = pages.plain(meaning) + (f" Default: {pages.plain(default[0])}." if any(default) else "")
        yield from (".TP", f".B {_text(pages.plain(name))}", _text(said))


def _first_letter_small(text: str) -> str:
    return text[:1].lower() + text[1:]


def _text(text: str) -> str:
    """Roff takes a backslash, and a dot or a quote at the start of a line, for its own."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("^", "\\(ha")
    # Not every formatter reads UTF-8, and all know a character by its number.
    plain = "".join(sign if sign.isascii() else f"\\[u{ord(sign):04X}]" for sign in escaped)
    return f"\\&{plain}" if plain[:1] in (".", "'") else plain


def _quoted(text: str) -> str:
    return '"' + _text(text).replace('"', "\\(dq") + '"'
