"""What happened in the queues, one line each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from asyncmq_cli.models.happenings import Happening, QueueHappening, WorkerHappening
from asyncmq_cli.output.redaction.redact import redact_text
from asyncmq_cli.output.tables.tables import counted
from asyncmq_cli.output.text.escape import escape
from asyncmq_cli.output.text.times import clock

if TYPE_CHECKING:
    from asyncmq_cli.models.snapshots import Snapshot

_CAUSES_NAMED = 3


def first(snapshot: Snapshot, *, utc: bool) -> str:
    """What there is as the watch begins."""
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
    words = {"silent": "silent: not heard of for its TTL", "back": "heard of again", "started": "started"}
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
    """The causes in brackets, with their numbers where there are several."""
    if not one.causes:
        return ""
    alone = len(one.causes) == 1
    named = [
        name.rpartition(".")[2] + (f" ×{count:,}" if count > 1 and not alone else "")
        for name, count in list(one.causes.items())[:_CAUSES_NAMED]
    ]
    more = ["…"] if len(one.causes) > _CAUSES_NAMED else []
    return f" ({', '.join([*named, *more])})"
