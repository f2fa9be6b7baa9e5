"""One document for a pipe: a line for each key and its value."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from asyncmq_cli.output.json.text import encode
from asyncmq_cli.output.text.escape import escape_reversibly
from asyncmq_cli.output.text.times import rfc3339

# Objects of our own, whose members get a line each. All others hold stored data.
_PARTS = ("metrics", "counts", "rates", "error", "durations")
_TIMES = ("timestamp", "created_at", "run_at", "delay_until", "last_death")
_STORED = ("payload", "result")


def pairs(
    document: Mapping[str, Any], text: Callable[[str], str] = escape_reversibly, within: str = ""
) -> Iterator[tuple[str, str]]:
    """Names and values, by the names of the JSON document, `rates.completed_per_minute` for one in an object:
    times are RFC 3339, lists and what was stored are JSON, and null is empty. `text` writes a string."""
    for name, value in document.items():
        if name in _PARTS and isinstance(value, Mapping):
            yield from pairs(value, text, f"{within}{name}.")
        else:
            yield f"{within}{name}", _value(name, value, text)


def _value(name: str, value: Any, text: Callable[[str], str]) -> str:
    if value is None:
        return ""
    if isinstance(value, str) and name not in _STORED:
        return text(value)
    if name in _TIMES and isinstance(value, int | float) and not isinstance(value, bool):
        return rfc3339(value) or str(value)
    return encode(value).decode()
