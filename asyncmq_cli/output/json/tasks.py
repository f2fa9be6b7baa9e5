"""Documents about tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncmq_cli.output.redaction.redact import redact_text
from asyncmq_cli.output.text.times import rfc3339

if TYPE_CHECKING:
    from asyncmq_cli.models.monitoring.tasks import TaskReport, TaskStats, TopReport, TopTask
    from asyncmq_cli.output.json.documents import Document


def task(row: TaskStats, report: TaskReport, *, show_secrets: bool) -> Document:
    """One task. Durations are the seconds from the last attempt to the death, of dead jobs."""
    name = row.task
    return {
        "task": name if show_secrets or name is None else redact_text(name),
        **row.counts,
        "failing_share": row.failing_share,
        "oldest_waiting_seconds": None
        if row.oldest_waiting is None
        else max(0.0, report.read_at - row.oldest_waiting),
        "last_death": row.last_death,
        "time": rfc3339(row.last_death),
        "durations": {
            "jobs": len(row.durations),
            "p50": row.duration(0.5),
            "p95": row.duration(0.95),
            "max": row.duration(1.0),
        },
    }


def tasks(report: TaskReport, *, show_secrets: bool) -> Document:
    return {
        "queue": report.queue,
        "timestamp": report.read_at,
        "sampled": {
            state: {"size": one.size, "read": one.read, "margin": one.margin}
            for state, one in report.sampled.items()
        },
        "tasks": [task(row, report, show_secrets=show_secrets) for row in report.tasks],
    }


def top(report: TopReport, *, show_secrets: bool) -> Document:
    return {
        "queue": report.queue,
        "timestamp": report.began,
        "time": rfc3339(report.began),
        "seconds": report.seconds,
        "looks": report.reads,
        "interval_seconds": report.interval,
        "tasks": [top_task(row, show_secrets=show_secrets) for row in report.tasks],
    }


def top_task(row: TopTask, *, show_secrets: bool) -> Document:
    """One task of `tasks top`. Durations are seconds; null if they are below the interval, or if no job has
    ended."""
    name = row.task
    return {
        "task": name if show_secrets or name is None else redact_text(name),
        "busy_share": row.busy_share,
        "concurrency": row.concurrency,
        "active": row.active,
        "seen": row.seen,
        "ended": len(row.durations),
        "below_interval": row.below,
        "p50": row.duration(0.5),
        "p95": row.duration(0.95),
        "max": row.duration(1.0),
    }
