"""Read one page of a list of jobs, or the whole list in order, of one queue or merged from several."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from msgspec import Struct

from asyncmq_cli.models.jobs import Job, page_within
from asyncmq_cli.models.values import in_parts
from asyncmq_cli.services.jobs.lookup import holding, in_each
from asyncmq_cli.storage.read.lists import ALL, KEYS_AT_A_TIME, SortKey
from asyncmq_cli.storage.schema.keys import PLACE_OF_STATE

if TYPE_CHECKING:
    from asyncmq_cli.models.jobs import QueueScope
    from asyncmq_cli.storage.store import Store

HELD_WHOLE = 1000
"""Jobs. For a page that ends within this many jobs, the jobs are kept in memory while they are sorted. For a
later page only the sort keys are kept, and the jobs of the page are read again."""
SMALL = 64 * 1024
"""Bytes. Larger jobs are not kept in memory either."""

T = TypeVar("T")
TimeOf = Callable[[Job], float]


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
        best = _best([*best, *in_each(store, scope, [queue], keys)], wanted)
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
        choose = heapq.nlargest if wanted.sort == "newest" else heapq.nsmallest
        kept = choose(wanted.end, keyed, key=lambda one: one[0])[wanted.start :]
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


def _best(keys: Iterable[T], wanted: Page) -> list[T]:
    """The first keys, in order, up to the end of the page."""
    choose = heapq.nlargest if wanted.sort == "newest" else heapq.nsmallest
    return choose(wanted.end, keys)  # type: ignore[type-var]


def _key_of(job: Job, time_of: TimeOf) -> QueueKey:
    score = job.due_at if job.dead_at is None else job.dead_at
    # A job without a score is read by its id alone.
    place = "" if score is None else PLACE_OF_STATE.get(job.status, "")
    return QueueKey(SortKey(time_of(job), job.id, place, score or 0.0, job.size), job.queue)
