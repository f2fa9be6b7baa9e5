"""Find the queues and jobs that were named, and similar names for those that do not exist."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from asyncmq_cli.errors import JobNotFound, QueueNotFound
from asyncmq_cli.nearest import did_you_mean, nearest
from asyncmq_cli.services import candidates

if TYPE_CHECKING:
    from asyncmq_cli.models.changes import ChangeReport
    from asyncmq_cli.models.queues import QueueScope
    from asyncmq_cli.storage.store import Store


def require_queue(store: Store, queue: str) -> None:
    """Raise QueueNotFound, with the nearest names, if Redis has no key of the queue."""
    if not store.queues.exists(queue):
        raise QueueNotFound(queue, nearest_queues(store, queue))


def near_new(store: Store, queue: str) -> Sequence[str] | None:
    """Similar names if the queue does not exist yet; None if it does."""
    return None if store.queues.exists(queue) else nearest_queues(store, queue)


def nearest_suffix(near: Sequence[str]) -> str:
    """The nearest names as a suffix of a message; empty if there are none."""
    return f" ({did_you_mean(near)})" if near else ""


def nearest_queues(store: Store, queue: str) -> list[str]:
    """At most three similar names."""
    return nearest(queue, store.queues.names(), cutoff=0.7)


def resolve_job_ids(store: Store, queue: str, given: Sequence[str]) -> list[str]:
    """The ids; one that no job has is stripped of white space."""
    odd = [job_id for job_id in given if job_id != job_id.strip()]
    if not odd:
        return list(given)
    unknown = {job_id for job_id, job in zip(odd, store.jobs.load(queue, odd), strict=True) if job is None}
    return [job_id.strip() or job_id if job_id in unknown else job_id for job_id in given]


def resolve_queues(store: Store, given: Sequence[str]) -> list[str]:
    """The same for names of queues."""
    return [
        name if name == name.strip() or store.queues.exists(name) else name.strip() or name for name in given
    ]


LEAST_ID = 6
"""Fewer characters would be a prefix of some id by chance."""


def job_not_found(
    store: Store, queue: str | None, job_id: str, scope: QueueScope | None = None
) -> JobNotFound:
    """The error; with all ids of which `job_id` is a prefix, if they are found as fast as at TAB. Without a
    queue, those of a scope were looked through."""
    where = "in any queue" if scope is None else scope.where
    if len(job_id) < LEAST_ID:
        return JobNotFound(queue, job_id, where=where)
    names = tuple(scope.names) if queue is None and scope is not None else None
    request = candidates.CandidateRequest("jobs", job_id, queue=queue, queues=names)
    found = candidates.whole(store.config, request, candidates.PATIENCE) or ()
    return JobNotFound(queue, job_id, [candidate.value for candidate in found], where=where)


def with_similar_ids(store: Store, report: ChangeReport) -> ChangeReport:
    """The same report. If its only job was not found, the error lists the ids that begin with it."""
    if len(report.results) != 1 or not isinstance(report.results[0].error, JobNotFound):
        return report
    (result,) = report.results
    if result.queue is None:
        # Looked for in all queues: that it is in none took long enough.
        return report
    error = job_not_found(store, result.queue, result.job_id or "")
    return replace(report, results=(replace(result, error=error),))
