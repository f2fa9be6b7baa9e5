"""Read Redis for `metrics serve`, at fixed intervals that scrapes do not change.

Each read is a snapshot of all queues, as for `--watch`, and goes into the history of metrics. The counters of
completed, failed and expired jobs are kept in the history, so they survive a restart, and several exporters
show the same. Without the right to write, or with `record` off, they start at 0 with this process.

Deaths are counted by task and cause as they happen, by reading only new dead letters. The score of a dead
letter is the time of death by the clock of its worker. So each read starts a little before the end of the
previous one, and skips the dead letters (by id and score) that were already counted.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from msgspec.structs import replace

from asyncmq_cli.models.monitoring.snapshots import OTHER, DeathLabels, ExporterState
from asyncmq_cli.models.queues import ALL_FIELDS
from asyncmq_cli.services.jobs.causes import signature
from asyncmq_cli.services.monitoring.poller import Outage, Poller, SnapshotReader

if TYPE_CHECKING:
    from asyncmq_cli.models.jobs import Job
    from asyncmq_cli.models.monitoring.snapshots import MetricsSnapshot, Snapshot
    from asyncmq_cli.services.monitoring.metrics import MetricsService
    from asyncmq_cli.storage.store import Store

_SHARE_OF_INTERVAL = 0.9
"""Of several exporters, only one stores a snapshot per interval. A snapshot is stored if the last one is at
least this share of an interval old, so that a slightly early read is not skipped."""
_OVERDUE = 3.0
"""The next read is overdue after this many intervals."""


class Exporter:
    """Reads Redis repeatedly. `state` is the result of the last read; it is immutable, so other threads may
    use it."""

    def __init__(self, store: Store, metrics: MetricsService, interval: float, *, record: bool) -> None:
        self._store = store
        self._metrics = metrics
        self._interval = interval
        self._record = record
        self._reader = SnapshotReader(store, ALL_FIELDS, workers=True, trouble=True, causes=False, again=True)
        self._deaths: DeathCounter | None = None
        self._poller = Poller(store, self._read, self._reader.reset, for_ever=True)
        self._last: MetricsSnapshot | None = None
        self._waited = store.waited
        self.state = ExporterState()

    def read(self) -> float:
        """Read once. Returns the seconds until the next read. An error of Redis becomes part of the state."""
        before = self.state
        found = self._poller.next()
        pause = found.pause if isinstance(found, Outage) else self._poller.pause(self._interval)
        state = replace(self.state, reads=before.reads + 1, redis_seconds=self._store.waited - self._waited)
        if isinstance(found, Outage):
            self.state = replace(state, snapshot=None, error=found.error, failures=before.failures + 1)
        else:
            self.state = replace(
                state,
                snapshot=found,
                error=None,
                deaths={} if self._deaths is None else self._deaths.counts,
                read_at=time.time(),
                fresh_until=time.monotonic() + _OVERDUE * max(self._interval, pause),
            )
        return pause

    def _read(self) -> Snapshot:
        snapshot = self._reader.read()
        if self._deaths is None:
            # Jobs that died while no exporter ran are counted, too, as in the counters of the history.
            since = self._metrics.last_kept_at() if self._record else None
            self._deaths = DeathCounter(self._store, since)
        self._deaths.read({row.name: row.dlq or 0 for row in snapshot.stats or ()}, snapshot.now)
        totals = snapshot.metrics()
        # Totals read at different times would give wrong counters.
        if totals.is_whole and not snapshot.states_age:
            self._count(totals)
        return snapshot

    def _count(self, totals: MetricsSnapshot) -> None:
        recorded = None
        if self._record:
            recorded = self._metrics.keep(totals, self._interval * _SHARE_OF_INTERVAL)

        def counter(name: str) -> int:
            if recorded is not None:
                return int(getattr(recorded, name))
            return (getattr(self.state, name) or 0) + _growth(self._last, totals, name)

        self.state = replace(
            self.state,
            completed=counter("completed"),
            failed=counter("failed"),
            expired=counter("expired"),
        )
        self._last = totals


def _growth(before: MetricsSnapshot | None, now: MetricsSnapshot, name: str) -> int:
    """The growth of a total; 0 if it shrank, for example because jobs were removed."""
    return 0 if before is None else max(0, (getattr(now, name) or 0) - (getattr(before, name) or 0))


GRACE = 30.0
"""Seconds by which a worker's clock may be behind."""
MOST_SERIES = 200
"""At most this many combinations of labels are counted separately. Later ones are counted as `other`."""
MOST_READ = 5000
"""At most this many dead letters are read at a time. More are counted as `other` without being read."""
_LONGEST_LABEL = 100
_UNKNOWN = "unknown"
_ALL_OTHERS = DeathLabels(OTHER, OTHER, OTHER)


class DeathCounter:
    """Counts deaths after `since`, in epoch seconds of the server's clock. If None, the first `read` counts
    nothing and remembers the existing dead letters, and later reads count what is new."""

    def __init__(self, store: Store, since: float | None = None) -> None:
        self._store = store
        self._since = since
        self._after = math.inf if since is None else since
        """Earlier deaths are not counted. Minus infinity after the first read: then `_seen` decides."""
        self._seen: dict[tuple[str, str, float], None] = {}
        self._counts: dict[DeathLabels, int] = {}

    @property
    def counts(self) -> Mapping[DeathLabels, int]:
        """A copy that the next read does not change."""
        return MappingProxyType(dict(self._counts))

    def read(self, dead: Mapping[str, int], now: float) -> None:
        """Count the new deaths. `dead` has the sizes of the dead-letter queues by queue; `now` is the
        server's time. Raises WrongType."""
        since = now if self._since is None else min(self._since, now)
        found = self._store.queues.dead_since([queue for queue in dead if dead[queue]], since - GRACE, since)
        left = MOST_READ
        for queue, (recent, new) in found.items():
            take = min(recent, left)
            left -= take
            counted = self._read(queue, take, since) if take else 0
            if take < recent and self._after < math.inf:
                self._add(_ALL_OTHERS, max(0, new - counted))
        self._since, self._after = now, -math.inf
        self._seen = {key: None for key in self._seen if key[2] > now - GRACE}

    def _read(self, queue: str, take: int, since: float) -> int:
        """Count the new ones among the latest dead letters. Returns how many died after `since`."""
        after = 0
        for job in self._store.jobs.dead_causes(queue, newest=take):
            died = job.dead_at or 0.0
            after += died > since
            key = (queue, job.id, died)
            if died <= since - GRACE or key in self._seen:
                continue
            self._seen[key] = None
            if died > self._after:
                self._add(labels_of(job), 1)
        return after

    def _add(self, labels: DeathLabels, count: int) -> None:
        if not count:
            return
        if labels not in self._counts and len(self._counts) >= MOST_SERIES:
            labels = _ALL_OTHERS
        self._counts[labels] = self._counts.get(labels, 0) + count


def labels_of(job: Job) -> DeathLabels:
    cause = "expired" if job.status == "expired" else signature(job).type or _UNKNOWN
    return DeathLabels(job.queue, _short(job.task_id or _UNKNOWN), _short(cause))


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_LABEL else text[: _LONGEST_LABEL - 1] + "…"
