"""Cut long values on a terminal, with a note. In pipes and files, and with --full, nothing is cut."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from asyncmq_cli.output.json.text import MAX_DEPTH, TOO_DEEP
from asyncmq_cli.output.text.escape import escape

MOST_CHARACTERS = 1000
"""The most characters of a text that are shown."""
MOST_ELEMENTS = 50
"""The most elements of an array or object that are shown."""
MOST_LINES = 300
"""The most lines of a value that are shown, without the line that counts the rest."""
MOST_NESTED = 16
"""The most arrays and objects within each other that are shown."""
_HOW = "--full shows them"


def beginning_of(text: str, most: int) -> str:
    """The text, or its first characters and `…`, with at most `most` characters in all."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def cut_text(text: str, most: int = MOST_CHARACTERS) -> str:
    """The beginning of a text, and a note that says how much is left out."""
    return text if len(text) <= most else f"{text[:most]}{_rest(len(text) - most, 'character')}"


def value_lines(value: Any, *, full: bool) -> Iterator[str]:
    """A value as escaped JSON for people, one line per element. It is cut unless `full` is set."""
    return _Lines(full).of(value, "", 0, "")


def _rest(count: int, noun: str) -> str:
    return f"… {count:,} more {noun}{'' if count == 1 else 's'}, {_HOW}"


class _Lines:
    def __init__(self, full: bool) -> None:
        self._full = full
        self._left = MOST_LINES

    def of(self, value: Any, name: str, depth: int, comma: str) -> Iterator[str]:
        indent = "  " * depth
        if not isinstance(value, Mapping | list | tuple) or not value:
            self._left -= 1
            yield f"{indent}{name}{self._scalar(value)}{comma}"
            return
        if depth == MAX_DEPTH:
            self._left -= 1
            yield f"{indent}{name}{_json(TOO_DEEP)}{comma}"
            return
        opening, closing = "{}" if isinstance(value, Mapping) else "[]"
        if depth == MOST_NESTED and not self._full:
            self._left -= 1
            yield f"{indent}{name}{opening}{_rest(len(value), 'element')}{closing}{comma}"
            return
        self._left -= 2
        yield f"{indent}{name}{opening}"
        shown = len(value) if self._full else min(len(value), MOST_ELEMENTS)
        for number, (title, inner) in enumerate(self._elements(value)):
            if number == shown or (self._left <= 0 and not self._full):
                yield f"{indent}  {_rest(len(value) - number, 'element')}"
                break
            yield from self.of(inner, title, depth + 1, "," if number < len(value) - 1 else "")
        yield f"{indent}{closing}{comma}"

    def _elements(self, value: Any) -> Iterator[tuple[str, Any]]:
        if isinstance(value, Mapping):
            for name, inner in value.items():
                yield f"{self._scalar(name)}: ", inner
        else:
            for inner in value:
                yield "", inner

    def _scalar(self, value: Any) -> str:
        if self._full or not isinstance(value, str) or len(value) <= MOST_CHARACTERS:
            return _json(value)
        # The note about the rest is after the closing quote, because it is not part of the value.
        return f"{_json(value[:MOST_CHARACTERS])}{_rest(len(value) - MOST_CHARACTERS, 'character')}"


def _json(value: Any) -> str:
    return escape(json.dumps(value, ensure_ascii=False))
