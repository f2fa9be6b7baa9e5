"""Looking at all queues at once, and again and again at little cost.

In a row of looks, Redis is asked which keys have changed (`storage/tracking.py`), and only what
belongs to those is read again. Where Redis does not allow that, everything is.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from asyncmq_cli.models.pictures import LatestJob, LatestQueue, Picture
from asyncmq_cli.services.latest import newest, newest_of
from asyncmq_cli.services.lost_jobs import LostJobs, silence_in_words
from asyncmq_cli.storage.keys import QueueKeys
from asyncmq_cli.storage.scan import WrongType

if TYPE_CHECKING:
    from asyncmq_cli.models.queues import QueueStats
    from asyncmq_cli.models.workers import Worker
    from asyncmq_cli.storage.store import Store
    from asyncmq_cli.storage.tracking import ChangeTracker

Part = Literal["stats", "workers", "latest"]

LATEST_QUEUES = 5

_ANEW_EVERY = 60.0
"""Seconds after which a queue is read again though none of the keys followed has changed: those of the
records are not, and a record alone may make a job wait for others."""
_NAMES_AT_LEAST_EVERY = 60.0
"""Seconds. A new queue is otherwise only looked for when the number of all keys has changed, or a key
that may hide it in that number: one that came or went meanwhile."""


class _Rest:
    """What took a second is done again after `times` seconds at the earliest."""

    def __init__(self, times: float) -> None:
        self._times = times
        self._cost = 0.0
        self._ended = float("-inf")

    @property
    def is_over(self) -> bool:
        return self.age >= self._cost * self._times

    @property
    def age(self) -> float:
        return time.monotonic() - self._ended

    @contextmanager
    def from_now(self) -> Iterator[None]:
        began = time.monotonic()
        yield
        self._ended = time.monotonic()
        self._cost = self._ended - began


@dataclass
class _Known:
    """What was last read of a queue; None where it was not, may have changed, or was not readable.

    `stats`, in which the workers are None, was read at `stats_at` and `latest` at `latest_at`, on the
    server's clock.
    """

    stats: QueueStats | None = None
    stats_at: float = 0.0
    workers: Sequence[Worker] | None = None
    latest: Sequence[LatestJob] | None = None
    latest_at: float = 0.0
    has_new_jobs: bool = True
    has_new_states: bool = False
    rest: _Rest = field(default_factory=lambda: _Rest(10))
    stats_rest: _Rest = field(default_factory=lambda: _Rest(20))
    silent: int = 0
    silent_rest: _Rest = field(default_factory=lambda: _Rest(20))


class Observer:
    """`again` says that there will be more looks than one."""

    def __init__(self, store: Store, parts: Iterable[Part], *, again: bool) -> None:
        self._store = store
        self._parts = frozenset(parts)
        self._tracker: ChangeTracker | None = None
        self._may_track = again
        self._known: dict[str, _Known] = {}
        self._queue_of_key: dict[bytes, str] = {}
        self._names_rest = _Rest(6)
        self._size: int | None = None
        self._may_hide_names = False

    def close(self) -> None:
        """Forget all that is known; the next look begins anew."""
        if self._tracker is not None:
            self._tracker.stop()
            self._tracker = None
        self._known.clear()
        self._queue_of_key.clear()
        self._size = None

    def look(self) -> Picture:
        """Raises what Redis refuses; after that, `close` comes before the next look."""
        now = self._store.now()
        self._forget_what_changed()
        self._find_queues()
        self._follow()
        workers = self._workers(now)
        if "workers" in self._parts:
            self._warn_of_silence(workers, now)
        stats = self._stats(now, workers) if "stats" in self._parts else None
        picture = Picture(now=now, stats=stats)
        if self._parts & {"stats", "workers"}:
            live = [worker for found in workers.values() for worker in found or () if worker.is_live]
            picture = replace(picture, workers=sorted(live, key=lambda worker: (worker.queue, worker.id)))
        if "latest" in self._parts:
            jobs, queues = self._latest(now)
            at = min((one.latest_at for one in self._known.values() if one.has_new_jobs), default=now)
            picture = replace(picture, latest_jobs=jobs, latest_queues=queues, latest_at=at)
        return picture

    def _forget_what_changed(self) -> None:
        if self._may_track and self._tracker is None:
            self._tracker = self._store.tracker()
            if not self._tracker.start():
                self._tracker, self._may_track = None, False
        changed = None if self._tracker is None else self._tracker.changed()
        if changed is None:
            self._known.clear()
            self._queue_of_key.clear()
            self._size = None
            return
        beats = {key for key in changed if self._is_beat(key)}
        # Workers beat all the time, and a key that is still there hides no other.
        if changed - beats or self._store.count_keys(beats) < len(beats):
            self._may_hide_names = True
        touched = {queue for key in changed if (queue := self._forget(key)) is not None}
        for queue in touched:
            if not self._store.queues.exists(queue):
                del self._known[queue]

    def _is_beat(self, key: bytes) -> bool:
        queue = self._queue_of_key.get(key)
        return queue is not None and key in QueueKeys(queue).beating()

    def _forget(self, key: bytes) -> str | None:
        """What is known by this key. The queue that it is of, where that is still known."""
        queue = self._queue_of_key.pop(key, None)
        known = None if queue is None else self._known.get(queue)
        if queue is None or known is None:
            return None
        keys = QueueKeys(queue)
        if key in keys.beating():
            known.workers = None
            return queue
        known.stats = None
        known.has_new_states = True
        # A job need not be among the ids: old versions of AsyncMQ left some in the sorted sets alone.
        known.has_new_jobs = known.has_new_jobs or key != keys.paused
        return queue

    def _find_queues(self) -> None:
        """Names are found by a walk through all keys, so it is not taken at every look."""
        size = self._store.size() if self._tracker is not None else None
        overdue = self._names_rest.age > _NAMES_AT_LEAST_EVERY
        may_be_new = (size != self._size or self._may_hide_names) and self._names_rest.is_over
        if self._size is not None and not overdue and not may_be_new:
            return
        self._may_hide_names = False
        with self._names_rest.from_now():
            names = self._store.queues.names()
        self._size = size
        self._known = {name: self._known.get(name) or _Known() for name in names}

    def _follow(self) -> None:
        """Before reading: what changes while it is read must not be missed."""
        if self._tracker is None:
            return
        owners: dict[bytes, str] = {}
        for queue, known in self._known.items():
            if known.stats is None or known.workers is None or known.has_new_jobs:
                owners.update(dict.fromkeys(QueueKeys(queue).watched(), queue))
        missing = [key for key in owners if key not in self._queue_of_key]
        if missing:
            self._tracker.follow(missing)
            self._queue_of_key.update({key: owners[key] for key in missing})

    def _workers(self, now: float) -> dict[str, Sequence[Worker] | None]:
        if not self._parts & {"stats", "workers"}:
            return {}
        return {queue: self._workers_of(queue, known, now) for queue, known in self._known.items()}

    def _workers_of(self, queue: str, known: _Known, now: float) -> Sequence[Worker] | None:
        """None where they cannot be read."""
        if known.workers is not None:
            return [worker.at(now) for worker in known.workers]
        warnings = self._store.warnings
        try:
            found = self._store.workers.in_queue(queue)
        except WrongType as exc:
            self._store.warn_of(queue, exc.message)
            return None
        # What is amiss is told at every look, until it is mended.
        if self._store.warnings == warnings:
            known.workers = found
        return found

    def _warn_of_silence(self, workers: dict[str, Sequence[Worker] | None], now: float) -> None:
        """Of the jobs that a worker may have taken with it. Claims are read only beside a silent worker."""
        for queue, found in workers.items():
            known = self._known[queue]
            if not found or len({worker.is_live for worker in found}) == 1:
                known.silent = 0
                continue
            if known.silent_rest.is_over:
                with known.silent_rest.from_now():
                    known.silent = _silent_jobs(self._store, queue, now, found)
            if known.silent:
                self._store.warn_of(queue, silence_in_words(known.silent))

    def _stats(self, now: float, workers: dict[str, Sequence[Worker] | None]) -> list[QueueStats]:
        for known in self._known.values():
            if known.stats_rest.age > _ANEW_EVERY and known.stats_rest.is_over:
                known.stats, known.has_new_jobs = None, True
        unread = [queue for queue, known in self._known.items() if known.stats is None]
        read = self._store.queues.all_stats(unread, now, workers=False)
        rows = []
        for queue, known in self._known.items():
            found = workers[queue]
            # As in the list of workers beside it.
            live = None if found is None else sum(worker.is_live for worker in found)
            rows.append(replace(self._stats_of(known, now, read), workers=live))
        return rows

    def _stats_of(self, known: _Known, now: float, read: Iterator[QueueStats]) -> QueueStats:
        if known.stats is not None:
            oldest = known.stats.oldest_waiting_seconds
            aged = None if oldest is None else oldest + now - known.stats_at
            return replace(known.stats, oldest_waiting_seconds=aged)
        warnings = self._store.warnings
        with known.stats_rest.from_now():
            stats = next(read)
        # A job from the future has an age of 0, from which its age later on cannot be told.
        if self._store.warnings == warnings and stats.oldest_waiting_seconds != 0:
            known.stats, known.stats_at = stats, now
        return stats

    def _latest(self, now: float) -> tuple[list[LatestJob], list[LatestQueue]]:
        for queue, known in self._known.items():
            if known.latest is None or (known.has_new_jobs and known.rest.is_over):
                warnings = self._store.warnings
                with known.rest.from_now():
                    known.latest = newest_of(self._store, queue)
                known.latest_at = now
                known.has_new_jobs = self._store.warnings != warnings
                known.has_new_states = False
            elif known.has_new_states:
                known.latest = self._with_states(queue, known.latest)
                known.has_new_states = False
        found = [job for known in self._known.values() for job in known.latest or ()]
        active = [
            LatestQueue(known.latest[0].created, queue)
            for queue, known in self._known.items()
            if known.latest
        ]
        queues = heapq.nsmallest(LATEST_QUEUES, active, key=lambda one: (-one.active_at, one.name))
        return newest(found), queues

    def _with_states(self, queue: str, jobs: Sequence[LatestJob]) -> list[LatestJob]:
        loaded = self._store.jobs.load(queue, [job.id for job in jobs])
        pairs = zip(jobs, loaded, strict=True)
        return [replace(job, state=found.status) for job, found in pairs if found is not None]


def _silent_jobs(store: Store, queue: str, now: float, workers: Sequence[Worker]) -> int:
    lost = LostJobs(store, queue, now, workers)
    try:
        for _ in lost:
            pass
    except WrongType as exc:
        store.warn_of(queue, exc.message)
    return lost.silent
