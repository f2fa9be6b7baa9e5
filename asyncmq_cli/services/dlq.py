"""Dead letters: failed and expired jobs, and why they died."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
        jobs = listing.Counted(self.matching(queue, wanted))
        found = listing.page_of(
            jobs, _died, sort=sort, page=page, size=size, reread=lambda ids: self._reread(queue, ids)
        )
        return JobPage(queue, None, page, size, jobs.total, sort, wanted, found)

    def every(self, queue: str, wanted: JobFilter, *, sort: str | None) -> Iterator[Job]:
        """Every match, and not one page."""
        jobs = self.matching(queue, wanted)
        return listing.every(jobs, _died, sort=sort, reread=lambda ids: self._reread(queue, ids))

    def matching(self, queue: str, wanted: JobFilter) -> Iterator[Job]:
        """The dead jobs that a filter lets through, in the order found."""
        require_queue(self._store, queue)
        matches = Matcher(wanted, self._store.now())
        jobs = self._store.jobs.in_place(queue, "dlq", matches.sieve)
        return of_known_group(self._store, queue, wanted, matches, jobs) if wanted.narrows else jobs

    def groups(self, queue: str, wanted: JobFilter) -> FailureGroups:
        """The causes of those, the most frequent first."""
        scanned, left_out, groups = grouped(self.matching(queue, wanted))
        if left_out:
            self._store.warn(f"{left_out:,} jobs are in no group: there are too many different causes")
        return FailureGroups(queue, scanned, left_out, groups)

    def _reread(self, queue: str, job_ids: Sequence[str]) -> Iterator[Job]:
        return listing.read_again(self._store, queue, job_ids, with_scores="dlq")


def _died(job: Job) -> float:
    return job.dead_at or 0.0
