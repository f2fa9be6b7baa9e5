"""Find the newest jobs of a queue, and of all queues."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from asyncmq_cli.errors import WrongType
from asyncmq_cli.models.snapshots import LatestJob
from asyncmq_cli.models.values import as_number
from asyncmq_cli.storage.read.prefilter import NewestPrefilter
from asyncmq_cli.storage.schema.keys import to_text

if TYPE_CHECKING:
    from asyncmq_cli.models.jobs import Job
    from asyncmq_cli.storage.read.sizes import Sizes
    from asyncmq_cli.storage.store import Store

LATEST_JOBS = 10
FEW_JOBS = 20_000
"""Above this many jobs, the newest are found by the orders that Redis keeps."""


def newest_of(store: Store, queue: str) -> list[LatestJob]:
    """The newest jobs of a queue, newest first. Warns of keys that cannot be read."""
    prefilter = NewestPrefilter()
    top: list[LatestJob] = []
    for job in _readable(store, queue, prefilter):
        found = LatestJob(_created(job), queue, job.id, job.status)
        if len(top) == LATEST_JOBS and newest_first(found) >= newest_first(top[-1]):
            continue
        # A scan may return a job twice.
        top = newest([found, *(one for one in top if one.id != found.id)])
        if len(top) == LATEST_JOBS:
            prefilter.floor = top[-1].created
    return top


def newest_placed(store: Store, sizes: Sequence[Sizes]) -> dict[str, list[LatestJob]]:
    """By queue, the jobs that can be among the newest of all, without reading all jobs. Completed and
    cancelled jobs, and those that wait for parents, are in no order and are left out."""
    found: dict[str, list[LatestJob]] = {}
    for job, state in store.newest_placed(sizes, LATEST_JOBS):
        found.setdefault(job.queue, []).append(LatestJob(job.created, job.queue, to_text(job.id), state))
    return {queue: newest(jobs) for queue, jobs in found.items()}


def _readable(store: Store, queue: str, prefilter: NewestPrefilter) -> Iterator[Job]:
    try:
        yield from store.jobs.in_state(queue, "all", prefilter)
    except WrongType as exc:
        store.warn_of(queue, exc.message)


def newest(jobs: Iterable[LatestJob]) -> list[LatestJob]:
    """The newest of these, the newest first."""
    return heapq.nsmallest(LATEST_JOBS, jobs, key=newest_first)


def newest_first(job: LatestJob) -> tuple[float, str, str]:
    """The sort key: newest first, equal times by queue and id."""
    return (-job.created, job.queue, job.id)


def _created(job: Job) -> float:
    # The dashboard's order of precedence.
    return as_number(job.get("timestamp")) or job.created_at or 0.0
