"""The audit trail: the columns of its lists, its documents, and its lines for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from asyncmq_cli.models.values import counted
from asyncmq_cli.output.json.text import encode
from asyncmq_cli.output.redaction.redact import redact, redact_any, redact_text
from asyncmq_cli.output.tables.columns import Column
from asyncmq_cli.output.text.escape import escape
from asyncmq_cli.output.text.times import clock, moment, rfc3339

if TYPE_CHECKING:
    from asyncmq_cli.models.audit.chain import ChainReport
    from asyncmq_cli.models.changes import AuditEvent, AuditRun

EVENTS: tuple[Column[AuditEvent], ...] = (
    Column("TIME", lambda event: event.timestamp, "time", worth=3),
    Column("ACTION", lambda event: redact_any(event.action), ample=20, least=20, worth=3),
    Column("STATUS", lambda event: redact_any(event.status), "state", worth=1),
    Column("QUEUE", lambda event: redact_any(event.queue), "name", worth=1),
    Column("JOB", lambda event: redact_any(event.job_id), "id", may_be_cut=True, ample=36, least=8, worth=-1),
    Column("DETAILS", lambda event: _details(event), wide=True, ample=30, worth=-2),
    Column("ACTOR", lambda event: redact_any(event.actor), ample=16, least=10, worth=2),
    Column("WHY", lambda event: _why(event), ample=24, least=10, worth=3),
)
"""The columns of events. WHY is the error of a failed attempt, else the given reason."""


EXPORT: tuple[Column[AuditEvent], ...] = (
    Column("ID", lambda event: event.id, "id"),
    Column("TIME", lambda event: event.timestamp, "time"),
    Column("ACTION", lambda event: redact_any(event.action)),
    Column("SOURCE", lambda event: redact_any(event.source)),
    Column("STATUS", lambda event: redact_any(event.status), "state"),
    Column("QUEUE", lambda event: redact_any(event.queue), "name"),
    Column("JOB", lambda event: redact_any(event.job_id), key="job_id"),
    Column("ACTOR", lambda event: redact_any(event.actor)),
    Column("DETAILS", lambda event: _details(event)),
    Column("ERROR", lambda event: redact_any(event.error)),
    Column("CHAIN", lambda event: redact_any(event.chain)),
)
"""All data of an event, for `audit export -o csv`."""


def runs(now: float, *, utc: bool) -> tuple[Column[AuditRun], ...]:
    """The same columns for runs of events. A run has its count after the action, the times of its first and
    last event, and no job."""

    def of_newest(column: Column[AuditEvent]) -> Column[Any]:
        changed: Any = column
        return replace(changed, value=lambda run: column.value(run.newest))

    def time(run: AuditRun) -> float | str:
        last = run.newest.timestamp
        if last - run.since < _SAME_TIME:
            return last
        first = clock(run.since, span=now - run.since + _TO_THE_MINUTE, utc=utc)
        return f"{first}–{clock(last, span=_TO_THE_MINUTE, utc=utc)}"

    def action(run: AuditRun) -> str:
        name = str(redact_any(run.newest.action))
        return name if run.count == 1 else f"{name} ×{run.count:,}"

    def job(run: AuditRun) -> Any:
        return redact_any(run.newest.job_id) if run.count == 1 else None

    def details(run: AuditRun) -> str | None:
        # The reason is in the column WHY.
        held = {name: value for name, value in run.newest.details.items() if name != "reason"}
        return _details(replace(run.newest, details=held)) if run.count == 1 else None

    own: dict[str, dict[str, Any]] = {
        "TIME": {"for_row": time},
        "ACTION": {"value": action},
        "JOB": {"value": job},
        "DETAILS": {"value": details, "if_any": True},
    }
    return tuple(replace(each, **own.get(each.title, {})) for each in map(of_newest, EVENTS))


_TO_THE_MINUTE = 3600.0
_SAME_TIME = 60.0
"""Seconds. For a shorter run, a single time is shown instead of the first and the last."""


def _why(event: AuditEvent) -> str | None:
    reason = event.details.get("reason")
    return redact_any(event.error or reason)


def _details(event: AuditEvent) -> str | None:
    return encode(redact(event.shown_details)).decode() if event.details else None


def event_document(event: AuditEvent) -> dict[str, Any]:
    return {
        "timestamp": event.timestamp,
        "time": rfc3339(event.timestamp),
        "action": redact_text(event.action),
        "source": redact_text(event.source),
        "status": redact_text(event.status),
        "queue": redact_any(event.queue),
        "job_id": redact_any(event.job_id),
        "actor": redact_any(event.actor),
        "details": redact(event.shown_details),
        "error": redact_any(event.error),
        "id": event.id,
        "chain": redact_any(event.chain),
    }


def document(events: Iterable[AuditEvent]) -> dict[str, Any]:
    return {"events": [event_document(event) for event in events]}


def chain_document(report: ChainReport) -> dict[str, Any]:
    head, oldest = report.head, report.oldest
    return {
        "intact": not report.breaks,
        "events": report.events,
        "chained": report.chained,
        "unchained": report.unchained,
        "trimmed": report.trimmed,
        "head": None if head is None else {"number": head.number, "id": head.id, "hash": head.hash},
        "oldest": None if oldest is None else {"number": oldest.number, "id": oldest.id, "hash": oldest.hash},
        "noted": report.noted,
        "breaks": [
            {
                "kind": one.kind,
                "id": one.id,
                "timestamp": one.time,
                "time": rfc3339(one.time),
                "count": one.count,
                "message": one.message,
            }
            for one in report.breaks
        ],
        "more_breaks": report.more_breaks,
    }


def line(event: AuditEvent, *, utc: bool) -> str:
    """One event of the audit trail, as `audit tail` prints it on a terminal."""
    target = " ".join(word for word in (event.queue, event.job_id) if word)
    why = event.error or event.details.get("reason")
    what = f"{event.action} {event.status}  {target}  {event.actor or '-'}{f': {why}' if why else ''}"
    return f"{moment(event.timestamp, utc=utc)}  {escape(redact_text(what))}"


def chain_summary(report: ChainReport) -> str:
    events = counted(report.events, "event")
    if not report.breaks:
        return f"the chain of {events} is intact"
    return f"the chain of {events} is broken in {counted(len(report.breaks) + report.more_breaks, 'place')}"


def chain_lines(report: ChainReport, *, utc: bool) -> Iterator[str]:
    for one in report.breaks:
        when = "" if one.time is None else f"  {moment(one.time, utc=utc)}"
        yield f"{one.kind:<9}  {one.id or '-'}{when}  {one.message}"
    if report.more_breaks:
        yield f"and {report.more_breaks:,} more"
    yield chain_summary(report)
    if report.unchained:
        yield f"{counted(report.unchained, 'event')} are older than the chain: they cannot be verified"
    if report.trimmed:
        yield f"{counted(report.trimmed, 'older event')} trimmed"
    if report.noted:
        yield (
            "the noted event is in the chain"
            if report.noted == "found"
            else "the noted event has been trimmed"
        )
    if report.head is not None:
        yield f"head {report.head.number:,}: {report.head.id}:{report.head.hash}"
