"""Parse a command line as bash would, without running anything in it, and make the text to insert.

zsh, fish and PowerShell split the line into words themselves, and quote what they insert. bash passes words
that are cut at every `:` and `=` and still quoted, and replaces only the text after the last cut.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from msgspec import Struct, field

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


def read(line: str, breaks: str, environ: Mapping[str, str] | None = None) -> Typed:
    """Split a command line into words, up to the cursor at its end. Raises Unreadable.

    `breaks` is bash's COMP_WORDBREAKS.
    """
    return _Reader(line, breaks, os.environ if environ is None else environ).read()


class _Reader:
    def __init__(self, line: str, breaks: str, environ: Mapping[str, str]) -> None:
        self._line = line
        self._breaks = breaks
        self._environ = environ
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
        value = self._environ.get(named[1] or named[2]) if named else None
        if named is None or value is None or (not self._quote and _SPLIT_AFTER_EXPANDING.search(value)):
            raise Unreadable(char)
        self._at = named.end()
        self._add(value)
