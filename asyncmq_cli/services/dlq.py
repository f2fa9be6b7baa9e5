"""Dead letters: failed and expired jobs, and why they died."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from asyncmq_cli.models.failures import FailureGroups
from asyncmq_cli.models.job_lists import JobFilter, JobPage
from asyncmq_cli.services import listing
from asyncmq_cli.services.existence import require_queue
from asyncmq_cli.services.groups import grouped
from asyncmq_cli.services.known_groups import of_known_group
from asyncmq_cli.services.matching import Matcher

if TYPE_CHECKING:
    from asyncmq_cli.models.jobs import Job
    from asyncmq_cli.storage.store import Store


class DlqService:
    """What is in dead-letter queues. All raise QueueNotFound."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def page(self, queue: str, wanted: JobFilter, *, sort: str, page: int, size: int) -> JobPage:
        """One page of the dead-letter queue, by when the jobs died. Its `state` is None."""
        which = listing.Page("newest" if sort == "queue" else sort, page, size)
        if wanted.narrows:
            found, total = listing.filtered(self._store, queue, self.matching(queue, wanted), _died, which)
        else:
            require_queue(self._store, queue)
            found, total, _ = listing.unfiltered(self._store, queue, "dlq", which)
        return JobPage(queue, None, page, size, total, sort, wanted, found)

    def every(self, queue: str, wanted: JobFilter, *, sort: str | None) -> Iterator[Job]:
        """Every match, and not one page."""
        order = "newest" if sort == "queue" else sort
        return listing.every(self._store, queue, self.matching(queue, wanted), _died, sort=order)

    def matching(self, queue: str, wanted: JobFilter) -> Iterator[Job]:
        """The dead jobs that a filter lets through, in the order found."""
        require_queue(self._store, queue)
        matches = Matcher(wanted, self._store.now())
        jobs = self._store.jobs.in_place(queue, "dlq", matches.prefilter)
        return of_known_group(self._store, queue, wanted, matches, jobs) if wanted.narrows else jobs

    def groups(self, queue: str, wanted: JobFilter) -> FailureGroups:
        """The causes of those, the most frequent first."""
        if wanted.narrows:
            jobs = self.matching(queue, wanted)
        else:
            require_queue(self._store, queue)
            jobs = self._store.jobs.dead_causes(queue)
        scanned, left_out, groups = grouped(jobs)
        if left_out:
            self._store.warn(f"{left_out:,} jobs are in no group: there are too many different causes")
        return FailureGroups(queue, scanned, left_out, groups)


def _died(job: Job) -> float:
    return job.dead_at or 0.0
