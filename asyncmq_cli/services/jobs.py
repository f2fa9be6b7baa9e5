"""Jobs: listing them and reading one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from asyncmq_cli.models.job_details import JobDetail
from asyncmq_cli.models.job_lists import JobFilter, JobPage
from asyncmq_cli.services import listing
from asyncmq_cli.services.beginnings import job_not_found
from asyncmq_cli.services.existence import require_queue
from asyncmq_cli.services.known_groups import of_known_group
from asyncmq_cli.services.matching import Matcher
from asyncmq_cli.services.traceback import job_error

if TYPE_CHECKING:
    from asyncmq_cli.models.jobs import Job
    from asyncmq_cli.storage.store import Store


TIMED = {"delayed": "delayed", "failed": "dlq", "expired": "dlq"}
"""The sorted sets whose scores are times: when a job is due, or when it died."""


class JobService:
    """Lists of jobs, and single ones. All that list raise QueueNotFound."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def page(
        self,
        queue: str,
        state: str,
        wanted: JobFilter,
        *,
        sort: str,
        page: int,
        size: int,
        exact: bool = True,
    ) -> JobPage:
        """One page of a state. A page past the end has no jobs. Without `exact`, how many there are may be
        told by the sizes of places alone: at most so many."""
        which = listing.Page(sort, page, size)
        is_exact = True
        if wanted.narrows or state == "repeatable":
            jobs = self.matching(queue, state, wanted, sort=sort)
            found, total = listing.filtered(self._store, queue, jobs, _time, which)
        else:
            require_queue(self._store, queue)
            found, total, is_exact = listing.unfiltered(self._store, queue, state, which, exact=exact)
        return JobPage(queue, state, page, size, total, sort, wanted, found, is_exact)

    def every(self, queue: str, state: str, wanted: JobFilter, *, sort: str | None) -> Iterator[Job]:
        """Every match, and not one page."""
        jobs = self.matching(queue, state, wanted, sort=sort)
        return listing.every(self._store, queue, jobs, _time, sort=sort)

    def matching(
        self, queue: str, state: str, wanted: JobFilter, *, sort: str | None = None
    ) -> Iterator[Job]:
        """The jobs of a state that a filter lets through, in the order found or, where `sort` is `queue`, of
        the place."""
        require_queue(self._store, queue)
        matches = Matcher(wanted, self._store.now())
        if state == "repeatable":
            jobs = self._store.queues.repeatables_as_jobs(queue)
        elif sort == "queue":
            jobs = self._store.jobs.in_order(queue, state)
        else:
            jobs = self._store.jobs.in_state(queue, state, matches.prefilter)
        return of_known_group(self._store, queue, wanted, matches, jobs) if wanted.narrows else jobs

    def show(self, queue: str, job_id: str) -> JobDetail:
        """Raises QueueNotFound or JobNotFound."""
        # First the job: it may be read where the queue cannot be, such as RabbitMQ's.
        job = self._store.jobs.load(queue, [job_id])[0]
        if job is None:
            require_queue(self._store, queue)
            location = self._store.locate(queue, [job_id])[0]
            if not location.exists:
                raise job_not_found(self._store, queue, job_id)
            job = location.job
        elif job.status in TIMED and job.due_at is None and job.dead_at is None:
            # Its member is not what AsyncMQ would have written beside the record.
            location = self._store.locate(queue, [job_id], (TIMED[job.status],))[0]
            if location.members[TIMED[job.status]]:
                times = location.job
                job = replace(job, due_at=times.due_at, dead_at=times.dead_at, problem=times.problem)
        job = job.whole()
        return JobDetail(job=job, result=job.get("result"), error=job_error(job))

    def heads(self, queue: str, job_ids: list[str]) -> list[Job]:
        """These few jobs, in this order, as they are now; one that is gone has no record."""
        found = self._store.locate(queue, job_ids)
        return [location.job for location in found]


def _time(job: Job) -> float:
    return job.sort_time
