"""One job, or one queue, in full."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from asyncmq_cli.models.values import as_number
from asyncmq_cli.output.redaction.redact import redact, redact_text
from asyncmq_cli.output.tables import views
from asyncmq_cli.output.tables.tables import human
from asyncmq_cli.output.text.cutting import cut_text, value_lines
from asyncmq_cli.output.text.escape import escape, escape_name
from asyncmq_cli.output.text.times import relative, rfc3339

if TYPE_CHECKING:
    from asyncmq_cli.models.changes import AuditEvent
    from asyncmq_cli.models.job_details import Frame, JobDetail, JobError
    from asyncmq_cli.models.jobs import Job
    from asyncmq_cli.models.queues import QueueStats
    from asyncmq_cli.output.tables.columns import Column

# What has a line of its own, or is shown under a heading.
_HEADINGS = ("args", "kwargs", "result", "last_error", "error_traceback")
_PLAIN = ("id", "task", "task_id", "name", "status", "priority", "retries", "max_retries", "ttl")
_MOMENTS = ("created_at", "delay_until", "run_at", "active_since", "last_attempt")
_SHOWN_ELSEWHERE = frozenset({*_HEADINGS, *_PLAIN, *_MOMENTS, "depends_on"})
_NAMES = ("Job", "Queue", "Task")
_LED_TO = {"cause": "caused by", "context": "while handling"}
_LIBRARY_PATH = re.compile(
    r"/(?:(?:site|dist)-packages|lib/python\d[\d.]*)/(?!(?:site|dist)-packages/)(?P<name>[^/]+?)(?:\.py)?(?:/|$)"
)
_FULL_TITLES = {
    "CHILDREN": "Waiting for parents",
    "DEAD": "Dead letters",
    "REPEAT": "Repeatables",
    "OLDEST": "Oldest waiting",
}


def job_lines(detail: JobDetail, *, now: float, show_secrets: bool, full: bool = False) -> Iterator[str]:
    """A job's detail for people: its data first, then why it failed, then what it was given. Long values are
    cut, unless `full`."""
    job = detail.job

    def text(value: Any) -> str:
        shown = str(value) if show_secrets else redact_text(str(value))
        return shown if full else cut_text(shown)

    pairs: list[tuple[str, Any]] = [
        ("Job", job.id or "-"),
        ("Queue", job.queue),
        ("Task", job.task_id or "-"),
        ("State", job.status),
    ]
    pairs += _times(job, now)
    pairs += [(title, job.get(key)) for title, key in (("Priority", "priority"), ("Time to live", "ttl"))]
    pairs.append(("Failed tries", views.tries(job)))
    pairs += [
        ("Waits for", _parents(job.get("depends_on"))),
        ("Problem", job.problem),
    ]
    for title, value in pairs:
        if value is not None:
            shown = (escape_name if title in _NAMES else escape)(text(value))
            yield f"{title + ':':<14}{shown}"
    if detail.error is not None:
        yield from _error_lines(detail.error, text, full)
    yield from _data_lines(detail, show_secrets, full)


def _parents(depends_on: Any) -> str | None:
    """As it is where it is no list, which AsyncMQ makes of it."""
    named = map(str, depends_on) if isinstance(depends_on, list) else [str(depends_on or "")]
    return ", ".join(named) or None


def queue_lines(
    stats: QueueStats, now: float, columns: Sequence[Column[QueueStats]] = views.QUEUES
) -> Iterator[str]:
    """Title and value, one pair a line, with the titles of the table."""
    for column in columns:
        title = _FULL_TITLES.get(column.title, column.title.capitalize())
        yield f"{title + ':':<21}{human(column, column.for_people(stats), now)}"


def pause_line(event: AuditEvent | None, now: float) -> str:
    """Who paused a queue, when and why, as far as the audit trail knows."""
    if event is None:
        return f"{'Paused by:':<21}unknown: not in the newest events of the audit trail"
    reason = event.details.get("reason")
    why = f': "{reason}"' if reason else ""
    text = f"{event.actor or 'unknown'}, {relative(event.timestamp, now)}{why}"
    return f"{'Paused by:':<21}{escape(redact_text(text))}"


def _times(job: Job, now: float) -> list[tuple[str, Any]]:
    moments = (
        ("Created", job.created_at),
        ("Runs", as_number(job.run_at)),
        ("Delayed until", job.delay_until),
        ("Active since", as_number(job.get("active_since")) if job.status == "active" else None),
        ("Last attempt", as_number(job.get("last_attempt"))),
        ("Dead since", job.dead_at),
    )
    return [
        (title, f"{rfc3339(moment) or moment} ({relative(moment, now)})")
        for title, moment in moments
        if moment is not None
    ]


def _error_lines(error: JobError, text: Callable[[Any], str], full: bool) -> Iterator[str]:
    yield ""
    yield f"{'Error:':<14}{escape(text(error.type or 'unknown'))}"
    if error.message:
        yield f"{'Message:':<14}{escape(text(error.message))}"
    if len(error.chain) > 1 and error.root_cause:
        yield f"{'Root cause:':<14}{escape(text(error.root_cause))}"
    if error.frames:
        yield ""
        yield "Frames, the last called last:"
        yield from _calls(error, text, full)


def _calls(error: JobError, text: Callable[[Any], str], full: bool) -> Iterator[str]:
    """What the worker caught comes first, and behind each exception what brought it about."""
    if not error.raised:
        yield from _frame_lines(error.frames, text, full)
        return
    for number, raised in enumerate(reversed(error.raised)):
        what = escape(text(raised.text.split("\n", 1)[0] or "unknown"))
        yield f"  {_LED_TO[raised.led_to or 'context']} {what}" if number else f"  {what}"
        for line in _frame_lines(raised.frames, text, full):
            yield f"  {line}"


def _frame_lines(frames: Sequence[Frame], text: Callable[[Any], str], full: bool) -> Iterator[str]:
    """The application's frames with their source. Those of libraries in a row are folded into one line,
    unless `full` or there are no others."""
    folds = not full and any(_library(frame.path) is None for frame in frames)
    for is_folded, group in groupby(frames, lambda frame: folds and _library(frame.path) is not None):
        if is_folded:
            folded = [_library(frame.path) or "" for frame in group]
            names = ", ".join(dict.fromkeys(folded))
            yield f"  … {len(folded)} {'frame' if len(folded) == 1 else 'frames'} in {escape(text(names))}"
            continue
        for frame in group:
            yield f"  {escape(text(frame.path))}:{frame.line} in {escape(text(frame.function or '?'))}"
            if frame.source:
                yield f"      {escape(text(frame.source))}"


def _library(path: str) -> str | None:
    """The package or module of an installed library, or of Python's own, that a file belongs to."""
    found = _LIBRARY_PATH.search(path)
    return None if found is None else found["name"]


def _data_lines(detail: JobDetail, show_secrets: bool, full: bool) -> Iterator[str]:
    record = detail.job.record
    if record is None:
        return
    shown: dict[str, Any] = dict(record) if show_secrets else redact(record)
    for title, key in (("Arguments", "args"), ("Keyword arguments", "kwargs"), ("Result", "result")):
        if shown.get(key) not in (None, [], {}):
            yield ""
            yield f"{title}:"
            yield from (f"  {line}" for line in value_lines(shown[key], full=full))
    rest = {
        key: value for key, value in shown.items() if key not in _SHOWN_ELSEWHERE and value not in (None, [])
    }
    if rest:
        yield ""
        yield "Other fields:"
        yield from (f"  {line}" for line in value_lines(rest, full=full))
