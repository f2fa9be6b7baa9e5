"""Poll Redis for the dashboard's events, and listen to what AsyncMQ publishes in between."""

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
"""The fields of the rows that each event needs."""

_LISTEN_SECONDS = 0.5
"""Seconds of listening between two checks of the output."""

Sleep = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Event:
    """One of EVENTS, from a snapshot, or RUNTIME, from the channel.

    `timestamp` is when its data was read or published, epoch seconds.
    """

    name: str
    timestamp: float
    of: Snapshot | RuntimeEvent


@dataclass(frozen=True, slots=True)
class TailOptions:
    """`wanted` names the events. `rounds` is how often to poll, None for without end; `interval` is seconds.

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


class _RoundCounter:
    """Counts down the rounds; None never ends."""

    def __init__(self, count: int | None) -> None:
        self._left = count

    def count_down(self) -> None:
        if self._left is not None:
            self._left -= 1

    def is_done(self) -> bool:
        return self._left is not None and self._left <= 0


class EventService:
    """Streams events."""

    def __init__(self, store: Store, metrics: MetricsService) -> None:
        self._store = store
        self._metrics = metrics

    def tail(self, options: TailOptions, sleep: Sleep = time.sleep) -> Iterator[Event | Outage]:
        """Events as they come, and outages between them. `sleep` is called with the seconds to pause; while
        listening, with 0."""
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
            # Without polling, only this notices that the server is gone.
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
            # Events published until the next poll are lost, so report an outage.
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
