"""List jobs and dead letters, and show single jobs."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

from asyncmq_cli.errors import WrongType
from asyncmq_cli.models.failures import FailureGroups
from asyncmq_cli.models.job_details import JobDetail
from asyncmq_cli.models.job_lists import JobFilter, JobPage
from asyncmq_cli.models.jobs import Job
from asyncmq_cli.models.values import DEAD_STATES
from asyncmq_cli.services.jobs.failure_groups import grouped, is_argument, of_known_group
from asyncmq_cli.services.jobs.filter import Matcher
from asyncmq_cli.services.jobs.lookup import job_not_found, require_queue
from asyncmq_cli.services.jobs.traceback import job_error
from asyncmq_cli.storage.read.lists import PLACES, SortKey
from asyncmq_cli.storage.schema.keys import QueueKeys

if TYPE_CHECKING:
    from asyncmq_cli.models.jobs import Job
    from asyncmq_cli.storage.store import Store


TIMED = {"delayed": "delayed", "failed": "dlq", "expired": "dlq"}
"""The sorted sets whose scores are times: when a job is due, or when it died."""


class JobService:
    """Lists of jobs, and single jobs. All lists raise QueueNotFound."""

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
        """One page of a state; empty past the end. Without `exact`, the total may be an upper bound, taken
        from the sizes of places."""
        which = Page(sort, page, size)
        is_exact = True
        if wanted.narrows or state == "repeatable":
            jobs = self.matching(queue, state, wanted, sort=sort)
            found, total = filtered(self._store, queue, jobs, _time, which)
        else:
            require_queue(self._store, queue)
            found, total, is_exact = unfiltered(self._store, queue, state, which, exact=exact)
        return JobPage(queue, state, page, size, total, sort, wanted, found, is_exact)

    def every(self, queue: str, state: str, wanted: JobFilter, *, sort: str | None) -> Iterator[Job]:
        """Every match, and not one page."""
        if sort not in (None, "queue") and not wanted.narrows and state != "repeatable":
            require_queue(self._store, queue)
            keys = sorted(self._store.jobs.sort_keys(queue, state), reverse=sort == "newest")
            return self._store.jobs.by_keys(queue, keys)
        jobs = self.matching(queue, state, wanted, sort=sort)
        return every(self._store, queue, jobs, _time, sort=sort)

    def matching(
        self, queue: str, state: str, wanted: JobFilter, *, sort: str | None = None
    ) -> Iterator[Job]:
        """The jobs of a state that match a filter: in the order of the place if `sort` is `queue`, else in
        the order found."""
        require_queue(self._store, queue)
        matches = Matcher(wanted, self._store.now())
        if state == "repeatable":
            jobs = self._store.queues.repeatables_as_jobs(queue)
        elif sort == "queue":
            jobs = self._store.jobs.in_order(queue, state)
        else:
            jobs = self._store.jobs.in_state(queue, state, matches.prefilter)
        return of_known_group(self._store, [queue], wanted, matches, jobs) if wanted.narrows else jobs

    def show(self, queue: str, job_id: str) -> JobDetail:
        """Raises QueueNotFound or JobNotFound."""
        # The job first: it can be read even where the queue cannot, as with the RabbitMQ backend.
        job = self._store.jobs.load(queue, [job_id])[0]
        if job is None:
            require_queue(self._store, queue)
            location = self._store.locate(queue, [job_id])[0]
            if not location.exists:
                raise job_not_found(self._store, queue, job_id)
            job = location.job
        elif job.status in TIMED and job.due_at is None and job.dead_at is None:
            # Its member is not the one that AsyncMQ would have written for this record.
            location = self._store.locate(queue, [job_id], (TIMED[job.status],))[0]
            if location.members[TIMED[job.status]]:
                times = location.job
                job = replace(job, due_at=times.due_at, dead_at=times.dead_at, problem=times.problem)
        job = job.whole()
        return JobDetail(job=job, result=job.get("result"), error=job_error(job))

    def heads(self, queue: str, job_ids: list[str]) -> list[Job]:
        """These few jobs in this order, as they are now. A missing one has no record."""
        found = self._store.locate(queue, job_ids)
        return [location.job for location in found]


def _time(job: Job) -> float:
    return job.sort_time


HELD_WHOLE = 1000
"""A page that ends within this many jobs is sorted with the jobs in memory. For a later page only the sort
keys are kept, and its jobs are read again."""

T = TypeVar("T")
TimeOf = Callable[[Job], float]


@dataclass(frozen=True, slots=True)
class Page:
    """The page of a list to read; `page` counts from 1."""

    sort: str
    page: int
    size: int

    @property
    def start(self) -> int:
        return (self.page - 1) * self.size

    @property
    def end(self) -> int:
        return self.page * self.size


def unfiltered(
    store: Store, queue: str, state: str, wanted: Page, *, exact: bool = True
) -> tuple[list[Job], int, bool]:
    """One page of a state, or of the dead-letter queue (`dlq`), which is sorted by death; the total; and
    whether the total is exact. Only with `exact` may it cost a pass over the states hash."""
    lists = store.jobs
    if state == "dlq":
        total = lists.count(queue, "dlq")
        return _by_death(store, queue, wanted, total), total, True
    found: int | None = None
    if wanted.sort == "queue":
        jobs = list(lists.in_order(queue, state, wanted.start, wanted.size))
    elif wanted.sort == "newest" and state in DEAD_STATES:
        keys, found = lists.newest_dead(queue, state, wanted.end)
        jobs = list(lists.by_keys(queue, keys[wanted.start :]))
    else:
        counted = _Counted(lists.sort_keys(queue, state))
        jobs = list(lists.by_keys(queue, _chosen(counted, wanted)))
        found = counted.total
    if found is not None:
        return jobs, found, True
    total, is_exact = lists.at_most(queue, state)
    if len(jobs) < wanted.size and (jobs or wanted.page == 1):
        # The last page gives the total.
        return jobs, wanted.start + len(jobs), True
    return (jobs, lists.count(queue, state), True) if exact and not is_exact else (jobs, total, is_exact)


def _by_death(store: Store, queue: str, wanted: Page, total: int) -> list[Job]:
    if wanted.sort != "oldest":
        return list(store.jobs.in_order(queue, "dlq", wanted.start, wanted.size))
    start = max(0, total - wanted.end)
    return list(store.jobs.in_order(queue, "dlq", start, max(0, total - wanted.start - start)))[::-1]


def filtered(
    store: Store, queue: str, jobs: Iterable[Job], time_of: TimeOf, wanted: Page
) -> tuple[list[Job], int]:
    """One page of these jobs, and how many there are; equal times go by id."""
    if wanted.sort == "queue" or wanted.end <= HELD_WHOLE:
        return page_of(jobs, time_of, wanted)
    counted = _Counted(jobs)
    keys = _chosen((_key_of(job, time_of) for job in counted), wanted)
    return list(store.jobs.by_keys(queue, keys)), counted.total


def page_of(jobs: Iterable[Job], time_of: TimeOf, wanted: Page) -> tuple[list[Job], int]:
    """The same, with all jobs up to the end of the page in memory."""
    counted = _Counted(jobs)
    if wanted.sort == "queue":
        return [job for n, job in enumerate(counted) if wanted.start <= n < wanted.end], counted.total
    choose = heapq.nlargest if wanted.sort == "newest" else heapq.nsmallest
    found = choose(wanted.end, counted, key=lambda job: (time_of(job), job.id))
    return found[wanted.start :], counted.total


def every(
    store: Store, queue: str, jobs: Iterable[Job], time_of: TimeOf, *, sort: str | None
) -> Iterator[Job]:
    """All jobs in the order found, or sorted, which keeps a small tuple per job in memory."""
    if sort in (None, "queue"):
        return iter(jobs)
    keys = sorted((_key_of(job, time_of) for job in jobs), reverse=sort == "newest")
    return store.jobs.by_keys(queue, keys)


def _chosen(keys: Iterable[SortKey], wanted: Page) -> list[SortKey]:
    choose = heapq.nlargest if wanted.sort == "newest" else heapq.nsmallest
    return choose(wanted.end, keys)[wanted.start :]


def _key_of(job: Job, time_of: TimeOf) -> SortKey:
    score = job.due_at if job.dead_at is None else job.dead_at
    # A job without a score is read by its id.
    place = "" if score is None else PLACES.get(job.status, "")
    return SortKey(time_of(job), job.id, place, score or 0.0)


class _Counted(Iterable[T]):
    """Counts what passes through it."""

    def __init__(self, passing: Iterable[T]) -> None:
        self._passing = passing
        self.total = 0

    def __iter__(self) -> Iterator[T]:
        for one in self._passing:
            self.total += 1
            yield one


class DlqService:
    """Lists of dead letters. All raise QueueNotFound."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def page(self, queue: str, wanted: JobFilter, *, sort: str, page: int, size: int) -> JobPage:
        """One page of the dead-letter queue, by when the jobs died. Its `state` is None."""
        which = Page("newest" if sort == "queue" else sort, page, size)
        if wanted.narrows:
            found, total = filtered(self._store, queue, self.matching(queue, wanted), _died, which)
        else:
            require_queue(self._store, queue)
            found, total, _ = unfiltered(self._store, queue, "dlq", which)
        return JobPage(queue, None, page, size, total, sort, wanted, found)

    def every(self, queue: str, wanted: JobFilter, *, sort: str | None) -> Iterator[Job]:
        """Every match, and not one page."""
        order = "newest" if sort == "queue" else sort
        if order == "newest" and not wanted.narrows:
            require_queue(self._store, queue)
            return self._store.jobs.in_order(queue, "dlq")
        return every(self._store, queue, self.matching(queue, wanted), _died, sort=order)

    def matching(self, queue: str, wanted: JobFilter) -> Iterator[Job]:
        """The dead jobs that match a filter, in the order found."""
        return self.matching_in([queue], wanted)

    def matching_in(self, queues: Sequence[str], wanted: JobFilter) -> Iterator[Job]:
        """The same of several queues, one after the other."""
        for queue in queues:
            require_queue(self._store, queue)
        matches = Matcher(wanted, self._store.now())
        dead = (self._store.jobs.in_place(queue, "dlq", matches.prefilter) for queue in queues)
        jobs = chain.from_iterable(dead)
        return of_known_group(self._store, queues, wanted, matches, jobs) if wanted.narrows else jobs

    def with_dead(self) -> list[str]:
        """All queues that have dead letters. Warns of those whose dead-letter queue cannot be read."""
        found = []
        for sizes in self._store.queues.sizes(self._store.queues.names(), self._store.now()):
            if sizes.dlq is None:
                self._store.warn_of(sizes.queue, WrongType(QueueKeys(sizes.queue).dlq).message)
            elif sizes.dlq:
                found.append(sizes.queue)
        return found

    def groups(self, queues: Sequence[str], wanted: JobFilter, by: str = "cause") -> FailureGroups:
        """The matching jobs of these queues, or of all if none is named, in groups, the largest first."""
        names = list(queues)
        for queue in names:
            require_queue(self._store, queue)
        names = names or self.with_dead()
        if wanted.narrows:
            jobs = self.matching_in(names, wanted)
        else:
            read = partial(self._store.jobs.dead_causes, arguments=is_argument(by))
            jobs = chain.from_iterable(map(read, names))
        now = self._store.now()
        scanned, left_out, groups = grouped(jobs, by, now)
        if left_out:
            self._store.warn(f"{left_out:,} jobs are in no group: there are too many")
        return FailureGroups(names, by, now, scanned, left_out, groups)


def _died(job: Job) -> float:
    return job.dead_at or 0.0
