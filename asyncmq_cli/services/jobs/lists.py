"""List jobs and dead letters of one or several queues: one page, or all in order."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from msgspec import Struct

from asyncmq_cli.models.failures import FailureGroups
from asyncmq_cli.models.jobs import Job, JobFilter, JobPage, page_within
from asyncmq_cli.models.values import DEAD_STATES, in_parts
from asyncmq_cli.services.jobs.filter import Matcher, of_known_group
from asyncmq_cli.services.jobs.lookup import holding, in_each, require_queue
from asyncmq_cli.storage.read.lists import ALL, KEYS_AT_A_TIME, SortKey
from asyncmq_cli.storage.schema.keys import PLACE_OF_STATE
from asyncmq_cli.system import parallel

if TYPE_CHECKING:
    from asyncmq_cli.models.jobs import QueueScope
    from asyncmq_cli.storage.store import Store

_FEW = 500
"""At most this many jobs are searched to find the states in which a filter matches."""
HELD_WHOLE = 1000
"""Jobs. For a page that ends within this many jobs, the jobs are kept in memory while they are sorted. For a
later page only the sort keys are kept, and the jobs of the page are read again."""
SMALL = 64 * 1024
"""Bytes. Larger jobs are not kept in memory either."""

R = TypeVar("R")
T = TypeVar("T")
TimeOf = Callable[[Job], float]


def _require(store: Store, scope: QueueScope) -> None:
    if scope.queue is not None:
        require_queue(store, scope.queue)


def _shared(
    store: Store, scope: QueueScope, state: str, wanted: JobFilter, work: Callable[[Iterator[Job]], R]
) -> Iterator[tuple[R | None, Iterator[Job]]]:
    """The pieces of `JobService.shared`."""
    matches = Matcher(wanted, store.now())

    def matching(jobs: Iterator[Job]) -> Iterator[Job]:
        return filter(matches, jobs) if wanted.narrows else jobs

    def pages(queue: str) -> Iterator[tuple[str, Any]]:
        return ((queue, page) for page in store.jobs.pages(queue, state, matches.prefilter))

    def done(item: tuple[str, Any]) -> tuple[R, int]:
        taken = 0

        def jobs() -> Iterator[Job]:
            nonlocal taken
            for job in store.jobs.of_page(*item):
                taken += 1
                yield job

        return work(matching(jobs())), taken

    found = in_each(store, scope, holding(store, scope, state), pages)
    processors = parallel.processors(beside_redis=store.config.address.is_local)
    for (queue, page), reply in parallel.shared(done, found, processors=processors):
        result, taken = reply or (None, 0)
        yield result, matching(store.jobs.of_page(queue, page, taken))


class JobService:
    """Lists jobs. All methods raise QueueNotFound for a named queue that does not exist."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def page(
        self,
        scope: QueueScope,
        state: str,
        wanted: JobFilter,
        *,
        sort: str,
        page: int,
        size: int,
        exact: bool = True,
    ) -> JobPage:
        """One page of the jobs in a state; past the end it is empty. Without `exact`, the total may be an
        upper bound, taken from the sizes of places."""
        which = Page(sort, page, size)
        is_exact = True
        if wanted.narrows or state == "repeatable":
            jobs = self.matching(scope, state, wanted, sort=sort)
            found, total = filtered(self._store, jobs, attrgetter("sort_time"), which)
        else:
            _require(self._store, scope)
            found, total, is_exact = unfiltered(self._store, scope, state, which, exact=exact)
        return JobPage(scope.queue, state, page, size, total, sort, wanted, found, is_exact)

    def every(self, scope: QueueScope, state: str, wanted: JobFilter, *, sort: str | None) -> Iterator[Job]:
        """Every match instead of one page. `sort` is None for the order found."""
        if sort not in (None, "queue") and not wanted.narrows and state != "repeatable":
            _require(self._store, scope)
            return every_unfiltered(self._store, scope, state, sort=sort)
        jobs = self.matching(scope, state, wanted, sort=sort)
        return every(self._store, jobs, attrgetter("sort_time"), sort=sort)

    def matching(
        self, scope: QueueScope, state: str, wanted: JobFilter, *, sort: str | None = None
    ) -> Iterator[Job]:
        """The jobs in a state, or in the dead-letter queues (`dlq`), that match a filter, queue by queue: in
        the order of the queue itself if `sort` is `queue`, else in the order found. If the filter has a
        failure group, iterating raises the errors of `of_known_group`."""
        _require(self._store, scope)
        matches = Matcher(wanted, self._store.now())
        queues = scope.names if state == "repeatable" else holding(self._store, scope, state)

        def read(queue: str) -> Iterator[Job]:
            if state == "repeatable":
                return self._store.queues.repeatables_as_jobs(queue)
            if sort == "queue":
                return self._store.jobs.in_order(queue, state)
            return self._store.jobs.in_state(queue, state, matches.prefilter)

        jobs = in_each(self._store, scope, queues, read)
        if wanted.group.strip():
            return of_known_group(self._store, scope, wanted, matches, jobs)
        return filter(matches, jobs) if wanted.narrows else jobs

    def shared(
        self, scope: QueueScope, state: str, wanted: JobFilter, work: Callable[[Iterator[Job]], R]
    ) -> Iterator[tuple[R | None, Iterator[Job]]]:
        """The jobs of `matching`, in the order found, in pieces, so that other processes can do a part of the
        work: what `work` returned for the first jobs of a piece, and the jobs that it has left. It need not
        take all jobs that it is given. For a filter with a failure group, all jobs are left."""
        _require(self._store, scope)
        if wanted.group.strip() or state == "repeatable":
            return iter([(None, self.matching(scope, state, wanted))])
        return _shared(self._store, scope, state, wanted, work)

    def elsewhere(self, scope: QueueScope, state: str | None, wanted: JobFilter) -> dict[str, int] | None:
        """By state, how many jobs in other states of the queue match. None if that would read more than a few
        hundred jobs, or if the filter has a failure group, which only dead jobs have. `state` is None for the
        dead-letter queue."""
        if scope.queue is None or wanted.group:
            return None
        sizes = self._store.queues.stats(
            scope.queue, self._store.now(), {"waiting", "active", "delayed", "dlq"}
        )
        places = {"waiting": sizes.waiting, "active": sizes.active, "delayed": sizes.delayed}
        others = {place for place in places if place != state}
        if state is not None:
            places["dlq"] = sizes.dlq
            others |= {dead for dead in DEAD_STATES if dead != state}
        if sum(size or 0 for size in places.values()) > _FEW:
            return None
        counts = {
            other: sum(1 for _ in self.matching(scope, other, wanted))
            for other in (*places, *DEAD_STATES)
            if other in others
        }
        return {other: count for other, count in counts.items() if count}

    def heartbeats(self, jobs: Sequence[Job]) -> dict[tuple[str, str], float | None]:
        """By queue and id, the time of the last heartbeat of each of these jobs, or None."""
        found: dict[tuple[str, str], float | None] = {}
        for queue in dict.fromkeys(job.queue for job in jobs):
            ids = [job.id for job in jobs if job.queue == queue]
            beats = self._store.jobs.heartbeats(queue, ids)
            found |= {(queue, job_id): beat for job_id, beat in zip(ids, beats, strict=True)}
        return found


