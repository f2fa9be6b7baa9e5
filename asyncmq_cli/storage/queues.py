"""Which queues exist, and what is in them."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

import redis

from asyncmq_cli.models.jobs import Job
from asyncmq_cli.models.queues import QueueStats
from asyncmq_cli.models.values import WAITING_CHILDREN
from asyncmq_cli.storage import queue_names, scan, walk
from asyncmq_cli.storage.glance import Beside, Glance, glances, tally_of
from asyncmq_cli.storage.jobs import JobReader
from asyncmq_cli.storage.keys import DISCOVERY_PATTERN, QueueKeys, to_text

if TYPE_CHECKING:
    from asyncmq_cli.storage.tally import Tally
    from asyncmq_cli.storage.workers import WorkerReader

T = TypeVar("T")
Warn = Callable[[str], None]

_AT_A_TIME = 256
"""Queues of which rows are made before the next are looked at."""


class QueueReader:
    """`warn` is told of every key that could not be read; its value is then None, never zero."""

    def __init__(self, client: redis.Redis, workers: WorkerReader, warn: Warn) -> None:
        self._redis = client
        self._workers = workers
        self._warn = warn

    def names(self) -> list[str]:
        """All queues, sorted: AsyncMQ keeps no registry, so this reads the names of the keys."""
        found: set[bytes] = set()
        for keys in walk.key_names(self._redis, DISCOVERY_PATTERN):
            found |= queue_names.proven_by(self._redis, keys, found)
        return sorted(to_text(name) for name in found)

    def exists(self, queue: str) -> bool:
        """Whether any key of the queue is there, as `names` would find it."""
        return queue_names.exists(self._redis, queue)

    def is_paused(self, queue: str) -> bool:
        return bool(self._redis.exists(QueueKeys(queue).paused))

    def has_waiting(self, queue: str) -> bool:
        """Whether anything is in the waiting set. Raises WrongType."""
        return self.count_waiting(queue) > 0

    def count_waiting(self, queue: str) -> int:
        """The size of the waiting set. Raises WrongType."""
        return scan.card(self._redis, "ZCARD", QueueKeys(queue).waiting)

    def repeatables_as_jobs(self, queue: str) -> Iterator[Job]:
        """Each repeatable definition, as the `repeatable` tab of a job list shows it."""
        from asyncmq_cli.storage.repeatables import read

        for one in read(self._redis, queue):
            yield Job(queue, one.id, "repeatable", one.definition, problem=one.problem, due_at=one.score)

    def stats(self, queue: str, now: float) -> QueueStats:
        """Counts by the same rules as the lists of jobs; ages in seconds before `now`."""
        return self._one(queue, now, workers=True)

    def all_stats(self, names: Sequence[str], now: float, *, workers: bool = True) -> Iterator[QueueStats]:
        """As `stats` of each, or without the workers, which then are None. Small queues are read many
        at a time."""
        for group in scan.chunked(names, _AT_A_TIME):
            for queue, glance in zip(group, glances(self._redis, group), strict=True):
                if glance is None:
                    yield self._one(queue, now, workers=workers)
                else:
                    yield self._row(queue, now, glance.tally, glance, workers=workers)

    def _one(self, queue: str, now: float, *, workers: bool) -> QueueStats:
        keys = QueueKeys(queue)
        try:
            tally = tally_of(self._redis, keys)
        except scan.WrongType:
            # Which counts that leaves is found out by one after the other.
            tally = None
        return self._row(queue, now, tally, Beside(self._redis, keys), workers=workers)

    def _row(
        self, queue: str, now: float, tally: Tally | None, beside: Beside | Glance, *, workers: bool
    ) -> QueueStats:
        jobs = JobReader(self._redis)
        anywhere = tally.states if tally else self._readable(queue, lambda: _anywhere(jobs, queue))
        if tally is not None and tally.is_settled("waiting"):
            waits: tuple[int, float | None] | None = tally.placed["waiting"], tally.oldest
        else:
            waits = self._readable(queue, lambda: _waiting(jobs, queue))
        waiting, oldest = waits or (None, None)
        delayed, dead = (
            tally.placed
            if tally is not None and tally.is_settled(place)
            else self._readable(queue, functools.partial(_in_place, jobs, queue, place))
            for place in ("delayed", "dlq")
        )
        return QueueStats(
            name=queue,
            paused=beside.paused,
            waiting=waiting,
            active=_count(anywhere, "active"),
            delayed=_count(delayed, "delayed"),
            failed=_count(dead, "failed"),
            completed=_count(anywhere, "completed"),
            expired=_count(dead, "expired"),
            cancelled=_count(anywhere, "cancelled"),
            waiting_children=_count(anywhere, WAITING_CHILDREN),
            dlq=self._readable(queue, lambda: beside.dlq),
            repeatables=self._readable(queue, lambda: beside.repeatables),
            workers=self._readable(queue, lambda: self.live_workers(queue, now) if beside.workers else 0)
            if workers
            else None,
            oldest_waiting_seconds=None if oldest is None else max(0.0, now - oldest),
        )

    def waiting(self, queue: str) -> tuple[int, float | None]:
        """How many jobs wait, as `stats` counts them, and when the oldest of them was created; None
        where none tells. Raises WrongType."""
        return _waiting(JobReader(self._redis), queue)

    def failed(self, queue: str) -> int:
        """How many jobs failed, as `stats` counts them. Raises WrongType."""
        return _in_place(JobReader(self._redis), queue, "dlq")["failed"]

    def dead(self, queue: str) -> int:
        """The size of the dead-letter queue. Raises WrongType."""
        return scan.card(self._redis, "ZCARD", QueueKeys(queue).dlq)

    def _readable(self, queue: str, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except scan.WrongType as exc:
            self._warn(f"queue {queue!r}: {exc.message}")
            return None

    def live_workers(self, queue: str, now: float) -> int:
        """How many workers the queue has that are live. Raises WrongType."""
        return sum(1 for worker in self._workers.in_queue(queue) if worker.is_live)


def _anywhere(jobs: JobReader, queue: str) -> Counter[str]:
    return Counter(jobs.states_anywhere(queue))


def _waiting(jobs: JobReader, queue: str) -> tuple[int, float | None]:
    """How many jobs wait, and when the oldest of them was created."""
    count = 0
    oldest: float | None = None
    for job in jobs.states_in_place(queue, "waiting"):
        if job.status != "waiting":
            continue
        count += 1
        if job.created_at is not None and (oldest is None or job.created_at < oldest):
            oldest = job.created_at
    return count, oldest


def _in_place(jobs: JobReader, queue: str, place: str) -> Counter[str]:
    return Counter(job.status for job in jobs.states_in_place(queue, place))


def _count(states: Counter[str] | None, state: str) -> int | None:
    return None if states is None else states[state]
