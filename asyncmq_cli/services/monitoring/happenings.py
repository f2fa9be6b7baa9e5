"""What happened between two snapshots of all queues, for whoever watches them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from asyncmq_cli.models.happenings import Happening, QueueHappening, WorkerHappening
from asyncmq_cli.models.queues import QueueStats
from asyncmq_cli.services.jobs.causes import signature

if TYPE_CHECKING:
    from asyncmq_cli.models.snapshots import Snapshot
    from asyncmq_cli.storage.store import Store

_CAUSES_READ = 50
"""How many of the newest dead letters of a queue are read for their causes."""


Causes = Callable[[str, int], Mapping[str, int]]


class Happenings:
    """Compares each snapshot with the one before. `causes` reads why the newest jobs of a queue failed."""

    def __init__(self, causes: Causes) -> None:
        self._causes = causes
        self._before: Mapping[str, QueueStats] | None = None
        self._live: set[tuple[str, str]] = set()
        self._silent: set[tuple[str, str]] = set()

    def since_last(self, snapshot: Snapshot) -> list[Happening] | None:
        """What happened since the last snapshot; None for the first one."""
        rows = {row.name: row for row in snapshot.stats or ()}
        workers = {(worker.id, worker.queue) for worker in snapshot.workers or ()}
        before, self._before = self._before, rows
        found: list[Happening] = []
        if before is not None:
            found += self._of_queues(before, rows)
            found += self._of_workers(workers)
        self._live = workers
        return None if before is None else found

    def _of_queues(
        self, before: Mapping[str, QueueStats], rows: Mapping[str, QueueStats]
    ) -> Iterator[QueueHappening]:
        for name, row in rows.items():
            happened = self._of_queue(before.get(name), row)
            if happened != QueueHappening(name):
                yield happened
        for name in before:
            if name not in rows:
                yield QueueHappening(name, marks=("gone",))

    def _of_queue(self, old: QueueStats | None, row: QueueStats) -> QueueHappening:
        marks = [] if old is not None else ["new"]
        if row.paused != (old is not None and old.paused):
            marks.append("paused" if row.paused else "resumed")
        old = old or QueueStats(row.name, waiting=0, completed=0, failed=0, expired=0)
        failed = _more(old.failed, row.failed)
        return QueueHappening(
            row.name,
            completed=_more(old.completed, row.completed),
            failed=failed,
            expired=_more(old.expired, row.expired),
            causes=self._causes(row.name, min(failed, _CAUSES_READ)) if failed else {},
            waiting=_change(old.waiting, row.waiting),
            marks=tuple(marks),
        )

    def _of_workers(self, workers: set[tuple[str, str]]) -> Iterator[WorkerHappening]:
        for worker, queue in sorted(self._live - workers):
            yield WorkerHappening(worker, queue, "silent")
        for worker, queue in sorted(workers - self._live):
            yield WorkerHappening(worker, queue, "back" if (worker, queue) in self._silent else "started")
        self._silent = (self._silent | (self._live - workers)) - workers


def _more(before: int | None, now: int | None) -> int:
    """How many jobs there are more. Fewer is what people removed or retried, and happened elsewhere."""
    return 0 if before is None or now is None else max(0, now - before)


def _change(before: int | None, now: int | None) -> tuple[int, int] | None:
    return None if before is None or now is None or before == now else (before, now)


def causes_of(store: Store) -> Causes:
    """Reads the types of the root causes of the newest dead jobs of a queue."""

    def read(queue: str, count: int) -> Mapping[str, int]:
        with store.errors():
            jobs = list(store.jobs.dead_causes(queue, newest=count))
        names = (signature(job) for job in jobs if job.status != "expired")
        return dict(Counter(each.type or each.message for each in names).most_common())

    return read
