"""Sorting and paging jobs that do not fit in memory."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from asyncmq_cli.models.jobs import Job
from asyncmq_cli.storage.scan import chunked

if TYPE_CHECKING:
    from asyncmq_cli.storage.store import Store

HELD_WHOLE = 1000
"""A page that ends within so many jobs is sorted with the jobs themselves in memory; a later
one with their times and ids only, and its jobs are read again."""

TimeOf = Callable[[Job], float]
Reread = Callable[[Sequence[str]], Iterable[Job]]


class Counted:
    """Counts what passes through it."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._jobs = jobs
        self.total = 0

    def __iter__(self) -> Iterator[Job]:
        for job in self._jobs:
            self.total += 1
            yield job


def page_of(
    jobs: Iterable[Job], time_of: TimeOf, *, sort: str, page: int, size: int, reread: Reread
) -> list[Job]:
    """One page of the jobs in that order; equal times go by id."""
    last = page * size
    choose = heapq.nlargest if sort == "newest" else heapq.nsmallest
    if last <= HELD_WHOLE:
        return choose(last, jobs, key=lambda job: (time_of(job), job.id))[last - size :]
    keys = choose(last, ((time_of(job), job.id) for job in jobs))[last - size :]
    return list(reread([job_id for _, job_id in keys]))


def every(jobs: Iterable[Job], time_of: TimeOf, *, sort: str | None, reread: Reread) -> Iterator[Job]:
    """All of the jobs: in the order found, or sorted at the price of a small tuple for each."""
    if sort is None:
        yield from jobs
        return
    keys = [(time_of(job), job.id) for job in jobs]
    keys.sort(reverse=sort == "newest")
    yield from reread([job_id for _, job_id in keys])


def read_again(
    store: Store, queue: str, job_ids: Sequence[str], *, with_scores: str | None = None
) -> Iterator[Job]:
    """The jobs of these ids, in their order; one that is gone meanwhile is left out.

    `with_scores` names the sorted set whose scores are wanted too.
    """
    for piece in chunked(job_ids, 500):
        if with_scores is not None:
            yield from (
                location.job for location in store.locate(queue, piece, (with_scores,)) if location.exists
            )
            continue
        for job_id, job in zip(piece, store.jobs.load(queue, piece), strict=True):
            if job is not None:
                yield job
                continue
            location = store.locate(queue, [job_id])[0]
            if location.exists:
                yield location.job
