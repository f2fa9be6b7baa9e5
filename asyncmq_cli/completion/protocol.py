"""The protocol between the completion scripts and `asyncmq __complete SHELL …`.

This is a command and not an environment variable: another program called `asyncmq` would ignore the variable
and run the unfinished line.

- `bash WORDBREAKS LINE`: the line up to the cursor. Each line of the reply is a text to insert.
- `zsh WORD…` and `fish WORD…`: the words after the name of the program, the last one as typed so far.
  Each line of the reply is a value, a tab, and its description.
- `powershell`: the same, but the words are in `_ASYNCMQ_WORDS`, separated by line feeds, because Windows
  PowerShell drops empty words and damages quotes.

The exit status is FILES if the shell should also offer names of files. Errors print nothing.

zsh, fish and PowerShell split the line into words themselves, and quote what they insert. bash passes words
that are cut at every `:` and `=` and still quoted, and replaces only the text after the last cut. So
`read_line` parses its line as bash would, without running anything in it.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from asyncmq_cli.completion.candidates import Answer, answer

if TYPE_CHECKING:
    from asyncmq_cli.models.program import Candidate

FILES = 10
WORDS_VARIABLE = "_ASYNCMQ_WORDS"
_LONGEST_ABOUT = 80
_MOST = 1000


def serve(build: Callable[[], Any], args: Sequence[str]) -> int:
    """Print the reply to one TAB on stdout. `build` makes the root command. Returns the exit status."""
    try:
        wants_files, lines = _answer(build, args)
    except Exception:
        # An error message would appear in the line that is being typed.
        if os.environ.get("ASYNCMQ_DEBUG"):
            raise
        return 1
    if wants_files:
        return FILES
    sys.stdout.buffer.write("".join(f"{line}\n" for line in lines).encode())
    sys.stdout.buffer.flush()
    return 0


def _answer(build: Callable[[], Any], args: Sequence[str]) -> tuple[bool, list[str]]:
    shell, rest = args[0], list(args[1:])
    if shell == "bash":
        line = read_line(rest[1], breaks=rest[0])
        if line.redirected:
            return True, []
        found = answer(build(), line.words[1:], line.current)
        return found.files, [line.insertion(one.value) for one in _harmless(found)]
    words = os.environ.get(WORDS_VARIABLE, "").split("\n") if shell == "powershell" else rest
    found = answer(build(), words[:-1], words[-1])
    candidates = _harmless(found)
    if shell == "fish":
        # The shell quotes what it inserts, but not a tilde, which would expand to a home directory.
        candidates = [one for one in candidates if not one.value.startswith("~")]
    return found.files, [f"{one.value}\t{_about(one)}" for one in candidates]


def _harmless(found: Answer) -> list[Candidate]:
    """The candidates without names that have control characters, which can be neither shown nor typed."""
    return [one for one in found.candidates if one.value and one.value.isprintable()][:_MOST]


def _about(one: Candidate) -> str:
    """The description as one short, safe line: job data may contain any characters."""
    from asyncmq_cli.output.redaction.redact import redact_text
    from asyncmq_cli.output.text.cutting import beginning_of
    from asyncmq_cli.output.text.escape import escape

    text = escape(" ".join(redact_text(one.about).split()))
    return beginning_of(text, _LONGEST_ABOUT)


_NAME = re.compile(r"\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*)")
_SAFE = re.compile(r"[\w./:@%+,=-]", re.ASCII)
_SPLIT_AFTER_EXPANDING = re.compile(r"[\s*?\[]")


class Unreadable(ValueError):
    """The words of the line depend on something that would have to be run, such as a command substitution."""


class Typed(Struct):
    """The words before the cursor, and the beginning of the word at the cursor, `current`. `kept` is the
    number of its characters that bash keeps on the line; `quote` is the quote that is open at the cursor."""

    words: list[str] = field(default_factory=list)
    current: str = ""
    kept: int = 0
    quote: str = ""
    redirected: bool = False

    def insertion(self, value: str) -> str:
        """The text that bash must insert for the word to become `value`."""
        rest = value[self.kept :]
        if not self.quote:
            return "".join(c if _SAFE.match(c) or c > "\x7f" else f"\\{c}" for c in rest)
        if self.quote == "'":
            text = rest.replace("'", "'\\''")
        else:
            # In double quotes, a `!` would start history expansion, and a backslash before it would stay.
            text = re.sub(r'([\\$`"])', r"\\\1", rest).replace("!", '"\\!"')
        # If a text begins with the open quote, readline replaces that quote; if it ends with it, readline
        # assumes that the word is closed.
        before, after = text.startswith(self.quote), text.endswith(self.quote)
        return self.quote * before + text + self.quote * after


def read_line(line: str, breaks: str) -> Typed:
    """Split a command line into words, up to the cursor at its end. Raises Unreadable.

    `breaks` is bash's COMP_WORDBREAKS.
    """
    return _Reader(line, breaks).read()


class _Reader:
    def __init__(self, line: str, breaks: str) -> None:
        self._line = line
        self._breaks = breaks
        self._at = 0
        self._quote = ""
        self._kept_before_quote = 0
        self._word: str | None = None
        self._typed = Typed()
        self._redirects = False

    def read(self) -> Typed:
        while self._at < len(self._line):
            char = self._line[self._at]
            self._at += 1
            if self._quote == "'":
                self._within_single(char)
            elif self._quote:
                self._within_double(char)
            else:
                self._outside(char)
        typed = self._typed
        typed.current, typed.quote, typed.redirected = self._word or "", self._quote, self._redirects
        return typed

    def _within_single(self, char: str) -> None:
        if char == "'":
            self._close()
        else:
            self._add(char)

    def _within_double(self, char: str) -> None:
        if char == '"':
            self._close()
        elif char == "\\" and self._line[self._at : self._at + 1] in ("$", "`", '"', "\\"):
            self._add(self._line[self._at])
            self._at += 1
        elif char in "$`":
            self._expand(char)
        else:
            self._add(char)

    def _outside(self, char: str) -> None:
        if char in " \t\n":
            self._end_word()
        elif char == "\\":
            # At the end of the line, the backslash quotes a character that has not been typed yet.
            self._add(self._line[self._at : self._at + 1])
            self._at += 1
        elif char in "'\"":
            self._open(char)
        elif char in "$`":
            self._expand(char)
        elif char in "<>":
            self._redirect()
        elif char in "|&;()" or (char == "~" and self._word is None):
            raise Unreadable(char)
        else:
            self._add(char)
            if char in self._breaks:
                self._typed.kept = len(self._word or "")

    def _open(self, quote: str) -> None:
        self._add("")
        self._quote = quote
        self._kept_before_quote = self._typed.kept
        self._typed.kept = len(self._word or "")

    def _close(self) -> None:
        # A quote that is closed again is no cut: bash replaces the word together with its quotes.
        self._quote, self._typed.kept = "", self._kept_before_quote

    def _add(self, text: str) -> None:
        self._word = (self._word or "") + text

    def _end_word(self) -> None:
        if self._word is not None and not self._redirects:
            self._typed.words.append(self._word)
        if self._word is not None:
            self._redirects = False
        self._word, self._typed.kept = None, 0

    def _redirect(self) -> None:
        if self._word is not None and self._word.isdigit():
            self._word = None
        self._end_word()
        self._at += len(self._line[self._at :]) - len(self._line[self._at :].lstrip("<>&|"))
        self._redirects = True

    def _expand(self, char: str) -> None:
        """Expand a variable from the environment. Nothing else is evaluated."""
        named = _NAME.match(self._line, self._at) if char == "$" else None
        value = os.environ.get(named[1] or named[2]) if named else None
        if named is None or value is None or (not self._quote and _SPLIT_AFTER_EXPANDING.search(value)):
            raise Unreadable(char)
        self._at = named.end()
        self._add(value)
