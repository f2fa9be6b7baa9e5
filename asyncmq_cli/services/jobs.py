"""Jobs: listing them and reading one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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

TIMED_PLACES = {"delayed": "delayed", "failed": "dlq", "expired": "dlq"}
"""The places whose scores are times: when a job is due, or when it died."""


class JobService:
    """Lists of jobs, and single ones. All that list raise QueueNotFound."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def page(self, queue: str, state: str, wanted: JobFilter, *, sort: str, page: int, size: int) -> JobPage:
        """One page of a state. A page past the end has no jobs, and the true totals."""
        jobs = listing.Counted(self.matching(queue, state, wanted))
        found = listing.page_of(
            jobs, _time, sort=sort, page=page, size=size, reread=lambda ids: self._reread(queue, ids)
        )
        return JobPage(queue, state, page, size, jobs.total, sort, wanted, found)

    def every(self, queue: str, state: str, wanted: JobFilter, *, sort: str | None) -> Iterator[Job]:
        """Every match, and not one page."""
        jobs = self.matching(queue, state, wanted)
        return listing.every(jobs, _time, sort=sort, reread=lambda ids: self._reread(queue, ids))

    def matching(self, queue: str, state: str, wanted: JobFilter) -> Iterator[Job]:
        """The jobs of a state that a filter lets through, in the order found."""
        require_queue(self._store, queue)
        matches = Matcher(wanted, self._store.now())
        if state == "repeatable":
            jobs = self._store.queues.repeatables_as_jobs(queue)
        else:
            jobs = self._store.jobs.in_state(queue, state, matches.sieve)
        return of_known_group(self._store, queue, wanted, matches, jobs) if wanted.narrows else jobs

    def show(self, queue: str, job_id: str) -> JobDetail:
        """Raises QueueNotFound or JobNotFound."""
        require_queue(self._store, queue)
        job = self._store.jobs.load(queue, [job_id])[0]
        if job is None:
            location = self._store.locate(queue, [job_id])[0]
            if not location.exists:
                raise job_not_found(self._store, queue, job_id)
            job = location.job
        elif job.status in TIMED_PLACES:
            location = self._store.locate(queue, [job_id], (TIMED_PLACES[job.status],))[0]
            job = replace(job, due_at=location.job.due_at, dead_at=location.job.dead_at)
        return JobDetail(job=job, result=job.get("result"), error=job_error(job))

    def heads(self, queue: str, job_ids: list[str]) -> list[Job]:
        """These few jobs, in this order, as they are now; one that is gone has no record."""
        found = self._store.locate(queue, job_ids)
        return [location.job for location in found]

    def _reread(self, queue: str, job_ids: Sequence[str]) -> Iterator[Job]:
        return listing.read_again(self._store, queue, job_ids)


def _time(job: Job) -> float:
    return job.sort_time
