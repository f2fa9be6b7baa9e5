"""Compute rates from snapshots. Snapshots have totals, which shrink when jobs are removed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import pairwise

from msgspec import Struct

from asyncmq_cli.models.monitoring.snapshots import MetricsSnapshot, Rates, Trend

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
