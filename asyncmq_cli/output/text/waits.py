"""Write the result of `wait` as a document and as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncmq_cli.models.values import DEAD_STATES, as_number
from asyncmq_cli.output.redaction.redact import redact_text
from asyncmq_cli.output.tables.columns import Column
from asyncmq_cli.output.tables.views import short_error
from asyncmq_cli.output.text.escape import escape
from asyncmq_cli.output.text.times import clock, duration, rfc3339

if TYPE_CHECKING:
    from asyncmq_cli.models.monitoring.waits import Standing, StateChange, WaitReport
    from asyncmq_cli.output.json.documents import Document

QUEUE: tuple[Column[WaitReport], ...] = (
    Column("QUEUE", lambda report: report.queue, "id"),
    Column("OUTCOME", lambda report: report.outcome, "state"),
    Column("FOR", lambda report: report.goal),
)
JOBS: tuple[Column[tuple[str, str]], ...] = (
    Column("ID", lambda job: job[0], "id"),
    Column("STATE", lambda job: job[1], "state"),
)


def change_document(change: StateChange, *, show_secrets: bool) -> Document:
    job = change.job
    error = None if job is None else short_error(job)
    return {
        "timestamp": change.at,
        "time": rfc3339(change.at),
        "queue": change.queue,
        "job_id": change.id if show_secrets else redact_text(change.id),
        "status": change.status,
        "before": change.before,
        "retries": None if job is None else as_number(job.get("retries")),
        "error": error if show_secrets or error is None else redact_text(error),
    }


def change_line(change: StateChange, *, show_secrets: bool, utc: bool) -> str:
    """A state change for people: the time, the job, its old and new state, and the error."""
    document = change_document(change, show_secrets=show_secrets)
    steps = " -> ".join(filter(None, (change.before, change.status)))
    why = document["error"] if change.status in (*DEAD_STATES, "delayed") else None
    words = (clock(change.at, utc=utc), change.queue, document["job_id"], steps, why)
    return escape("  ".join(filter(None, words)))


def change_row(change: StateChange, *, show_secrets: bool) -> str:
    """A state change for pipes: time, queue, id, state, previous state and error, tab-separated."""
    document = change_document(change, show_secrets=show_secrets)
    cells = (document[name] for name in ("time", "queue", "job_id", "status", "before", "error"))
    return "\t".join("" if cell is None else escape(str(cell)) for cell in cells)


def document(report: WaitReport) -> Document:
    standing = report.standing
    return {
        "queue": report.queue,
        "for": report.goal,
        "outcome": report.outcome,
        "waited_seconds": report.waited_seconds,
        "left": standing.left,
        "total": standing.total,
        "waiting": standing.waiting,
        "delayed_due": standing.delayed_due,
        "active": standing.active,
        "jobs": [{"id": job_id, "state": state} for job_id, state in report.jobs],
    }


def sentence(report: WaitReport) -> str:
    """The result for people: the state that was reached, and how long that took."""
    what = "is drained" if report.goal == "drained" else "has no active job"
    return escape(f"Queue {report.queue} {what}, after {duration(report.waited_seconds)}")


def pace(standing: Standing) -> str:
    """The rate and the time left, such as `41/s, 30s left`; "" while the rate is unknown."""
    if standing.rate is None or standing.seconds_left is None:
        return ""
    digits = 0 if standing.rate >= 10 else 1
    return f"{standing.rate:,.{digits}f}/s, {duration(standing.seconds_left)} left"
