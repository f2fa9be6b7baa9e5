"""The dashboard's events, again and again, and what AsyncMQ publishes in between."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from asyncmq_cli.errors import RedisProblem
from asyncmq_cli.models.queues import ALL_FIELDS
from asyncmq_cli.models.snapshots import (
    EVENTS,
    RUNTIME,
    SNAPSHOT_FIELDS,
    TOTAL_FIELDS,
    RuntimeEvent,
    Snapshot,
)
from asyncmq_cli.services.monitoring.poller import Outage, Poller, SnapshotReader

if TYPE_CHECKING:
    from asyncmq_cli.services.monitoring.metrics import MetricsService
    from asyncmq_cli.storage.store import Store

_FIELDS: dict[str, frozenset[str]] = {
    "overview": TOTAL_FIELDS,
    "jobdist": TOTAL_FIELDS,
    "metrics": SNAPSHOT_FIELDS,
    "queues": ALL_FIELDS,
}
"""What is read of the queues for each event."""

_LISTEN_SECONDS = 0.5
"""Seconds for which nothing but the channel is attended to."""

Sleep = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Event:
    """One of EVENTS, of a picture, or RUNTIME, of what was published.

    `timestamp` is when what it tells was read, or published.
    """

    name: str
    timestamp: float
    of: Snapshot | RuntimeEvent


@dataclass(frozen=True, slots=True)
class TailOptions:
    """What to follow: `rounds` of the events wanted, None for no end; `interval` is seconds.

    `record` adds a snapshot to the history of the metrics with each `metrics` event.
    """

    wanted: Sequence[str]
    interval: float
    rounds: int | None = None
    retry: bool = True
    record: bool = True

    @property
    def polled(self) -> list[str]:
        """Those wanted that pictures tell, in the order in which the dashboard sends them."""
        return [name for name in EVENTS if name in self.wanted]

    @property
    def listens(self) -> bool:
        """Whether what AsyncMQ publishes is wanted."""
        return RUNTIME in self.wanted


class _RoundCounter:
    """Of rounds, or of nothing where there is no end."""

    def __init__(self, count: int | None) -> None:
        self._left = count

    def count_down(self) -> None:
        if self._left is not None:
            self._left -= 1

    def is_done(self) -> bool:
        return self._left is not None and self._left <= 0


class EventService:
    """What happens, as it happens."""

    def __init__(self, store: Store, metrics: MetricsService) -> None:
        self._store = store
        self._metrics = metrics

    def tail(self, options: TailOptions, sleep: Sleep = time.sleep) -> Iterator[Event | Outage]:
        """Events as they come. An outage is what lies between two of them. `sleep` is how to do
        nothing for so many seconds; while AsyncMQ is listened to it is called with 0."""
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
            # Nothing else would tell that the server at the other end is no more.
            self._store.now()
            return []

        def reset() -> None:
            reader.reset()
            self._store.runtime.close()

        poller = Poller(self._store, poll, reset, retry=options.retry)
        left = _RoundCounter(options.rounds)
        while not left.is_done():
            found = poller.next()
            if isinstance(found, Outage):
                yield found
                sleep(found.pause)
                continue
            yield from found
            if options.polled:
                left.count_down()
            pause = poller.pause(options.interval)
            if left.is_done():
                return
            if not options.listens:
                sleep(pause)
                continue
            for event in self._listen(options, pause, reset, sleep):
                yield event
                if not options.polled and isinstance(event, Event):
                    left.count_down()
                if left.is_done():
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
            # What is published until the next look is missed, and that is said.
            reset()
            if not options.retry or not exc.may_pass:
                raise
            yield Outage(exc, 0.0)

    def _events(self, options: TailOptions, reader: SnapshotReader) -> list[Event]:
        snapshot = reader.read()
        # Totals of another moment would make false rates.
        if options.record and "metrics" in options.polled and not snapshot.states_age:
            self._metrics.keep(snapshot.metrics())
        return [
            Event(name, snapshot.latest_at or snapshot.now, snapshot)
            if name.startswith("latest")
            else Event(name, snapshot.now, snapshot)
            for name in options.polled
        ]
