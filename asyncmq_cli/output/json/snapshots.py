"""Snapshots of all queues, and the history of the metrics, as documents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from msgspec.structs import asdict

from asyncmq_cli.models.failures import NO_GROUPS
from asyncmq_cli.models.values import WAITING_CHILDREN
from asyncmq_cli.output.json import documents
from asyncmq_cli.output.redaction.redact import redact, redact_text
from asyncmq_cli.output.tables import failure_groups, views
from asyncmq_cli.output.tables.columns import tab_separated
from asyncmq_cli.output.text.times import rfc3339

if TYPE_CHECKING:
    from asyncmq_cli.models.failures import FailureGroups
    from asyncmq_cli.models.monitoring.checks import Problem
    from asyncmq_cli.models.monitoring.snapshots import (
        LatestJob,
        LatestQueue,
        MetricsSnapshot,
        Rates,
        RuntimeEvent,
        Snapshot,
    )
    from asyncmq_cli.output.json.documents import Document
    from asyncmq_cli.output.tables.columns import Column

# The states in the dashboard's order, then those that the dashboard leaves out.
DASHBOARD_STATES = ("waiting", "active", "delayed", "completed", "failed")
DISTRIBUTION = (*DASHBOARD_STATES, "expired", "cancelled", WAITING_CHILDREN)


def totals(snapshot: Snapshot) -> Document:
    return {
        "total_queues": len(snapshot.stats or ()),
        "total_jobs": snapshot.total_jobs,
        "total_workers": snapshot.total_workers,
        "states_age_seconds": snapshot.states_age,
    }


def distribution(snapshot: Snapshot) -> Document:
    return {state.replace("-", "_"): snapshot.count(state) for state in DISTRIBUTION}


def metrics(snapshot: MetricsSnapshot) -> Document:
    """The metrics as the dashboard reports them: totals, not rates."""
    return {
        "throughput": snapshot.completed,
        "avg_duration": snapshot.avg_duration,
        "retries": snapshot.failed,
        "failures": snapshot.failed,
    }


def latest_job(job: LatestJob) -> Document:
    return {
        "id": redact_text(job.id),
        "queue": job.queue,
        "state": redact_text(job.state),
        "time": rfc3339(job.created or None),
        "timestamp": job.created or None,
    }


def latest_queue(queue: LatestQueue) -> Document:
    return {
        "name": queue.name,
        "time": rfc3339(queue.active_at or None),
        "timestamp": queue.active_at or None,
    }


EVENTS: dict[str, Callable[[Snapshot], Any]] = {
    "overview": totals,
    "jobdist": distribution,
    "metrics": lambda snapshot: metrics(snapshot.metrics()),
    "queues": lambda snapshot: [documents.queue(row) for row in snapshot.stats or ()],
    "workers": lambda snapshot: [documents.worker(worker) for worker in snapshot.workers or ()],
    "latest_jobs": lambda snapshot: [latest_job(job) for job in snapshot.latest_jobs or ()],
    "latest_queues": lambda snapshot: [latest_queue(queue) for queue in snapshot.latest_queues or ()],
}
"""By event, a function that makes its data. The order is that in which the dashboard sends events."""


def overview(snapshot: Snapshot) -> Iterator[tuple[str, Any]]:
    """The members of the overview's document. Long lists are iterators."""
    long: dict[str, Iterator[Document]] = {
        "queues": map(documents.queue, snapshot.stats or ()),
        "workers": map(documents.worker, snapshot.workers or ()),
    }
    for name, document in EVENTS.items():
        yield name, long.get(name) or document(snapshot)
    yield "latest_jobs_partial", snapshot.latest_partial
    yield "problems", map(problem, snapshot.problems or ())
    yield from causes(snapshot.causes).items()


def problem(one: Problem) -> Document:
    return {
        "problem": one.kind,
        "severity": one.severity,
        "queue": one.queue,
        "value": one.value,
        "message": redact_text(one.message),
        "look": views.next_command(one),
    }


def causes(found: FailureGroups | None) -> Document:
    """The causes of failures. `latest` is the number of dead jobs per queue that were read; null if all were
    read."""
    found = found or NO_GROUPS
    return {
        "causes": [failure_groups.group_document(one, found, show_secrets=False) for one in found.groups],
        "causes_latest": found.latest,
        "causes_queues_left_out": found.queues_left_out,
    }


def runtime(event: RuntimeEvent, *, show_secrets: bool) -> Document:
    data = event.data if show_secrets else redact(event.data)
    return {"event": event.name, "data": data, "ts": event.ts, "time": rfc3339(event.ts)}


def metrics_now(snapshot: MetricsSnapshot, rates: Rates) -> Document:
    return {
        "timestamp": snapshot.timestamp,
        "time": rfc3339(snapshot.timestamp),
        "metrics": metrics(snapshot),
        "counts": {state: getattr(snapshot, state) for state in DASHBOARD_STATES},
        "total_queues": snapshot.total_queues,
        "total_workers": snapshot.total_workers,
        "rates": asdict(rates),
    }


def snapshot_row(snapshot: MetricsSnapshot) -> Document:
    """A snapshot with exactly the keys of the dashboard's history."""
    return {
        "timestamp": snapshot.timestamp,
        "time": rfc3339(snapshot.timestamp),
        **metrics(snapshot),
        **{state: getattr(snapshot, state) for state in DASHBOARD_STATES},
        "total_queues": snapshot.total_queues,
        "total_workers": snapshot.total_workers,
    }


def history(snapshots: Iterable[MetricsSnapshot]) -> Document:
    return {"history": [snapshot_row(snapshot) for snapshot in snapshots]}


def overview_rows(snapshot: Snapshot) -> Iterator[str]:
    """The overview as tab-separated lines: the kind of row, then the columns of that list. Problems come
    first."""
    for one in snapshot.problems or ():
        yield f"problem\t{tab_separated(one, views.PROBLEMS)}"
    found = snapshot.causes or NO_GROUPS
    columns = failure_groups.groups(found, show_secrets=False)
    yield from (f"cause\t{tab_separated(group, columns)}" for group in found.groups)
    for title, counts in (("overview", totals(snapshot)), ("jobdist", distribution(snapshot))):
        for name, count in counts.items():
            yield f"{title}\t{name}\t{'' if count is None else count}"
    lists: tuple[tuple[str, Sequence[Any] | None, tuple[Column[Any], ...]], ...] = (
        ("queue", snapshot.stats, views.QUEUES),
        ("worker", snapshot.workers, views.WORKERS),
        ("latest_job", snapshot.latest_jobs, views.LATEST_JOBS),
        ("latest_queue", snapshot.latest_queues, views.LATEST_QUEUES),
    )
    for title, rows, columns in lists:
        for row in rows or ():
            yield f"{title}\t{tab_separated(row, columns)}"
