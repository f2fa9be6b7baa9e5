"""Sorting and paging jobs that do not fit in memory."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from asyncmq_cli.models.jobs import Job
from asyncmq_cli.models.values import DEAD_STATES
from asyncmq_cli.storage.lists import PLACES, SortKey

if TYPE_CHECKING:
    from asyncmq_cli.storage.store import Store

HELD_WHOLE = 1000
"""A page that ends within so many jobs is sorted with the jobs themselves in memory; a later one with what
they are sorted by only, and its jobs are read again."""

T = TypeVar("T")
TimeOf = Callable[[Job], float]


@dataclass(frozen=True, slots=True)
class Page:
    """Which jobs of a list are wanted."""

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
    """One page of a state, or of the dead-letter queue (`dlq`), which is sorted by death; how many jobs
    there are, and whether exactly so many. Only with `exact` is a pass over the states paid
    for."""
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
        # The last page says how many there are.
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
    counted = _Counted(jobs)
    if wanted.sort == "queue":
        return [job for n, job in enumerate(counted) if wanted.start <= n < wanted.end], counted.total
    if wanted.end > HELD_WHOLE:
        keys = _chosen((_key_of(job, time_of) for job in counted), wanted)
        return list(store.jobs.by_keys(queue, keys)), counted.total
    choose = heapq.nlargest if wanted.sort == "newest" else heapq.nsmallest
    found = choose(wanted.end, counted, key=lambda job: (time_of(job), job.id))
    return found[wanted.start :], counted.total


def every(
    store: Store, queue: str, jobs: Iterable[Job], time_of: TimeOf, *, sort: str | None
) -> Iterator[Job]:
    """All of the jobs: in the order found, or sorted at the price of a small tuple for each."""
    if sort in (None, "queue"):
        return iter(jobs)
    keys = sorted((_key_of(job, time_of) for job in jobs), reverse=sort == "newest")
    return store.jobs.by_keys(queue, keys)


def _chosen(keys: Iterable[SortKey], wanted: Page) -> list[SortKey]:
    choose = heapq.nlargest if wanted.sort == "newest" else heapq.nsmallest
    return choose(wanted.end, keys)[wanted.start :]


def _key_of(job: Job, time_of: TimeOf) -> SortKey:
    score = job.due_at if job.dead_at is None else job.dead_at
    # Without a score it is found by its id.
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
