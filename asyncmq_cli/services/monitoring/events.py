"""Poll Redis for the dashboard's events, and listen to the events that AsyncMQ publishes in between."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from asyncmq_cli.errors import RedisProblem
from asyncmq_cli.models.monitoring.snapshots import (
    EVENTS,
    RUNTIME,
    TOTAL_FIELDS,
    Happening,
    QueueHappening,
    RuntimeEvent,
    Snapshot,
    WorkerHappening,
)
from asyncmq_cli.models.queues import ALL_FIELDS, QueueStats
from asyncmq_cli.services.jobs.causes import signature
from asyncmq_cli.services.monitoring.poller import Outage, Poller, SnapshotReader

if TYPE_CHECKING:
    from asyncmq_cli.services.monitoring.metrics import MetricsService
    from asyncmq_cli.storage.store import Store


_FIELDS: dict[str, frozenset[str]] = {
    "overview": TOTAL_FIELDS,
    "jobdist": TOTAL_FIELDS,
    "metrics": TOTAL_FIELDS,
    "queues": ALL_FIELDS,
}
"""By event, the fields of QueueStats that it needs."""

_LISTEN_SECONDS = 0.5
"""Seconds of listening between two checks whether the output is still open."""

Sleep = Callable[[float], None]


class Event(Struct, frozen=True):
    """An event: its name is one of EVENTS, made from a snapshot, or RUNTIME, published by AsyncMQ.

    `timestamp` is when its data was read or published, in epoch seconds.
    """

    name: str
    timestamp: float
    of: Snapshot | RuntimeEvent


class TailOptions(Struct, frozen=True):
    """`wanted` names the events. `rounds` is how often to poll, or None for no limit; `interval` is seconds.

    With `record`, each `metrics` event adds a snapshot to the metrics history.
    """

    wanted: Sequence[str]
    interval: float
    rounds: int | None = None
    retry: bool = True
    record: bool = True

    @property
    def polled(self) -> list[str]:
        """The wanted events that come from snapshots, in the dashboard's order."""
        return [name for name in EVENTS if name in self.wanted]

    @property
    def listens(self) -> bool:
        """Whether published events are wanted."""
        return RUNTIME in self.wanted


class EventService:
    """Streams events."""

    def __init__(self, store: Store, metrics: MetricsService) -> None:
        self._store = store
        self._metrics = metrics

    def tail(self, options: TailOptions, sleep: Sleep = time.sleep) -> Iterator[Event | Outage]:
        """Yield events as they come, and an Outage whenever Redis fails. `sleep` is called with the seconds
        to pause, or with 0 while listening."""
        reader = SnapshotReader(
            self._store,
            frozenset().union(*(_FIELDS.get(name, ()) for name in options.polled)),
            workers="workers" in options.polled,
            latest=any(name.startswith("latest") for name in options.polled),
            again=options.rounds != 1,
        )
        return self._rounds(options, reader, sleep)

    def _rounds(self, options: TailOptions, reader: SnapshotReader, sleep: Sleep) -> Iterator[Event | Outage]:
        def poll() -> list[Event]:
            if options.listens:
                self._store.runtime.open()
            if options.polled:
                return self._events(options, reader)
            # If no polled event is wanted, only this notices that the server is gone.
            self._store.now()
            return []

        def reset() -> None:
            reader.reset()
            self._store.runtime.close()

        poller = Poller(self._store, poll, reset, retry=options.retry)
        left = math.inf if options.rounds is None else options.rounds
        while left > 0:
            found = poller.next()
            if isinstance(found, Outage):
                yield found
                sleep(found.pause)
                continue
            yield from found
            if options.polled:
                left -= 1
            pause = poller.pause(options.interval)
            if left <= 0:
                return
            if not options.listens:
                sleep(pause)
                continue
            for event in self._listen(options, pause, reset, sleep):
                yield event
                if not options.polled and isinstance(event, Event):
                    left -= 1
                if left <= 0:
                    return

    def _listen(
        self, options: TailOptions, seconds: float, reset: Callable[[], None], sleep: Sleep
    ) -> Iterator[Event | Outage]:
        deadline = time.monotonic() + seconds
        try:
            while (moment := time.monotonic()) < deadline:
                with self._store.errors():
                    for published in self._store.runtime.until(min(deadline, moment + _LISTEN_SECONDS)):
                        yield Event(RUNTIME, published.ts or time.time(), published)
                sleep(0.0)
        except RedisProblem as exc:
            # Events that are published before the next poll are lost, so report an outage.
            reset()
            if not options.retry or not exc.may_pass:
                raise
            yield Outage(exc, 0.0)

    def _events(self, options: TailOptions, reader: SnapshotReader) -> list[Event]:
        snapshot = reader.read()
        # Totals read at another time would give wrong rates.
        if options.record and "metrics" in options.polled and not snapshot.states_age:
            self._metrics.keep(snapshot.metrics())
        return [
            Event(name, snapshot.latest_at or snapshot.now, snapshot)
            if name.startswith("latest")
            else Event(name, snapshot.now, snapshot)
            for name in options.polled
        ]


_CAUSES_READ = 50
"""At most this many of a queue's newest dead letters are read for their causes."""


Causes = Callable[[str, int], Mapping[str, int]]


class Happenings:
    """Compares each snapshot with the previous one. `causes` reads why the newest dead jobs of a queue
    failed."""

    def __init__(self, causes: Causes) -> None:
        self._causes = causes
        self._before: Mapping[str, QueueStats] | None = None
        self._live: set[tuple[str, str]] = set()
        self._silent: set[tuple[str, str]] = set()

    def since_last(self, snapshot: Snapshot) -> list[Happening] | None:
        """The changes since the previous snapshot; None for the first one."""
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
    """The growth of a count; 0 if it fell, because people removed or retried jobs."""
    return 0 if before is None or now is None else max(0, now - before)


def _change(before: int | None, now: int | None) -> tuple[int, int] | None:
    return None if before is None or now is None or before == now else (before, now)


def causes_of(store: Store) -> Causes:
    """A function that counts the newest dead jobs of a queue by the type of their root cause."""

    def read(queue: str, count: int) -> Mapping[str, int]:
        with store.errors():
            jobs = list(store.jobs.dead_causes(queue, newest=count))
        names = (signature(job) for job in jobs if job.status != "expired")
        return dict(Counter(each.type or each.message for each in names).most_common())

    return read
