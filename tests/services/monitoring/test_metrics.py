"""Rates from snapshots: removed jobs and a changed clock never make them wrong."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from asyncmq_cli.models.monitoring.snapshots import MetricsSnapshot, Rates
from asyncmq_cli.services.monitoring.metrics import (
    LEAST_WINDOW,
    MEANWHILE,
    WINDOW,
    LongTrend,
    rates,
    since_the_clock_was_set,
    trend,
    up_to,
)

NOW = 1.7e9


def snapshot(at: float, **counts: int) -> MetricsSnapshot:
    whole: dict[str, Any] = {"waiting": 0, "active": 0, "delayed": 0, "completed": 0, "failed": 0}
    return MetricsSnapshot(timestamp=NOW + at, **{**whole, **counts}, total_queues=1, total_workers=1)


counts = st.integers(0, 10**9)
rows = st.lists(
    st.builds(
        snapshot,
        st.integers(-3000, 3000).map(lambda quarter: quarter / 4),
        waiting=counts,
        completed=counts,
        failed=counts,
    ),
    max_size=12,
)


def in_order(snapshots: list[MetricsSnapshot]) -> list[MetricsSnapshot]:
    return sorted(snapshots, key=lambda one: one.timestamp)


@given(rows.map(in_order))
def test_a_pace_is_a_number_from_zero_up_or_unknown(snapshots: list[MetricsSnapshot]) -> None:
    found = rates(snapshots)
    for pace in (found.completed_per_minute, found.failed_per_minute, found.seconds_until_empty):
        assert pace is None or (pace >= 0 and math.isfinite(pace))
    for pace in (*trend(snapshots).throughput, *trend(snapshots).failures):
        assert pace is None or (pace >= 0 and math.isfinite(pace))


@given(rows.map(in_order))
def test_known_rates_name_their_window(snapshots: list[MetricsSnapshot]) -> None:
    found = rates(snapshots)
    if found.snapshots < 2:
        assert found == Rates(snapshots=min(1, len(snapshots)))
    else:
        assert found.window_seconds is not None and found.window_seconds > 0
        window = snapshots[-found.snapshots :]
        assert found.window_seconds == window[-1].timestamp - window[0].timestamp
        assert found.window_seconds <= WINDOW or window[-1].timestamp - window[1].timestamp < LEAST_WINDOW


@pytest.mark.parametrize("snapshots", [[], [snapshot(0)], [snapshot(0), snapshot(0, waiting=5)]])
def test_fewer_than_two_moments_give_no_rates(snapshots: list[MetricsSnapshot]) -> None:
    found = rates(snapshots)
    assert found == Rates(snapshots=min(1, len(snapshots)))
    assert found.window_seconds is None


@given(
    speed=st.integers(1, 1000), left=st.integers(1, 10**6), step=st.integers(2, 60), many=st.integers(2, 10)
)
def test_a_steady_drain_ends_when_it_says(speed: int, left: int, step: int, many: int) -> None:
    """`speed` jobs per second leave the backlog and are completed."""
    snapshots = [
        snapshot(n * step, waiting=left + (many - 1 - n) * step * speed, completed=n * step * speed)
        for n in range(many)
    ]
    found = rates(snapshots)
    assert found.completed_per_minute == pytest.approx(speed * 60)
    assert found.backlog_per_minute == pytest.approx(-speed * 60)
    assert found.seconds_until_empty == pytest.approx(left / speed)
    assert found.failed_per_minute == 0


@given(steps=st.lists(st.integers(0, 100), min_size=1, max_size=8), where=st.integers(0, 8), gone=counts)
def test_a_removal_between_two_snapshots_changes_no_rate(steps: list[int], where: int, gone: int) -> None:
    """The same snapshots, except for one interval in which many jobs were removed and none was completed."""
    totals = [10**10]
    for step in steps:
        totals.append(totals[-1] + step)
    plain = [snapshot(n * 10, completed=total, failed=total) for n, total in enumerate(totals)]
    cut = min(where, len(totals) - 1)
    removed = [
        *plain[: cut + 1],
        *(
            snapshot((n + 1) * 10, completed=total - gone - 1, failed=total - gone - 1)
            for n, total in enumerate(totals)
            if n >= cut
        ),
    ]
    expected, found = rates(plain), rates(removed)
    assert found.completed_per_minute == pytest.approx(expected.completed_per_minute)
    assert found.failed_per_minute == pytest.approx(expected.failed_per_minute)
    assert None in trend(removed).throughput


def test_where_every_interval_lost_jobs_the_pace_is_not_known() -> None:
    found = rates([snapshot(0, completed=9, failed=3), snapshot(60, completed=5, failed=3, waiting=2)])
    assert (found.completed_per_minute, found.failed_per_minute) == (None, 0)
    assert found.backlog_per_minute == 2


@pytest.mark.parametrize(
    ("before", "after", "seconds"), [(5, 0, 0.0), (0, 0, 0.0), (5, 5, None), (3, 5, None), (6, 3, 60.0)]
)
def test_the_time_until_the_backlog_is_empty(before: int, after: int, seconds: float | None) -> None:
    done = max(0, before - after)
    row = [snapshot(0, waiting=before), snapshot(60, waiting=after, completed=done)]
    assert rates(row).seconds_until_empty == seconds


# --- the backlog, and what becomes of it


Life = list[tuple[str, int]]

MOVES: dict[str, tuple[str | None, str | None]] = {
    "enqueue": (None, "waiting"),
    "take": ("waiting", "active"),
    "complete": ("active", "completed"),
    "fail": ("active", "failed"),
    "delay": (None, "delayed"),
    "promote": ("delayed", "waiting"),
    "remove waiting": ("waiting", None),
    "retry": ("failed", "waiting"),
    "remove completed": ("completed", None),
    "remove failed": ("failed", None),
}
TAKES_FROM_TOTALS = ("retry", "remove completed", "remove failed")


@dataclass
class Queue:
    """The number of jobs of a queue in each state, and of each transition."""

    held: Counter[str] = field(default_factory=Counter)
    moved: Counter[str] = field(default_factory=Counter)

    def play(self, life: Life) -> MetricsSnapshot:
        self.moved.clear()
        for step, many in life:
            source, target = MOVES[step]
            moving = many if source is None else min(many, self.held[source])
            self.held.update({source: -moving} if source else {})
            self.held.update({target: moving} if target else {})
            self.moved[step] += moving
        return snapshot(0, **self.held)

    @property
    def worked(self) -> int:
        return max(self.moved["take"], self.moved["complete"] + self.moved["fail"])


def lives(*left_out: str) -> st.SearchStrategy[Life]:
    names = [name for name in MOVES if name not in left_out]
    return st.lists(st.tuples(st.sampled_from(names), st.integers(0, 20)), max_size=12)


def a_minute(before: Life, life: Life) -> tuple[float | None, int, int]:
    """The change of the backlog, the growth of the waiting jobs, and the number of completed jobs in one
    minute."""
    queue = Queue()
    first = queue.play(before)
    last = replace(queue.play(life), timestamp=NOW + 60)
    grown = (last.waiting or 0) - (first.waiting or 0)
    return rates([first, last]).backlog_per_minute, grown, queue.worked


@given(lives(), lives())
def test_a_backlog_falls_by_no_more_than_was_worked_off(before: Life, life: Life) -> None:
    reported, grown, worked = a_minute(before, life)
    assert reported is None or round(reported) >= max(grown, -worked)


@given(lives(), lives(*TAKES_FROM_TOTALS))
def test_without_removals_the_backlog_falls_by_the_worked_off_jobs(before: Life, life: Life) -> None:
    reported, grown, worked = a_minute(before, life)
    assert reported == pytest.approx(max(grown, -worked))


@given(lives(), lives(*TAKES_FROM_TOTALS, "remove waiting"))
def test_where_nothing_is_removed_the_backlog_changes_by_what_waits(before: Life, life: Life) -> None:
    reported, grown, _ = a_minute(before, life)
    assert reported == pytest.approx(grown)


def test_jobs_that_are_removed_are_not_worked_off() -> None:
    found = rates([snapshot(0, waiting=12), snapshot(24, waiting=4)])
    assert (found.backlog_per_minute, found.seconds_until_empty) == (0, None)


def test_of_a_backlog_that_fell_while_finished_jobs_went_nothing_is_known() -> None:
    found = rates([snapshot(0, waiting=9, completed=5), snapshot(60, waiting=4, completed=0)])
    assert (found.backlog_per_minute, found.seconds_until_empty) == (None, None)
    later = [snapshot(0, waiting=9, failed=5), snapshot(60, waiting=4), snapshot(90, waiting=2, completed=2)]
    assert rates(later).backlog_per_minute == -4
    assert rates(later).seconds_until_empty == 30


def test_the_present_pace_is_that_of_the_last_two_minutes() -> None:
    waiting = [0, 1000, 800, 600, 400, 200, 5]
    done = [0, 0, 200, 400, 600, 800, 995]
    times = [-540, -300, -240, -180, -120, -60, 0]
    row = [snapshot(at, waiting=w, completed=c) for at, w, c in zip(times, waiting, done, strict=True)]
    found = rates(row)
    assert (found.snapshots, found.window_seconds) == (3, 120)
    assert found.backlog_per_minute == -197.5
    assert found.seconds_until_empty == pytest.approx(5 / 197.5 * 60)


def test_two_reads_within_a_second_give_no_rate() -> None:
    found = rates([snapshot(-600), snapshot(0, completed=99), snapshot(0.1, completed=100)])
    assert found.snapshots == 3
    assert found.completed_per_minute == pytest.approx(100 / 600.1 * 60)


def test_only_the_last_minutes_are_the_present() -> None:
    busy = [snapshot(n, completed=n * 100) for n in range(0, 100, 10)]
    idle = [snapshot(2 * WINDOW + n, completed=9000) for n in range(0, 100, 10)]
    assert rates([*busy, *idle]).completed_per_minute == 0


def test_after_a_pause_the_one_before_it_is_better_than_none() -> None:
    found = rates([snapshot(-9999), snapshot(0, completed=120), snapshot(7200, completed=240)])
    assert (found.completed_per_minute, found.window_seconds) == (1, 7200)


@given(rows)
def test_compared_snapshots_have_increasing_times(snapshots: list[MetricsSnapshot]) -> None:
    kept = since_the_clock_was_set(snapshots)
    assert kept == snapshots[len(snapshots) - len(kept) :]
    assert kept == in_order(kept)
    assert bool(kept) == bool(snapshots)
    if len(kept) < len(snapshots):
        assert snapshots[-len(kept) - 1].timestamp > kept[0].timestamp


@given(rows)
def test_a_clock_set_back_leaves_no_wrong_rate(snapshots: list[MetricsSnapshot]) -> None:
    """Snapshots from before the clock was set back are ignored; the others are used."""
    now = snapshot(0)
    row = up_to(now, reversed([*snapshots, snapshot(MEANWHILE)]))
    assert row == [now]
    after = [snapshot(-20, completed=2), snapshot(-10, completed=5)]
    assert up_to(now, reversed([*snapshots, snapshot(9000), *after])) == [*after, now]


def test_snapshots_of_others_do_not_hide_earlier_ones() -> None:
    before = [snapshot(-20), snapshot(-10)]
    kept = [*before, snapshot(0), snapshot(0.5)]
    assert up_to(snapshot(0), reversed(kept)) == [*before, snapshot(0)]


@given(rows, st.sampled_from((0, -1, 300)))
def test_no_more_is_read_than_the_pace_takes_and_it_is_the_same(
    snapshots: list[MetricsSnapshot], at: float
) -> None:
    now = snapshot(at, waiting=5, completed=10**9)
    comparable = list(snapshots)
    while comparable and 0 <= comparable[-1].timestamp - now.timestamp < MEANWHILE:
        comparable.pop()
    whole = since_the_clock_was_set([*comparable, now])
    found, expected = rates(up_to(now, reversed(snapshots))), rates(whole)
    assert found == expected
    every_two_seconds = reversed([snapshot(2 * number) for number in range(-2000, 0)])
    assert len(up_to(snapshot(0), every_two_seconds)) == WINDOW / 2 + 2
    assert next(every_two_seconds).timestamp == NOW - WINDOW - 4, "and nothing beyond it"


def test_a_trend_has_a_backlog_for_each_time_and_a_rate_for_each_interval() -> None:
    found = trend([snapshot(0, waiting=4), snapshot(30, waiting=2, completed=2), snapshot(30, waiting=9)])
    assert list(found.times) == [NOW, NOW + 30, NOW + 30]
    assert (found.backlog, found.throughput, found.failures) == ([4, 2, 9], [4, None], [0, None])


def test_a_long_trend_is_that_of_its_snapshots() -> None:
    spread = [snapshot(10 * n, completed=n * n, waiting=n) for n in range(LongTrend.LONGEST)]
    assert LongTrend(spread).trend() == trend(spread)


def test_a_long_trend_merges_old_points_and_drops_none() -> None:
    count = 5000
    long = LongTrend([])
    for n in range(count):
        long.add(snapshot(2 * n, completed=60 * n, waiting=n))
    found = long.trend()
    assert len(found.times) <= LongTrend.LONGEST
    assert len(found.throughput) == len(found.failures) == len(found.times) - 1
    assert found.times[0] < NOW + 100 and found.times[-1] == NOW + 2 * (count - 1)
    assert found.backlog[-1] == count - 1
    assert all(pace == pytest.approx(1800) for pace in found.throughput)
    assert list(found.times) == sorted(found.times)
    steps = [after - before for before, after in pairwise(found.times)]
    assert max(steps) < 8 * 2 * count / LongTrend.LONGEST, "all of the time is told as finely"


def test_a_long_trend_restarts_when_the_clock_was_set_back() -> None:
    long = LongTrend([snapshot(n) for n in range(0, 9000, 60)])
    long.add(snapshot(100, waiting=7))
    assert list(long.trend().times) == [NOW + 100]
    long.add(snapshot(95, waiting=8, completed=5))
    assert (list(long.trend().times), long.trend().backlog) == ([NOW + 95], [8])
