"""From a row of snapshots to rates. They hold totals, which jobs leave again when they are removed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from asyncmq_cli.models.pictures import MetricsSnapshot, Rates, Trend

WINDOW = 600.0
"""Seconds before the last snapshot that count as the present."""


MEANWHILE = 60.0
"""Seconds by which a snapshot that another process kept may be ahead of one taken at the same time."""


def up_to(snapshot: MetricsSnapshot, earlier: Sequence[MetricsSnapshot]) -> list[MetricsSnapshot]:
    """`snapshot` with those of `earlier`, the oldest first, that can be compared with it."""
    before = list(earlier)
    while before and 0 <= before[-1].timestamp - snapshot.timestamp < MEANWHILE:
        before.pop()
    return since_the_clock_was_set([*before, snapshot])


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
    first, last = window[0], window[-1]
    minutes = (last.timestamp - first.timestamp) / 60
    waiting = last.waiting or 0
    growth = (waiting - (first.waiting or 0)) / minutes
    return Rates(
        completed_per_minute=_pace(window, "completed"),
        failed_per_minute=_pace(window, "failed"),
        backlog_per_minute=growth,
        seconds_until_empty=0.0 if not waiting else waiting / -growth * 60 if growth < 0 else None,
        window_seconds=minutes * 60,
        snapshots=len(window),
    )


def trend(snapshots: Sequence[MetricsSnapshot]) -> Trend:
    pairs = list(pairwise(snapshots))
    return Trend(
        times=[snapshot.timestamp for snapshot in snapshots],
        throughput=[_pace(pair, "completed") for pair in pairs],
        backlog=[snapshot.waiting for snapshot in snapshots],
        failures=[_pace(pair, "failed") for pair in pairs],
    )


def _window(snapshots: Sequence[MetricsSnapshot]) -> list[MetricsSnapshot]:
    """Those of the last minutes; where there is but one, the one before it as well, however old."""
    if not snapshots:
        return []
    since = snapshots[-1].timestamp - WINDOW
    recent = [snapshot for snapshot in snapshots if since <= snapshot.timestamp]
    wanted = recent if len(recent) > 1 else list(snapshots[-2:])
    return wanted if wanted[-1].timestamp > wanted[0].timestamp else wanted[-1:]


def _pace(snapshots: Sequence[MetricsSnapshot], name: str) -> float | None:
    """How much a total grew, per minute. Where it went down, jobs were removed or retried, and how
    many were added in that time is not known: it is left out, with its time."""
    grown = seconds = 0.0
    for before, after in pairwise(snapshots):
        passed = after.timestamp - before.timestamp
        difference = getattr(after, name) - getattr(before, name)
        if difference >= 0 and passed > 0:
            grown += difference
            seconds += passed
    return grown / seconds * 60 if seconds else None
