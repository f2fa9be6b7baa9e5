"""Read Redis for `metrics serve`, at fixed intervals that scrapes do not change.

Each read is a snapshot of all queues, as for `--watch`, and goes into the history of metrics. The counters of
completed, failed and expired jobs are kept in the history, so they survive a restart, and several exporters
show the same. Without the right to write, or with `record` off, they start at 0 with this process.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from msgspec.structs import replace

from asyncmq_cli.models.monitoring.snapshots import ExporterState
from asyncmq_cli.models.queues import ALL_FIELDS
from asyncmq_cli.services.monitoring.deaths import DeathCounter
from asyncmq_cli.services.monitoring.poller import Outage, Poller, SnapshotReader

if TYPE_CHECKING:
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
