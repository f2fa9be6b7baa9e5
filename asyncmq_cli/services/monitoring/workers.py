"""List workers and their health, find queues without a worker, and forget workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from asyncmq_cli.errors import ChangeRefused, WorkerNotFound, WrongType, command_line
from asyncmq_cli.models.values import chunked
from asyncmq_cli.models.workers import Worker, WorkerPage, WorkerSummary
from asyncmq_cli.services.jobs.lookup import has_wildcard, require_queues
from asyncmq_cli.services.monitoring.lost_jobs import LostJobs, silence_in_words

if TYPE_CHECKING:
    from asyncmq_cli.models.changes import ChangeReport
    from asyncmq_cli.services.changes.runner import Attempt
    from asyncmq_cli.storage.store import Store

ACTION, SOURCE = "worker.forget", "workers"

# Sort keys. `queue` puts live workers first, `heartbeat` the longest silent, `concurrency` the largest.
_ORDERS: dict[str, Callable[[Worker], tuple[Any, ...]]] = {
    "queue": lambda worker: (not worker.is_live, worker.queue, worker.id),
    "id": lambda worker: (worker.id, worker.queue),
    "heartbeat": lambda worker: (worker.heartbeat or 0.0, worker.queue, worker.id),
    "concurrency": lambda worker: (-(worker.concurrency or 0), worker.queue, worker.id),
}


_QUEUES_AT_A_TIME = 100


class WorkerScan:
    """An iterable of the workers of the queues that are named or match a glob, or of all queues. After the
    iteration, `summary` and `unattended` are complete."""

    def __init__(self, store: Store, globs: Sequence[str], ttl: float | None) -> None:
        self._store = store
        self._globs = globs
        self._ttl = ttl
        self.summary = WorkerSummary()
        self.unattended: list[str] = []
        """The queues that have waiting jobs but no live worker."""

    def __iter__(self) -> Iterator[Worker]:
        """Yield the workers in the order found, queue by queue."""
        for group in chunked(require_queues(self._store, self._globs), _QUEUES_AT_A_TIME):
            found = dict(self._store.workers.in_queues(group, self._ttl))
            waiting = dict(zip(group, self._store.jobs.at_most_each(group, "waiting"), strict=True))
            for queue, workers in found.items():
                if isinstance(workers, WrongType):
                    self._store.warn_of(queue, workers.message)
                    continue
                if isinstance(waits := waiting[queue], WrongType):
                    self._store.warn_of(queue, waits.message)
                    continue
                self.summary = self.summary.plus(workers)
                if waits and not any(worker.is_live for worker in workers):
                    self.unattended.append(queue)
                yield from workers


class WorkerService:
    """Reads workers by their heartbeats, and forgets them."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def scan(self, globs: Sequence[str] = (), ttl: float | None = None) -> WorkerScan:
        """The workers of `queue`, or of all queues. `ttl` is the heartbeat TTL in seconds, or None for the
        configured one. Iterating raises QueueNotFound."""
        return WorkerScan(self._store, globs, ttl)

    def page(
        self,
        scan: WorkerScan,
        *,
        sort: str,
        page: int,
        size: int,
        health: str | None = None,
        fold: bool = False,
    ) -> WorkerPage:
        """One page of the workers, optionally only those of one health. Past the end it has no workers, but
        the true summary. With `fold`, silent workers are only counted if there are live ones."""
        workers = of_health(self.in_order(scan, sort), health)
        living = [worker for worker in workers if worker.is_live]
        # A single silent worker is shown: the line that counts it would be as long.
        listed = living if fold and living and len(workers) - len(living) > 1 else workers
        shown = listed[(page - 1) * size : page * size]
        folded = len(workers) - len(listed)
        return WorkerPage(shown, scan.summary, page, size, scan.unattended, len(listed), folded)

    def in_order(self, scan: WorkerScan, sort: str) -> list[Worker]:
        """All workers, sorted by one of `_ORDERS`."""
        return sorted(scan, key=_ORDERS[sort])

    def silent(self, globs: Sequence[str]) -> list[tuple[str, str]]:
        """The queue and id of each worker that has sent no heartbeat for its TTL. A worker whose clock is
        ahead is left out, because the age of its heartbeat is unknown."""
        return [(one.queue, one.id) for one in self.scan(globs) if _is_silent(one)]

    def named(self, ids: Sequence[str], globs: Sequence[str]) -> list[tuple[str, str]]:
        """The queue and id of each of these workers. For an unknown worker, the queue is the only one that
        was given, or "". White space around an id is dropped unless a worker has exactly that id."""
        there = [(one.queue, one.id) for one in self.scan(globs)]
        queue = globs[0] if len(globs) == 1 and not has_wildcard(globs[0]) else ""
        exact = {worker_id for _, worker_id in there}
        wanted = dict.fromkeys(one if one in exact else one.strip() or one for one in ids)
        found = [(name, worker_id) for name, worker_id in there if worker_id in wanted]
        known = {worker_id for _, worker_id in found}
        return [*found, *((queue, worker_id) for worker_id in wanted if worker_id not in known)]

    def forget(
        self, workers: Sequence[tuple[str, str]], *, force: bool, reason: str | None, dry_run: bool
    ) -> ChangeReport:
        """Delete the heartbeats of these workers, given as queue and id. Live workers are refused without
        `force`."""
        from asyncmq_cli.services.changes.runner import Runner

        details = {"force": True} if force else {}
        runner = Runner(self._store, ACTION, SOURCE, reason=reason, dry_run=dry_run, details=details)

        held: dict[str, str | None] = {}

        def change(attempt: Attempt) -> str | None:
            queue, worker_id = attempt.queue or "", attempt.job_id or ""
            # Read the entries first: the script refuses if they have changed since.
            entries = self._store.workers.entries(queue, worker_id)
            known = {one.id: one for one in self._store.workers.in_queue(queue)} if queue else {}
            worker = known.get(worker_id)
            if worker is None:
                raise WorkerNotFound(worker_id, queue or None)
            if not force and not _is_silent(worker):
                raise _not_silent(worker)
            attempt.details.update(heartbeat=worker.heartbeat, concurrency=worker.concurrency)
            if queue not in held:
                held[queue] = self._left_by(queue, list(known.values()))
            if not dry_run and not self._store.queue_changes.forget_worker(
                queue, worker_id, entries, attempt.draft()
            ):
                raise ChangeRefused(
                    "worker_wrote", f"worker {worker_id!r} sent a heartbeat meanwhile; nothing was changed"
                )
            return held[queue]

        return runner.each(workers, change)

    def _left_by(self, queue: str, workers: Sequence[Worker]) -> str | None:
        """A note that names the jobs that a silent worker may have been running while others are live. Only
        its heartbeat points at these jobs, so they cannot be found once it is forgotten."""
        lost = LostJobs(self._store, queue, self._store.now(), workers)
        lost.count()
        if not lost.silent:
            return None
        ids = lost.longest_silent
        more = f" and {lost.silent - len(ids):,} more" if lost.silent > len(ids) else ""
        return f"{silence_in_words(lost.silent)}, which nothing else shows: {', '.join(ids)}{more}"


def of_health(workers: Sequence[Worker], health: str | None) -> list[Worker]:
    """The workers of this health, or all if it is None."""
    return [worker for worker in workers if health in (None, worker.health)]


def _is_silent(worker: Worker) -> bool:
    unknown = worker.age_seconds is None and worker.clock_offset is not None
    return not worker.is_live and not unknown


def _not_silent(worker: Worker) -> ChangeRefused:
    why = f"is {worker.health}"
    if worker.age_seconds is None:
        why = "may be alive: its clock is ahead, so the age of its heartbeat is not known"
    return ChangeRefused(
        "worker_live",
        f"worker {worker.id!r} {why}",
        hint=f"{command_line('workers', 'forget', worker.id, '--force')} forgets it until its next heartbeat",
    )
