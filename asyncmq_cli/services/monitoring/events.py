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

_AT_A_STRETCH = 0.5
"""Seconds for which nothing but the channel is attended to."""

Rest = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Event:
    """One of EVENTS, of a picture, or RUNTIME, of what was published.

    `timestamp` is when what it tells was read, or published.
    """

    name: str
    timestamp: float
    of: Snapshot | RuntimeEvent


@dataclass(frozen=True, slots=True)
class Tail:
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


class _Countdown:
    """Of rounds, or of nothing where there is no end."""

    def __init__(self, count: int | None) -> None:
        self._left = count

    def one_more(self) -> None:
        if self._left is not None:
            self._left -= 1

    def is_over(self) -> bool:
        return self._left is not None and self._left <= 0


class EventService:
    """What happens, as it happens."""

    def __init__(self, store: Store, metrics: MetricsService) -> None:
        self._store = store
        self._metrics = metrics

    def tail(self, tail: Tail, rest: Rest = time.sleep) -> Iterator[Event | Outage]:
        """Events as they come. An outage is what lies between two of them. `rest` is how to do
        nothing for so many seconds; while AsyncMQ is listened to it is called with 0."""
        poller = SnapshotReader(
            self._store,
            frozenset().union(*(_FIELDS.get(name, ()) for name in tail.polled)),
            workers="workers" in tail.polled,
            latest=any(name.startswith("latest") for name in tail.polled),
            again=tail.rounds != 1,
        )
        return self._rounds(tail, poller, rest)

    def _rounds(self, tail: Tail, poller: SnapshotReader, rest: Rest) -> Iterator[Event | Outage]:
        def look() -> list[Event]:
            if tail.listens:
                self._store.runtime.open()
            if tail.polled:
                return self._events(tail, poller)
            # Nothing else would tell that the server at the other end is no more.
            self._store.now()
            return []

        def forget() -> None:
            poller.forget()
            self._store.runtime.close()

        feed = Poller(self._store, look, forget, retry=tail.retry)
        left = _Countdown(tail.rounds)
        while not left.is_over():
            found = feed.next()
            if isinstance(found, Outage):
                yield found
                rest(found.pause)
                continue
            yield from found
            if tail.polled:
                left.one_more()
            pause = feed.rest(tail.interval)
            if left.is_over():
                return
            if not tail.listens:
                rest(pause)
                continue
            for event in self._listen(tail, pause, forget, rest):
                yield event
                if not tail.polled and isinstance(event, Event):
                    left.one_more()
                if left.is_over():
                    return

    def _listen(
        self, tail: Tail, seconds: float, forget: Callable[[], None], rest: Rest
    ) -> Iterator[Event | Outage]:
        deadline = time.monotonic() + seconds
        try:
            while (moment := time.monotonic()) < deadline:
                with self._store.errors():
                    for published in self._store.runtime.until(min(deadline, moment + _AT_A_STRETCH)):
                        yield Event(RUNTIME, published.ts or time.time(), published)
                rest(0.0)
        except RedisProblem as exc:
            # What is published until the next look is missed, and that is said.
            forget()
            if not tail.retry or not exc.may_pass:
                raise
            yield Outage(exc, 0.0)

    def _events(self, tail: Tail, poller: SnapshotReader) -> list[Event]:
        picture = poller.read()
        # Totals of another moment would make false rates.
        if tail.record and "metrics" in tail.polled and not picture.states_age:
            self._metrics.keep(picture.snapshot())
        return [
            Event(name, picture.latest_at or picture.now, picture)
            if name.startswith("latest")
            else Event(name, picture.now, picture)
            for name in tail.polled
        ]
