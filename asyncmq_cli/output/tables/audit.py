"""The columns of the audit trail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from asyncmq_cli.output.redaction.redact import redact, redact_any
from asyncmq_cli.output.tables.columns import Column
from asyncmq_cli.output.text.times import clock

if TYPE_CHECKING:
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
"""`why` is the error of what failed, else the reason given."""


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
"""Everything that an event has, for `audit export -o csv`."""


def runs(now: float, *, utc: bool) -> tuple[Column[AuditRun], ...]:
    """The same columns for runs of events: a run has its number beside the action, the time from its first to
    its last event, and no job."""

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
        # The reason stands under WHY.
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
"""Seconds between the first and the last event of a run below which one time says enough."""


def _why(event: AuditEvent) -> str | None:
    reason = event.details.get("reason")
    return redact_any(event.error or reason)


def _details(event: AuditEvent) -> str | None:
    from asyncmq_cli.output.json.text import encode

    return encode(redact(event.shown_details)).decode() if event.details else None
