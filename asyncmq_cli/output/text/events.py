"""Events as server-sent events, as lines of JSON, and as lines for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from asyncmq_cli.output.json.text import encode
from asyncmq_cli.output.text.cutting import cut_text
from asyncmq_cli.output.text.escape import escape
from asyncmq_cli.output.text.times import clock, duration

_INDENT = " " * 10
_GAP = "  "
# None of these says that something could not be read: nothing waits, nothing is known, there is no time.
_MAY_BE_NONE = ("avg_duration", "oldest_waiting_seconds", "time", "timestamp", "ts", "data")


def sse(name: str, data: Any) -> bytes:
    """As the dashboard sends it. JSON has no raw line ends, so that one line of data is enough."""
    return b"event: " + name.encode() + b"\ndata: " + encode(data) + b"\n\n"


def line(name: str, timestamp: float, data: Any) -> bytes:
    return encode({"event": name, "timestamp": timestamp, "data": data}) + b"\n"


def readable(
    name: str, timestamp: float, data: Any, *, width: int, utc: bool = False, full: bool = False
) -> Iterator[str]:
    """One line for an object, and one for each object of a list; where that is longer than `width`, it
    goes on under itself, and no fact is broken. A long fact is cut, unless `full`."""
    head = f"{clock(timestamp, utc=utc)}  {escape(name):<14}"
    if isinstance(data, Mapping):
        yield from _wrapped(head, _facts(data, whole=True, utc=utc, full=full), width, under=len(head))
        return
    yield f"{head}{len(data):,}"
    for item in data:
        yield from _wrapped(
            _INDENT, _facts(item, whole=False, utc=utc, full=full), width, under=len(_INDENT + _GAP)
        )


def _wrapped(head: str, facts: Iterable[str], width: int, *, under: int) -> Iterator[str]:
    from rich.cells import cell_len

    line, is_begun = head, False
    for fact in facts:
        longer = f"{line}{_GAP if is_begun else ''}{fact}"
        if is_begun and cell_len(longer) > width:
            yield line
            longer = " " * under + fact
        line, is_begun = longer, True
    yield line


def _facts(data: Mapping[str, Any], *, whole: bool, utc: bool, full: bool) -> list[str]:
    """What there is of it, one time in one form; of a row that is not `whole` no zeros either. A `?`
    is what could not be read."""
    shown = {name: value for name, value in data.items() if _is_told(name, value, whole)}
    moment = shown.pop("timestamp", None) or shown.pop("heartbeat", None)
    if moment is not None:
        shown["time"] = clock(moment, utc=utc)
    facts = (f"{escape(str(name))}={_value(name, value)}" for name, value in shown.items())
    return [fact if full else cut_text(fact) for fact in facts]


def _is_told(name: str, value: Any, whole: bool) -> bool:
    if value is None:
        return name not in _MAY_BE_NONE
    return whole or value not in (0, "", [])


def _value(name: str, value: Any) -> str:
    if value is None:
        return "?"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name.endswith("_seconds") and isinstance(value, float):
        return duration(value).replace(" ", "")
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    if isinstance(value, Mapping | list):
        return encode(value).decode()
    return escape(str(value))
