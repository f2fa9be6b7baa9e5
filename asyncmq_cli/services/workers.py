"""Workers: which there are, how they are, and which queues have none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from asyncmq_cli.models.workers import Worker, WorkerPage, WorkerSummary
from asyncmq_cli.services.existence import require_queue
from asyncmq_cli.storage.scan import WrongType

if TYPE_CHECKING:
    from asyncmq_cli.storage.store import Store

# Each with what comes first: the longest silent worker, and the largest one.
_ORDERS: dict[str, Callable[[Worker], tuple[Any, ...]]] = {
    "queue": lambda worker: (worker.queue, worker.id),
    "id": lambda worker: (worker.id, worker.queue),
    "heartbeat": lambda worker: (worker.heartbeat or 0.0, worker.queue, worker.id),
    "concurrency": lambda worker: (-(worker.concurrency or 0), worker.queue, worker.id),
}


class Fleet:
    """The workers of some queues. The summary and `unattended` are whole once it is read through."""

    def __init__(self, store: Store, queue: str | None, ttl: float | None) -> None:
        self._store = store
        self._queue = queue
        self._ttl = ttl
        self.summary = WorkerSummary()
        self.unattended: list[str] = []
        """Queues in which jobs wait and no live worker is."""

    def __iter__(self) -> Iterator[Worker]:
        """In the order found, queue by queue."""
        for queue in self._queues():
            try:
                workers = self._store.workers.in_queue(queue, self._ttl)
                waiting = self._store.queues.has_waiting(queue)
            except WrongType as exc:
                self._store.warn_of(queue, exc.message)
                continue
            self.summary = self.summary.plus(workers)
            if waiting and not any(worker.is_live for worker in workers):
                self.unattended.append(queue)
            yield from workers

    def _queues(self) -> list[str]:
        if self._queue is None:
            return self._store.queues.names()
        require_queue(self._store, self._queue)
        return [self._queue]


class WorkerService:
    """Workers by their heartbeats."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def fleet(self, queue: str | None, ttl: float | None) -> Fleet:
        """`ttl` is seconds, None for the configured one. A queue that is not there is found missing
        when the fleet is read: QueueNotFound."""
        return Fleet(self._store, queue, ttl)

    def page(self, fleet: Fleet, *, sort: str, page: int, size: int) -> WorkerPage:
        """One page. A page past the end has no workers, and the true summary."""
        workers = self.in_order(fleet, sort)
        shown = workers[(page - 1) * size : page * size]
        return WorkerPage(shown, fleet.summary, page, size, fleet.unattended)

    def in_order(self, fleet: Fleet, sort: str) -> list[Worker]:
        """All of them, by one of `_ORDERS`."""
        return sorted(fleet, key=_ORDERS[sort])
