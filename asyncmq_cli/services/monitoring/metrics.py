"""Metrics: current totals, their history, and rates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import islice
from typing import TYPE_CHECKING

from msgspec import Struct

from asyncmq_cli.errors import AdminError, RedisProblem
from asyncmq_cli.models.monitoring.snapshots import SNAPSHOT_FIELDS, MetricsSnapshot, Rates, Recorded, Trend
from asyncmq_cli.services.monitoring.poller import SnapshotReader
from asyncmq_cli.services.monitoring.rates import rates, since_the_clock_was_set, trend, up_to
from asyncmq_cli.storage.write.metrics_stream import KEPT, LEAST_GAP

if TYPE_CHECKING:
    from asyncmq_cli.models.queues import QueueStats
    from asyncmq_cli.storage.store import Store


DEFAULT_LIMIT = 120
MAX_LIMIT = 500


class IncompleteSnapshot(AdminError):
    """A count could not be read, so the snapshot must not be stored."""

    code = "incomplete_snapshot"


class MetricsService:
    """Totals of all queues, now and in the history."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def now(self) -> MetricsSnapshot:
        """Read the current totals without storing them."""
        return SnapshotReader(self._store, SNAPSHOT_FIELDS).read().metrics()

    def record(self, snapshot: MetricsSnapshot, gap: float = LEAST_GAP) -> Recorded:
        """Add a snapshot to the history, unless the last one is less than `gap` seconds old. Raises
        IncompleteSnapshot."""
        if not snapshot.is_whole:
            raise IncompleteSnapshot(
                "a count could not be read, so this snapshot is not kept",
                hint="the warning names the key; 'asyncmq queues list' shows the queues one by one",
            )
        return self._store.metrics.record(snapshot, gap)

    def keep(self, snapshot: MetricsSnapshot, gap: float = LEAST_GAP) -> Recorded | None:
        """The same as `record`, for commands with another purpose. Does nothing if recording is off. An error
        becomes a warning, and None is returned."""
        recorded: Recorded | None = None
        if self._store.config.records:
            with self._by_the_way("the metrics history cannot be written"):
                recorded = self.record(snapshot, gap)
        return recorded

    def history(self, *, limit: int | None, since: float | None) -> list[MetricsSnapshot]:
        """The snapshots, newest first. `since` is an age in seconds. `limit` is clamped to 1 to 500; if it is
        None, it is 120, or no limit if `since` is given."""
        unlimited = DEFAULT_LIMIT if since is None else KEPT
        limit = unlimited if limit is None else max(1, min(limit, MAX_LIMIT))
        earliest = None if since is None else self._store.now() - since
        found: list[MetricsSnapshot] = []
        for snapshot in self._store.metrics.newest_first(self._store.warn):
            if len(found) == limit:
                break
            if earliest is None or snapshot.timestamp >= earliest:
                found.append(snapshot)
        return found

    def rates(self, snapshot: MetricsSnapshot) -> Rates:
        """The current rates, from the history and this snapshot, which need not be part of it. Reads only the
        part of the history that is needed."""
        if not snapshot.is_whole:
            return Rates()
        row = [snapshot]
        with self._history_read():
            kept = self._store.metrics.newest_first(self._store.warn)
            row = up_to(snapshot, islice(kept, MAX_LIMIT))
        return rates(row)

    def past(self, *, since: float) -> list[MetricsSnapshot]:
        """The same as `history`, but oldest first. If the history cannot be read, prints a warning and
        returns an empty list."""
        found: list[MetricsSnapshot] = []
        with self._history_read():
            found = self.history(limit=None, since=since)
        return found[::-1]

    def last_kept_at(self) -> float | None:
        """When the newest snapshot of the history was taken. None if there is none, or, with a warning, if
        the history cannot be read."""
        with self._history_read():
            for snapshot in self.history(limit=1, since=None):
                return snapshot.timestamp
        return None

    @staticmethod
    def trend_of(snapshots: Sequence[MetricsSnapshot]) -> Trend:
        """The trend of snapshots, which are newest first, since the clock was last set back."""
        return trend(since_the_clock_was_set(snapshots[::-1]))

    def _history_read(self) -> AbstractContextManager[None]:
        return self._by_the_way("the metrics history cannot be read")

    @contextmanager
    def _by_the_way(self, trouble: str) -> Iterator[None]:
        """Inside this context, an error about the history becomes a warning; other errors are raised."""
        try:
            with self._store.errors():
                yield
        except AdminError as exc:
            if isinstance(exc, RedisProblem) and exc.is_away:
                raise
            self._store.warn(f"{trouble}: {exc.message}")


class Scrape(Struct, frozen=True):
    """The rows for a scrape. `stats` is None if Redis could not be read; then `error` says why."""

    stats: Sequence[QueueStats] | None
    error: RedisProblem | None = None


class PrometheusService:
    """Reads the rows for a Prometheus scrape."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def scrape(self) -> Scrape:
        """Read the rows. An error of Redis is returned, not raised: the scrape must report it."""
        try:
            with self._store.errors():
                return Scrape(SnapshotReader(self._store).read().stats)
        except RedisProblem as exc:
            return Scrape(None, exc)
