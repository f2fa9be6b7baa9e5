"""Which queues exist, and what is in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import redis

from asyncmq_cli.models import WAITING_CHILDREN, Job, QueueStats
from asyncmq_cli.storage import scan
from asyncmq_cli.storage.jobs import JobReader
from asyncmq_cli.storage.keys import DISCOVERY_PATTERN, QueueKeys, queue_of, to_bytes, to_text
from asyncmq_cli.storage.repeatables import read as read_repeatables
from asyncmq_cli.storage.workers import WorkerReader

T = TypeVar("T")
Warn = Callable[[str], None]


class QueueReader:
    """`warn` is told of every key that could not be read; its value is then None, never zero."""

    def __init__(self, client: redis.Redis, workers: WorkerReader, warn: Warn) -> None:
        self._redis = client
        self._workers = workers
        self._warn = warn

    def names(self) -> list[str]:
        """All queues, sorted: AsyncMQ keeps no registry, so this reads the names of the keys."""
        found: set[bytes] = set()
        for keys in scan.key_names(self._redis, DISCOVERY_PATTERN):
            unproven: list[tuple[bytes, bytes, bytes]] = []
            for key in keys:
                parsed = queue_of(key)
                if parsed is None or parsed[0] in found:
                    continue
                name, kind = parsed
                if kind is None:
                    found.add(name)
                else:
                    unproven.append((key, name, kind))
            found.update(self._proven(unproven))
        return sorted(to_text(name) for name in found)

    def exists(self, queue: str) -> bool:
        """Whether any key of the queue is there, as `names` would find it."""
        evidence = [(key, to_bytes(queue), queue_of(key)) for key in QueueKeys(queue).evidence()]
        certain = [key for key, name, parsed in evidence if parsed == (name, None)]
        if certain and self._redis.exists(*certain):
            return True
        unproven = [(key, name, parsed[1]) for key, name, parsed in evidence if parsed and parsed[1]]
        return bool(self._proven(unproven))

    def is_paused(self, queue: str) -> bool:
        return bool(self._redis.exists(QueueKeys(queue).paused))

    def has_waiting(self, queue: str) -> bool:
        """Whether anything is in the waiting set. Raises WrongType."""
        return scan.card(self._redis, "ZCARD", QueueKeys(queue).waiting) > 0

    def repeatables_as_jobs(self, queue: str) -> Iterator[Job]:
        """Each repeatable definition, as the `repeatable` tab of a job list shows it."""
        for one in read_repeatables(self._redis, queue):
            yield Job(queue, one.id, "repeatable", one.definition, problem=one.problem, due_at=one.score)

    def stats(self, queue: str, now: float) -> QueueStats:
        """Counts by the same rules as the lists of jobs; ages in seconds before `now`."""
        keys = QueueKeys(queue)
        jobs = JobReader(self._redis)
        anywhere = self._readable(queue, lambda: Counter(jobs.states_anywhere(queue)))
        waiting, oldest = self._readable(queue, lambda: _waiting(jobs, queue)) or (None, None)
        delayed = self._readable(queue, lambda: _in_place(jobs, queue, "delayed"))
        dead = self._readable(queue, lambda: _in_place(jobs, queue, "dlq"))
        return QueueStats(
            name=queue,
            paused=self.is_paused(queue),
            waiting=waiting,
            active=_count(anywhere, "active"),
            delayed=_count(delayed, "delayed"),
            failed=_count(dead, "failed"),
            completed=_count(anywhere, "completed"),
            expired=_count(dead, "expired"),
            cancelled=_count(anywhere, "cancelled"),
            waiting_children=_count(anywhere, WAITING_CHILDREN),
            dlq=self._readable(queue, lambda: scan.card(self._redis, "ZCARD", keys.dlq)),
            repeatables=self._readable(queue, lambda: scan.card(self._redis, "ZCARD", keys.repeatables)),
            workers=self._readable(queue, lambda: self._live_workers(queue, now)),
            oldest_waiting_seconds=None if oldest is None else max(0.0, now - oldest),
        )

    def _proven(self, unproven: list[tuple[bytes, bytes, bytes]]) -> Iterable[bytes]:
        """The queues of those keys that are of the type that proves them."""
        if not unproven:
            return []
        pipe = self._redis.pipeline(transaction=False)
        for key, _, _ in unproven:
            pipe.type(key)
        return [
            name for (_, name, kind), found in zip(unproven, pipe.execute(), strict=True) if found == kind
        ]

    def _readable(self, queue: str, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except scan.WrongType as exc:
            self._warn(f"queue {queue!r}: {exc.message}")
            return None

    def _live_workers(self, queue: str, now: float) -> int:
        return sum(1 for worker in self._workers.in_queue(queue, now) if worker.is_live)


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
