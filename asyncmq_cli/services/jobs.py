"""Jobs: listing, reading one, and retrying, removing or cancelling them."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from asyncmq_cli.errors import ChangeRefused, JobNotFound
from asyncmq_cli.models import ChangeReport, Job, JobDetail, JobFilter, JobPage, as_number
from asyncmq_cli.services.change import Attempt, Runner
from asyncmq_cli.services.chunk import chunked
from asyncmq_cli.services.existence import require_queue
from asyncmq_cli.services.matching import Matcher
from asyncmq_cli.services.traceback import job_error
from asyncmq_cli.storage.changes import marked_cancelled
from asyncmq_cli.storage.hydrate import has_pending_parents
from asyncmq_cli.storage.locate import Location
from asyncmq_cli.storage.store import Store

DEAD_STATES = ("failed", "expired")
TIMED_PLACES = {"delayed": "delayed", "failed": "dlq", "expired": "dlq"}
"""The places whose scores are times: when a job is due, or when it died."""
ENDED_STATES = ("completed", "failed", "expired", "cancelled")
_HELD_WHOLE = 1000
"""A page that ends within so many jobs is sorted with the jobs themselves in memory; a later
one with their times and ids only, and its jobs are read again."""


class JobService:
    def __init__(self, store: Store) -> None:
        self._store = store

    def page(self, queue: str, state: str, wanted: JobFilter, *, sort: str, page: int, size: int) -> JobPage:
        """One page of a state. A page past the end has no jobs, and the true totals."""
        total = 0

        def counted() -> Iterator[Job]:
            nonlocal total
            for job in self.matching(queue, state, wanted):
                total += 1
                yield job

        last = page * size
        if last <= _HELD_WHOLE:
            jobs = _first(last, counted(), sort)[last - size :]
        else:
            keys = _first_keys(last, counted(), sort)[last - size :]
            jobs = list(self._reread(queue, [job_id for _, job_id in keys]))
        return JobPage(queue, state, page, size, total, sort, wanted, jobs)

    def every(self, queue: str, state: str, wanted: JobFilter, *, sort: str | None) -> Iterator[Job]:
        """Every match: in the order found, or sorted at the price of one small tuple for each."""
        if sort is None:
            yield from self.matching(queue, state, wanted)
            return
        keys = [(job.sort_time, job.id) for job in self.matching(queue, state, wanted)]
        keys.sort(reverse=sort == "newest")
        yield from self._reread(queue, [job_id for _, job_id in keys])

    def matching(self, queue: str, state: str, wanted: JobFilter) -> Iterator[Job]:
        require_queue(self._store, queue)
        if state == "repeatable":
            jobs = self._store.queues.repeatables_as_jobs(queue)
        else:
            jobs = self._store.jobs.in_state(queue, state)
        return filter(Matcher(wanted), jobs)

    def show(self, queue: str, job_id: str) -> JobDetail:
        """Raises QueueNotFound or JobNotFound."""
        require_queue(self._store, queue)
        job = self._store.jobs.load(queue, [job_id])[0]
        if job is None:
            location = self._store.locate(queue, [job_id], ("waiting", "delayed", "dlq"))[0]
            if not location.exists:
                raise JobNotFound(queue, job_id)
            job = location.job
        elif job.status in TIMED_PLACES:
            location = self._store.locate(queue, [job_id], (TIMED_PLACES[job.status],))[0]
            job = replace(job, due_at=location.job.due_at, dead_at=location.job.dead_at)
        return JobDetail(job=job, result=job.get("result"), error=job_error(job))

    def retry(
        self, queue: str, job_ids: Sequence[str], *, reset: bool, reason: str | None, dry_run: bool
    ) -> ChangeReport:
        now = self._now()

        def attempt(attempt: Attempt, location: Location) -> str | None:
            _require_dead(location)
            if not dry_run:
                self._store.changes.retry(location, attempt.draft(), reset_at=now if reset else None)
            return None if reset else _will_expire(location, now)

        runner = self._runner("job.retry", job_ids, reason, dry_run, {"reset": True} if reset else {})
        return runner.jobs(queue, job_ids, ("dlq",), attempt)

    def remove(
        self, queue: str, job_ids: Sequence[str], *, force: bool, reason: str | None, dry_run: bool
    ) -> ChangeReport:
        def attempt(attempt: Attempt, location: Location) -> str | None:
            _require_found(location)
            if location.active and not force:
                raise ChangeRefused(
                    "job_active",
                    f"job {location.id!r} is active: a worker may be running it",
                    hint="--force removes it all the same",
                )
            children = self._store.changes.children_of(queue, location.id)
            if not dry_run:
                self._store.changes.remove(location, attempt.draft(), force=force)
            return f"{children} jobs wait for it and will never run" if children else None

        runner = self._runner("job.remove", job_ids, reason, dry_run, {"force": True} if force else {})
        return runner.jobs(queue, job_ids, ("waiting", "delayed", "dlq"), attempt)

    def cancel(
        self, queue: str, job_ids: Sequence[str], *, reason: str | None, dry_run: bool
    ) -> ChangeReport:
        def attempt(attempt: Attempt, location: Location) -> str | None:
            _require_found(location)
            status = location.job.status
            if status in ENDED_STATES:
                raise ChangeRefused(
                    "job_ended",
                    f"job {location.id!r} is {status} already, so there is nothing to cancel",
                    hint="'asyncmq jobs remove' takes it out of the queue" if status != "completed" else None,
                )
            if not dry_run:
                self._store.changes.cancel(location, attempt.draft())
            return "a worker may be running it; what it does is not undone" if location.active else None

        runner = self._runner("job.cancel", job_ids, reason, dry_run, {})
        return runner.jobs(queue, job_ids, ("waiting", "delayed"), attempt)

    def _runner(
        self,
        action: str,
        job_ids: Sequence[str],
        reason: str | None,
        dry_run: bool,
        details: dict[str, bool],
    ) -> Runner:
        source = "jobs.single" if len(set(job_ids)) == 1 else "jobs.bulk"
        return Runner(self._store, action, source, reason=reason, dry_run=dry_run, details=details)

    def _now(self) -> float:
        with self._store.errors():
            return self._store.now()

    def _reread(self, queue: str, job_ids: Sequence[str]) -> Iterator[Job]:
        """The jobs of these ids, in their order; one that is gone meanwhile is left out."""
        for piece in chunked(job_ids, 500):
            loaded = self._store.jobs.load(queue, piece)
            for job_id, job in zip(piece, loaded, strict=True):
                if job is None:
                    location = self._store.locate(queue, [job_id], ("waiting", "delayed", "dlq"))[0]
                    job = location.job if location.exists else None
                if job is not None:
                    yield job


def _first(count: int, jobs: Iterable[Job], sort: str) -> list[Job]:
    """The first `count` in that order, holding no more than those. Equal times go by id."""
    choose = heapq.nlargest if sort == "newest" else heapq.nsmallest
    return choose(count, jobs, key=lambda job: (job.sort_time, job.id))


def _first_keys(count: int, jobs: Iterable[Job], sort: str) -> list[tuple[float, str]]:
    choose = heapq.nlargest if sort == "newest" else heapq.nsmallest
    return choose(count, ((job.sort_time, job.id) for job in jobs))


def _require_found(location: Location) -> None:
    if location.problem is not None:
        raise location.problem
    if not location.exists:
        raise JobNotFound(location.queue, location.id)


def _require_dead(location: Location) -> None:
    """A job can be retried that is in the dead-letter queue, and nowhere else."""
    _require_found(location)
    status = location.job.status
    if location.cancelled and location.members["dlq"]:
        raise marked_cancelled(location.id)
    if not location.members["dlq"] or (location.state is not None and location.state not in DEAD_STATES):
        where = (
            f"{status}, but not in the dead-letter queue"
            if status in DEAD_STATES
            else f"{status}, not failed"
        )
        raise ChangeRefused(
            "job_not_dead",
            f"job {location.id!r} is {where}, so it cannot be retried",
            hint="'asyncmq jobs list QUEUE --state failed' lists the jobs that can",
        )
    if location.active or location.members["waiting"]:
        raise ChangeRefused(
            "job_not_dead", f"job {location.id!r} is waiting or active as well, so a retry would run it twice"
        )
    if has_pending_parents(location.job.record):
        raise ChangeRefused(
            "job_waits_for_parents", f"job {location.id!r} waits for other jobs, so a retry would not run it"
        )


def _will_expire(location: Location, now: float) -> str | None:
    job = location.job
    ttl, created_at = as_number(job.get("ttl")), job.created_at
    if ttl is None or created_at is None or now <= created_at + ttl:
        return None
    age = f"it is older than its time to live of {ttl:g} s"
    return f"{age}, so it will expire again at once; --reset makes it start fresh"
