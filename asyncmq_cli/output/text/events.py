"""Write events of the dashboard as server-sent events, as JSON lines, and for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from asyncmq_cli.models.monitoring.snapshots import Happening, QueueHappening, WorkerHappening
from asyncmq_cli.models.values import counted
from asyncmq_cli.output.json.text import encode
from asyncmq_cli.output.redaction.redact import redact_text
from asyncmq_cli.output.text.cutting import cut_text
from asyncmq_cli.output.text.escape import escape
from asyncmq_cli.output.text.times import clock, duration

if TYPE_CHECKING:
    from asyncmq_cli.models.monitoring.snapshots import Snapshot


_INDENT = " " * 10
_GAP = "  "
# Names whose values are normally null sometimes. For all others, null means that the value could not be read.
_MAY_BE_NONE = (
    *("avg_duration", "oldest_waiting_seconds", "time", "timestamp", "ts", "data", "problem"),
    *("pause_seconds_left", "clock_offset_seconds"),
)


SSE_HEARTBEAT = b": heartbeat\n\n"
"""A comment, which clients skip. It keeps proxies from closing an idle connection."""


def sse_head(retry_seconds: float) -> bytes:
    """The line that says after how many seconds a client should reconnect."""
    return f"retry: {round(retry_seconds * 1000)}\n\n".encode()


def sse(name: str, data: Any, event_id: str) -> bytes:
    """A server-sent event as the dashboard sends it, but with an id. JSON contains no line breaks, so one
    line of data is enough."""
    head = f"id: {event_id}\nevent: {name}\n".encode()
    return head + b"data: " + encode(data) + b"\n\n"


def line(name: str, timestamp: float, data: Any) -> bytes:
    return encode({"event": name, "timestamp": timestamp, "data": data}) + b"\n"


def readable(
    name: str, timestamp: float, data: Any, *, width: int, utc: bool = False, full: bool = False
) -> Iterator[str]:
    """An event for people: one line per object, or per object of a list. A line longer than `width` is broken
    between two pairs. A long value is cut, unless `full` is set."""
    head = f"{clock(timestamp, utc=utc)}  {escape(name):<14}"
    if isinstance(data, Mapping):
        yield from _wrapped(head, _pairs(data, whole=True, utc=utc, full=full), width, under=len(head))
        return
    yield f"{head}{len(data):,}"
    for item in data:
        yield from _wrapped(
            _INDENT, _pairs(item, whole=False, utc=utc, full=full), width, under=len(_INDENT + _GAP)
        )


def _wrapped(head: str, pairs: Iterable[str], width: int, *, under: int) -> Iterator[str]:
    from rich.cells import cell_len

    line, is_begun = head, False
    for pair in pairs:
        longer = f"{line}{_GAP if is_begun else ''}{pair}"
        if is_begun and cell_len(longer) > width:
            yield line
            longer = " " * under + pair
        line, is_begun = longer, True
    yield line


def _pairs(data: Mapping[str, Any], *, whole: bool, utc: bool, full: bool) -> list[str]:
    """`name=value` pairs, with each time only once; `?` stands for a value that could not be read. Zeros are
    left out, unless `whole` is set."""
    shown = {name: value for name, value in data.items() if _is_shown(name, value, whole)}
    moment = shown.pop("timestamp", None) or shown.pop("heartbeat", None)
    if moment is not None:
        shown["time"] = clock(moment, utc=utc)
    pairs = (f"{escape(str(name))}={_value(name, value)}" for name, value in shown.items())
    return [pair if full else cut_text(pair) for pair in pairs]


def _is_shown(name: str, value: Any, whole: bool) -> bool:
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


_CAUSES_NAMED = 3


def first(snapshot: Snapshot, *, utc: bool) -> str:
    """The first line of `events tail`: the totals at the start."""
    states = ", ".join(
        f"{'?' if count is None else f'{count:,}'} {state}"
        for state, count in ((state, snapshot.count(state)) for state in ("waiting", "active", "failed"))
    )
    queues, workers = len(snapshot.stats or ()), snapshot.total_workers
    return (
        f"{clock(snapshot.now, utc=utc)}  watching {counted(queues, 'queue')}: {states}; "
        f"{counted(workers, 'worker')}"
    )


def lines(found: Sequence[Happening], now: float, *, utc: bool) -> Iterator[str]:
    for one in found:
        text = _of_worker(one) if isinstance(one, WorkerHappening) else _of_queue(one)
        yield f"{clock(now, utc=utc)}  {escape(redact_text(text))}"


def _of_worker(one: WorkerHappening) -> str:
    words = {
        "silent": "silent: no heartbeat for its TTL",
        "back": "sends heartbeats again",
        "started": "started",
    }
    return f"worker {one.worker} ({one.queue}) {words[one.what]}"


def _of_queue(one: QueueHappening) -> str:
    parts = [*one.marks]
    if one.completed:
        parts.append(f"{one.completed:,} completed")
    if one.failed:
        parts.append(f"{one.failed:,} failed{_why(one)}")
    if one.expired:
        parts.append(f"{one.expired:,} expired")
    if one.waiting is not None:
        parts.append(f"waiting {one.waiting[0]:,} → {one.waiting[1]:,}")
    return f"{one.queue}: {', '.join(parts)}"


def _why(one: QueueHappening) -> str:
    """The causes in parentheses, with their counts if there are several."""
    if not one.causes:
        return ""
    alone = len(one.causes) == 1
    named = [
        name.rpartition(".")[2] + (f" ×{count:,}" if count > 1 and not alone else "")
        for name, count in list(one.causes.items())[:_CAUSES_NAMED]
    ]
    more = ["…"] if len(one.causes) > _CAUSES_NAMED else []
    return f" ({', '.join([*named, *more])})"
