"""From a row of snapshots to rates. They hold totals, which jobs leave again when they are removed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from asyncmq_cli.models.snapshots import MetricsSnapshot, Rates, Trend

WINDOW = 120.0
"""Seconds before the last snapshot that count as the present."""
LEAST_WINDOW = 2.0
"""Seconds over which a pace can be told: in less, one job more or less makes all the difference."""

MEANWHILE = 60.0
"""Seconds by which a snapshot that another process kept may be ahead of one taken at the same time."""


def up_to(snapshot: MetricsSnapshot, newest_first: Iterable[MetricsSnapshot]) -> list[MetricsSnapshot]:
    """Those before `snapshot`, the oldest first and with it, that the present pace is told by. No more
    is taken of `newest_first` than that takes: what can be compared, back to the first one before the
    window."""
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
    """The last of `snapshots`, the oldest first, between which the clock was not set back: across that
    moment nobody knows how much time has passed."""
    start = len(snapshots)
    while start > 1 and snapshots[start - 2].timestamp <= snapshots[start - 1].timestamp:
        start -= 1
    return list(snapshots[max(0, start - 1) :])


def rates(snapshots: Sequence[MetricsSnapshot]) -> Rates:
    """The pace at the end of `snapshots`, which come oldest first and whole."""
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
    """Of snapshots that come oldest first and whole."""
    pairs = list(pairwise(snapshots))
    return Trend(
        times=[snapshot.timestamp for snapshot in snapshots],
        throughput=[_pace(pair, "completed") for pair in pairs],
        backlog=[snapshot.waiting for snapshot in snapshots],
        failures=[_pace(pair, "failed") for pair in pairs],
    )


@dataclass(frozen=True, slots=True)
class _Point:
    """What was between the point before and `last`, which lie `seconds` apart."""

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
    """The trend of snapshots that come one by one, for as long as they come: in at most LONGEST points,
    each of which stands for ever more of them."""

    LONGEST = 600

    def __init__(self, earlier: Sequence[MetricsSnapshot]) -> None:
        self._points: list[_Point] = []
        for snapshot in earlier:
            self.add(snapshot)

    def add(self, snapshot: MetricsSnapshot) -> None:
        """A whole one. What cannot be compared with it is forgotten, as in `up_to`."""
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
        """The two of the shortest time become one, but for the last, which is the present."""
        points = self._points
        first = min(range(len(points) - 2), key=lambda at: points[at].seconds + points[at + 1].seconds)
        points[first : first + 2] = [points[first].plus(points[first + 1])]

    def trend(self) -> Trend:
        """What it is by now."""
        points = self._points
        return Trend(
            times=[point.last.timestamp for point in points],
            throughput=[point.throughput for point in points[1:]],
            backlog=[point.backlog for point in points],
            failures=[point.failures for point in points[1:]],
        )


def _window(snapshots: Sequence[MetricsSnapshot]) -> list[MetricsSnapshot]:
    """Those of the last minutes, and as many of those before, however old, as tell a pace."""
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
    """The sum of what changed from each snapshot to the next; where that is not known, it is left
    out with its time."""
    changed = seconds = 0.0
    for before, after in pairwise(snapshots):
        passed = after.timestamp - before.timestamp
        difference = change(before, after)
        if difference is not None and passed > 0:
            changed += difference
            seconds += passed
    return changed / seconds * 60 if seconds else None


def _more(before: MetricsSnapshot, after: MetricsSnapshot, name: str) -> int | None:
    """By how many a total grew. Where it went down, jobs were removed or retried, and how many were
    added in that time is not known."""
    difference = _difference(before, after, name)
    return difference if difference >= 0 else None


def _growth(before: MetricsSnapshot, after: MetricsSnapshot) -> int | None:
    """By how many more wait. Fewer are only counted as far as jobs were taken and done: the others
    were removed, and that goes on at no pace. How much was done is not known where totals fell too."""
    waiting, *work = (
        _difference(before, after, name) for name in ("waiting", "completed", "failed", "active")
    )
    completed, failed, _ = work
    if waiting < 0 and (completed < 0 or failed < 0):
        return None
    return max(waiting, -sum(max(0, more) for more in work))


def _difference(before: MetricsSnapshot, after: MetricsSnapshot, name: str) -> int:
    return (getattr(after, name) or 0) - (getattr(before, name) or 0)
