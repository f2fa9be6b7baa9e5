"""Metrics: current totals, their history, and rates.

Totals shrink when jobs are removed, so rates are computed only over intervals in which they grew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from itertools import islice, pairwise
from typing import TYPE_CHECKING

from msgspec import Struct

from asyncmq_cli.errors import AdminError, RedisProblem
from asyncmq_cli.models.monitoring.snapshots import TOTAL_FIELDS, MetricsSnapshot, Rates, Recorded, Trend
from asyncmq_cli.services.monitoring.poller import SnapshotReader
from asyncmq_cli.storage.write.metrics_stream import KEPT, LEAST_GAP

if TYPE_CHECKING:
    from asyncmq_cli.models.queues import QueueStats
    from asyncmq_cli.storage.store import Store


DEFAULT_LIMIT = 120
MAX_LIMIT = 500


class IncompleteSnapshot(AdminError):
    """A count could not be read, so the snapshot must not be stored."""

    code = "incomplete_snapshot"


class Scrape(Struct, frozen=True):
    """The rows for a scrape. `stats` is None if Redis could not be read; then `error` says why."""

    stats: Sequence[QueueStats] | None
    error: RedisProblem | None = None


class MetricsService:
    """Totals of all queues, now and in the history."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def now(self) -> MetricsSnapshot:
        """Read the current totals without storing them."""
        return SnapshotReader(self._store, TOTAL_FIELDS).read().metrics()

    def scrape(self) -> Scrape:
        """Read the rows for a Prometheus scrape. An error of Redis is returned, not raised: the scrape must
        report it."""
        try:
            with self._store.errors():
                return Scrape(SnapshotReader(self._store).read().stats)
        except RedisProblem as exc:
            return Scrape(None, exc)

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


WINDOW = 120.0
"""Seconds before the last snapshot over which a current rate is computed."""
LEAST_WINDOW = 2.0
"""The shortest time, in seconds, for a rate. Over a shorter time, a single job would change it too much."""

MEANWHILE = 60.0
"""Seconds by which a snapshot of another process may be ahead of one taken at the same time."""


def up_to(snapshot: MetricsSnapshot, newest_first: Iterable[MetricsSnapshot]) -> list[MetricsSnapshot]:
    """The snapshots for the current rate, oldest first and ending with `snapshot`. Reads from `newest_first`
    only the comparable snapshots, back to the first one before the window."""
    found = [snapshot]
    for earlier in newest_first:
        if len(found) == 1 and 0 <= earlier.timestamp - snapshot.timestamp < MEANWHILE:
            continue
        if earlier.timestamp > found[-1].timestamp:
            break
        found.append(earlier)
        if earlier.timestamp < snapshot.timestamp - WINDOW:
            break
    return found[::-1]


def since_the_clock_was_set(snapshots: Sequence[MetricsSnapshot]) -> list[MetricsSnapshot]:
    """The snapshots, which are oldest first, since the clock was last set back. Between snapshots before and
    after that, the elapsed time is unknown."""
    start = len(snapshots)
    while start > 1 and snapshots[start - 2].timestamp <= snapshots[start - 1].timestamp:
        start -= 1
    return list(snapshots[max(0, start - 1) :])


def rates(snapshots: Sequence[MetricsSnapshot]) -> Rates:
    """The rates at the end of `snapshots`, which are complete and oldest first."""
    window = _window(snapshots)
    if len(window) < 2:
        return Rates(snapshots=len(window))
    waiting = window[-1].waiting or 0
    growth = _per_minute(window, _growth)
    return Rates(
        completed_per_minute=_pace(window, "completed"),
        failed_per_minute=_pace(window, "failed"),
        backlog_per_minute=growth,
        seconds_until_empty=_until_empty(waiting, growth),
        window_seconds=window[-1].timestamp - window[0].timestamp,
        snapshots=len(window),
    )


def _until_empty(waiting: int, growth: float | None) -> float | None:
    if not waiting:
        return 0.0
    return None if growth is None or growth >= 0 else waiting / -growth * 60


def trend(snapshots: Sequence[MetricsSnapshot]) -> Trend:
    """The trend of snapshots that are complete and oldest first."""
    pairs = list(pairwise(snapshots))
    return Trend(
        times=[snapshot.timestamp for snapshot in snapshots],
        throughput=[_pace(pair, "completed") for pair in pairs],
        backlog=[snapshot.waiting for snapshot in snapshots],
        failures=[_pace(pair, "failed") for pair in pairs],
    )