class DlqService:
    """Lists dead letters. All methods raise QueueNotFound for a named queue that does not exist."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._jobs = JobService(store)

    def page(self, scope: QueueScope, wanted: JobFilter, *, sort: str, page: int, size: int) -> JobPage:
        """One page of the dead-letter queue, sorted by time of death. Its `state` is None."""
        which = Page("newest" if sort == "queue" else sort, page, size)
        if wanted.narrows:
            found, total = filtered(self._store, self._jobs.matching(scope, "dlq", wanted), _died, which)
        else:
            _require(self._store, scope)
            found, total, _ = unfiltered(self._store, scope, "dlq", which)
        return JobPage(scope.queue, None, page, size, total, sort, wanted, found)

    def every(self, scope: QueueScope, wanted: JobFilter, *, sort: str | None) -> Iterator[Job]:
        """Every match instead of one page. `sort` is None for the order found."""
        order = "newest" if sort == "queue" else sort
        if order == "newest" and not wanted.narrows and scope.queue is not None:
            _require(self._store, scope)
            return self._store.jobs.in_order(scope.queue, "dlq")
        return every(self._store, self._jobs.matching(scope, "dlq", wanted), _died, sort=order)

    def groups(self, scope: QueueScope, wanted: JobFilter, by: str = "cause") -> FailureGroups:
        """The failure groups of the matching jobs, the largest first. `by` is as in FailureGroups."""
        from asyncmq_cli.services.jobs.failure_groups import grouped, is_argument

        _require(self._store, scope)
        queues = holding(self._store, scope, "dlq")
        if wanted.narrows:
            jobs = self._jobs.matching(scope, "dlq", wanted)
        else:
            read = partial(self._store.jobs.dead_causes, arguments=is_argument(by))
            jobs = in_each(self._store, scope, queues, read)
        now = self._store.now()
        scanned, left_out, groups = grouped(jobs, by, now)
        if left_out:
            self._store.warn(f"{left_out:,} jobs are in no group: there are too many causes")
        return FailureGroups(queues, by, now, scanned, left_out, groups)


def _died(job: Job) -> float:
    return job.dead_at or 0.0


class QueueKey(NamedTuple):
    """The sort key of a job and its queue. Jobs with equal times are sorted by id, then by queue."""

    key: SortKey
    queue: str


class Page(Struct, frozen=True):
    """The page of a list to read. `page` counts from 1."""

    sort: str
    page: int
    size: int

    @property
    def start(self) -> int:
        return (self.page - 1) * self.size

    @property
    def end(self) -> int:
        return self.page * self.size

    @property
    def choose(self) -> Any:
        """The function that returns the first of some keys, in order."""
        return heapq.nlargest if self.sort == "newest" else heapq.nsmallest


def unfiltered(
    store: Store, scope: QueueScope, state: str, wanted: Page, *, exact: bool = True
) -> tuple[list[Job], int, bool]:
    """One page of the jobs in a state, or in the dead-letter queues (`dlq`), sorted by death; the total; and
    whether the total is exact. The states hash is read only if `exact` is set."""
    if scope.queue is not None:
        return _of_one(store, scope.queue, state, wanted, exact=exact)
    if wanted.sort == "queue":
        return _in_turn(store, scope, state, wanted, exact=exact)
    return _merged(store, scope, state, wanted, exact=exact)


def _of_one(
    store: Store, queue: str, state: str, wanted: Page, *, exact: bool
) -> tuple[list[Job], int, bool]:
    lists = store.jobs
    if state == "dlq":
        total = lists.count(queue, "dlq")
        return _by_death(store, queue, wanted, total), total, True
    found: int | None = None
    if wanted.sort == "queue":
        jobs = _within(store, lists.in_order(queue, state, wanted.start, wanted.size))
    else:
        keys, found = lists.best(queue, state, wanted.end, newest=wanted.sort == "newest")
        jobs = _within(store, lists.by_keys(queue, keys[wanted.start :]))
    if found is not None:
        return jobs, found, True
    if len(jobs) < wanted.size and (jobs or wanted.page == 1):
        # On the last page, the total is known.
        return jobs, wanted.start + len(jobs), True
    return jobs, *_total(store, queue, state, exact=exact)


def _total(store: Store, queue: str, state: str, *, exact: bool) -> tuple[int, bool]:
    """The number of jobs in a state, and whether it is exact."""
    size, is_exact = store.jobs.at_most(queue, state)
    return (store.jobs.count(queue, state), True) if exact and not is_exact else (size, is_exact)


def _by_death(store: Store, queue: str, wanted: Page, total: int) -> list[Job]:
    if wanted.sort != "oldest":
        return _within(store, store.jobs.in_order(queue, "dlq", wanted.start, wanted.size))
    start = max(0, total - wanted.end)
    jobs = store.jobs.in_order(queue, "dlq", start, max(0, total - wanted.start - start))
    return _within(store, jobs)[::-1]


def _within(store: Store, jobs: Iterable[Job], before: Iterable[Job] = ()) -> list[Job]:
    """The jobs of a page, without large values if they take too much memory. `before` are jobs that are
    already in memory."""
    return page_within(jobs, store.config.max_decoded - sum(job.size for job in before))


def _merged(
    store: Store, scope: QueueScope, state: str, wanted: Page, *, exact: bool
) -> tuple[list[Job], int, bool]:
    """The page of several queues, sorted by time. Only the keys of jobs that may be on the page are kept."""
    best: list[QueueKey] = []
    total, all_exact = 0, True

    def keys(queue: str) -> Iterator[QueueKey]:
        nonlocal total, all_exact
        # Jobs after the last one of a full page need not be read.
        bound = best[-1].key.time if len(best) == wanted.end else None
        found, count = _keys_of(store, queue, state, wanted, bound)
        size, is_exact = _total(store, queue, state, exact=exact) if count is None else (count, True)
        total, all_exact = total + size, all_exact and is_exact
        yield from (QueueKey(key, queue) for key in found)

    for queue in holding(store, scope, state):
        best = wanted.choose(wanted.end, [*best, *in_each(store, scope, [queue], keys)])
    return _within(store, _read(store, best[wanted.start :])), total, all_exact


def _keys_of(
    store: Store, queue: str, state: str, wanted: Page, bound: float | None
) -> tuple[list[SortKey], int | None]:
    """The keys of the jobs of a queue that may be on the page, and the number of its jobs, or None if that
    was not found."""
    lists, newest = store.jobs, wanted.sort == "newest"
    if state == "dlq":
        return lists.by_death(queue, wanted.end, last_first=newest, bound=bound), lists.count(queue, "dlq")
    return lists.best(queue, state, wanted.end, newest=newest, bound=bound)


def _in_turn(
    store: Store, scope: QueueScope, state: str, wanted: Page, *, exact: bool
) -> tuple[list[Job], int, bool]:
    """The page in the order of each queue itself, one queue after the other."""
    jobs: list[Job] = []
    skipped, total, all_exact = 0, 0, True

    def read(queue: str) -> Iterator[Job]:
        nonlocal total, all_exact, skipped
        start = wanted.start - skipped
        size, is_exact = _total(store, queue, state, exact=exact or start > 0)
        total, all_exact = total + size, all_exact and is_exact
        skipped += min(start, size)
        if len(jobs) < wanted.size and start < size:
            yield from store.jobs.in_order(queue, state, start, wanted.size - len(jobs))

    for queue in holding(store, scope, state):
        jobs += _within(store, in_each(store, scope, [queue], read), jobs)
    return jobs, total, all_exact


def filtered(store: Store, jobs: Iterable[Job], time_of: TimeOf, wanted: Page) -> tuple[list[Job], int]:
    """One page of these jobs, and their number. Jobs with equal times are sorted by id."""
    on_page, total = page_of(jobs, time_of, wanted, lambda keys: _read(store, keys))
    return _within(store, on_page), total


def page_of(
    jobs: Iterable[Job],
    time_of: TimeOf,
    wanted: Page,
    read_again: Callable[[Iterable[QueueKey]], Iterator[Job]],
) -> tuple[Iterable[Job], int]:
    """One page of these jobs, and their number. For an early page, small jobs are kept in memory; otherwise
    only their sort keys, and the jobs of the page are read again."""
    total = 0

    def counted() -> Iterator[Job]:
        nonlocal total
        for job in jobs:
            total += 1
            yield job

    kept: list[tuple[QueueKey, Job | None]]
    if wanted.sort == "queue":
        on_page = (job for n, job in enumerate(counted()) if wanted.start <= n < wanted.end)
        kept = [(_key_of(job, time_of), job if job.size < SMALL else None) for job in on_page]
    else:
        most = SMALL if wanted.end <= HELD_WHOLE else 0
        keyed = ((_key_of(job, time_of), job if job.size < most else None) for job in counted())
        kept = wanted.choose(wanted.end, keyed, key=lambda one: one[0])[wanted.start :]
    held = [job for _, job in kept if job is not None]
    if len(held) == len(kept):
        return held, total
    return read_again([key for key, _ in kept]), total


def every(store: Store, jobs: Iterable[Job], time_of: TimeOf, *, sort: str | None) -> Iterator[Job]:
    """All jobs, in the order found if `sort` is None. Sorting keeps a small tuple per job in memory."""
    if sort in (None, "queue"):
        return iter(jobs)
    keys = sorted((_key_of(job, time_of) for job in jobs), reverse=sort == "newest")
    return _read(store, keys)


def every_unfiltered(store: Store, scope: QueueScope, state: str, *, sort: str | None) -> Iterator[Job]:
    """All jobs of a state, sorted by the keys alone."""

    def keys(queue: str) -> Iterator[QueueKey]:
        found, _ = store.jobs.best(queue, state, ALL, newest=sort == "newest")
        return (QueueKey(key, queue) for key in found)

    found = in_each(store, scope, holding(store, scope, state), keys)
    return _read(store, sorted(found, reverse=sort == "newest"))


def _read(store: Store, wanted: Iterable[QueueKey]) -> Iterator[Job]:
    """Read these jobs again, in this order. Jobs that are gone are left out."""
    for some in in_parts(wanted, lambda one: one.key.size, KEYS_AT_A_TIME):
        by_queue: dict[str, list[SortKey]] = {}
        for key, queue in some:
            by_queue.setdefault(queue, []).append(key)
        coming = {queue: iter(list(store.jobs.by_keys(queue, keys))) for queue, keys in by_queue.items()}
        first = {queue: next(jobs, None) for queue, jobs in coming.items()}
        for key, queue in some:
            job = first[queue]
            if job is not None and job.id == key.id:
                yield job
                first[queue] = next(coming[queue], None)


def _key_of(job: Job, time_of: TimeOf) -> QueueKey:
    score = job.due_at if job.dead_at is None else job.dead_at
    # A job without a score is read by its id alone.
    place = "" if score is None else PLACE_OF_STATE.get(job.status, "")
    return QueueKey(SortKey(time_of(job), job.id, place, score or 0.0, job.size), job.queue)
