"""The result of `wait`, as a document and as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncmq_cli.output.tables.columns import Column
from asyncmq_cli.output.text.escape import escape
from asyncmq_cli.output.text.times import duration

if TYPE_CHECKING:
    from asyncmq_cli.models.waits import Standing, WaitReport
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
    """For people: what was reached, and after how long."""
    what = "is drained" if report.goal == "drained" else "has no active job"
    return escape(f"Queue {report.queue} {what}, after {duration(report.waited_seconds)}")


def pace(standing: Standing) -> str:
    """`41/s, 30s left`; empty while the rate is unknown."""
    if standing.rate is None or standing.seconds_left is None:
        return ""
    digits = 0 if standing.rate >= 10 else 1
    return f"{standing.rate:,.{digits}f}/s, {duration(standing.seconds_left)} left"
