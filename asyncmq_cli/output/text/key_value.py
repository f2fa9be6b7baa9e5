"""Write one document for a pipe: one line per key and its value."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from asyncmq_cli.output.json.text import encode
from asyncmq_cli.output.text.escape import escape_reversibly
from asyncmq_cli.output.text.times import rfc3339

# Our own objects, whose members each get a line. All other objects are stored data.
_PARTS = ("metrics", "counts", "rates", "error", "durations")
_TIMES = ("timestamp", "created_at", "run_at", "delay_until", "last_death")
_STORED = ("payload", "result")


def pairs(
    document: Mapping[str, Any], text: Callable[[str], str] = escape_reversibly, within: str = ""
) -> Iterator[tuple[str, str]]:
    """Pairs of a name and a value as text. The names are those of the JSON document; a member of an object is
    `rates.completed_per_minute`. Times are RFC 3339, lists and stored data are JSON, and null is "". `text`
    writes a string."""
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