class _Point(Struct, frozen=True):
    """The rates over the `seconds` between the point before and `last`."""

    last: MetricsSnapshot
    seconds: float
    throughput: float | None
    backlog: float | None
    failures: float | None

    def plus(self, later: _Point) -> _Point:
        def mean(name: str) -> float | None:
            pairs = [(getattr(point, name), max(point.seconds, 1e-9)) for point in (self, later)]
            known = [(value, seconds) for value, seconds in pairs if value is not None]
            whole = sum(seconds for _, seconds in known)
            return sum(value * seconds for value, seconds in known) / whole if known else None

        seconds = self.seconds + later.seconds
        return _Point(later.last, seconds, mean("throughput"), mean("backlog"), mean("failures"))


class LongTrend:
    """The trend of snapshots that are added one by one. At most LONGEST points are kept: the longer the time,
    the more snapshots are merged into each point."""

    LONGEST = 600

    def __init__(self, earlier: Sequence[MetricsSnapshot]) -> None:
        self._points: list[_Point] = []
        for snapshot in earlier:
            self.add(snapshot)

    def add(self, snapshot: MetricsSnapshot) -> None:
        """Add a complete snapshot. Points that cannot be compared with it are dropped, as in `up_to`."""
        points = self._points
        while points and 0 <= points[-1].last.timestamp - snapshot.timestamp < MEANWHILE:
            points.pop()
        if points and points[-1].last.timestamp > snapshot.timestamp:
            points.clear()
        before = points[-1].last if points else snapshot
        pair = before, snapshot
        seconds = snapshot.timestamp - before.timestamp
        points.append(
            _Point(snapshot, seconds, _pace(pair, "completed"), snapshot.waiting, _pace(pair, "failed"))
        )
        if len(points) > self.LONGEST:
            self._thin_out()

    def _thin_out(self) -> None:
        """Merge the two neighbours that cover the shortest time, but never the last point."""
        points = self._points
        first = min(range(len(points) - 2), key=lambda at: points[at].seconds + points[at + 1].seconds)
        points[first : first + 2] = [points[first].plus(points[first + 1])]

    def trend(self) -> Trend:
        """The trend so far."""
        points = self._points
        return Trend(
            times=[point.last.timestamp for point in points],
            throughput=[point.throughput for point in points[1:]],
            backlog=[point.backlog for point in points],
            failures=[point.failures for point in points[1:]],
        )


def _window(snapshots: Sequence[MetricsSnapshot]) -> list[MetricsSnapshot]:
    """The snapshots within WINDOW, and as many older ones as a rate needs."""
    if not snapshots:
        return []
    last = snapshots[-1].timestamp
    start = len(snapshots) - 1
    while start and (
        snapshots[start - 1].timestamp >= last - WINDOW or last - snapshots[start].timestamp < LEAST_WINDOW
    ):
        start -= 1
    wanted = snapshots[start:]
    return list(wanted if last > wanted[0].timestamp else wanted[-1:])


def _pace(snapshots: Sequence[MetricsSnapshot], name: str) -> float | None:
    return _per_minute(snapshots, partial(_more, name=name))


def _per_minute(
    snapshots: Sequence[MetricsSnapshot],
    change: Callable[[MetricsSnapshot, MetricsSnapshot], int | None],
) -> float | None:
    """The sum of the changes between neighbours, per minute. If a change is unknown, its time is not counted
    either."""
    changed = seconds = 0.0
    for before, after in pairwise(snapshots):
        passed = after.timestamp - before.timestamp
        difference = change(before, after)
        if difference is not None and passed > 0:
            changed += difference
            seconds += passed
    return changed / seconds * 60 if seconds else None


def _more(before: MetricsSnapshot, after: MetricsSnapshot, name: str) -> int | None:
    """The growth of a total. None if it shrank, because then jobs were removed or retried and the growth is
    unknown."""
    difference = _difference(before, after, name)
    return difference if difference >= 0 else None


def _growth(before: MetricsSnapshot, after: MetricsSnapshot) -> int | None:
    """The growth of the backlog. A decrease counts only as far as jobs were taken or finished; the other jobs
    were removed, which says nothing about a rate. None if totals shrank too."""
    waiting, *work = (
        _difference(before, after, name) for name in ("waiting", "completed", "failed", "active")
    )
    completed, failed, _ = work
    if waiting < 0 and (completed < 0 or failed < 0):
        return None
    return max(waiting, -sum(max(0, more) for more in work))


def _difference(before: MetricsSnapshot, after: MetricsSnapshot, name: str) -> int:
    return (getattr(after, name) or 0) - (getattr(before, name) or 0)
