"""Audit events as they come, and whether their chain is whole, in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from asyncmq_cli.output.redaction.redact import redact_text
from asyncmq_cli.output.tables.tables import counted
from asyncmq_cli.output.text.escape import escape
from asyncmq_cli.output.text.times import moment

if TYPE_CHECKING:
    from asyncmq_cli.models.audit_chain import ChainReport
    from asyncmq_cli.models.changes import AuditEvent


def line(event: AuditEvent, *, utc: bool) -> str:
    """One event, as `audit tail` prints it on a terminal."""
    target = " ".join(word for word in (event.queue, event.job_id) if word)
    why = event.error or event.details.get("reason")
    what = f"{event.action} {event.status}  {target}  {event.actor or '-'}{f': {why}' if why else ''}"
    return f"{moment(event.timestamp, utc=utc)}  {escape(redact_text(what))}"


def summary(report: ChainReport) -> str:
    events = counted(report.events, "event")
    if not report.breaks:
        return f"the chain of {events} is whole"
    return f"the chain of {events} is broken in {counted(len(report.breaks) + report.more_breaks, 'place')}"


def lines(report: ChainReport, *, utc: bool) -> Iterator[str]:
    for one in report.breaks:
        when = "" if one.time is None else f"  {moment(one.time, utc=utc)}"
        yield f"{one.kind:<9}  {one.id or '-'}{when}  {one.message}"
    if report.more_breaks:
        yield f"and {report.more_breaks:,} more"
    yield summary(report)
    if report.unchained:
        yield f"{counted(report.unchained, 'event')} are older than the chain: they cannot be verified"
    if report.trimmed:
        yield f"{counted(report.trimmed, 'older event')} trimmed"
    if report.noted:
        yield "the noted event is there" if report.noted == "found" else "the noted event was trimmed since"
    if report.head is not None:
        yield f"head {report.head.number:,}: {report.head.id}:{report.head.hash}"
