"""When a repeatable runs, and how an interval is written."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from asyncmq_cli import config
from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.durations import seconds
from asyncmq_cli.output.text.times import interval
from asyncmq_cli.services.repeatables.schedule import (
    _PLAIN_CRON,
    InvalidSchedule,
    SchedulerClock,
    advances,
    next_runs,
)
from asyncmq_cli.storage.read.repeatables import Member
from asyncmq_cli.storage.store import Store

NOON = 1_700_049_600.0
DAY = 86400.0


def test_an_interval_counts_from_now() -> None:
    assert next_runs({"every": 300}, NOON, 3) == [NOON + 300, NOON + 600, NOON + 900]
    assert next_runs({"every": "1.5"}, NOON, 1) == [NOON + 1.5]


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_a_cron_expression_is_read_in_utc(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert next_runs({"cron": "0 12 * * *"}, NOON, 2) == [NOON + DAY, NOON + 2 * DAY]
    finally:
        monkeypatch.undo()
        time.tzset()
    assert os.environ.get("TZ") != "America/New_York"


def test_cron_wins_as_in_the_library_and_a_schedule_that_ends_has_fewer_runs() -> None:
    assert next_runs({"cron": "@hourly", "every": 5}, NOON, 1) == [NOON + 3600]
    assert len(next_runs({"cron": "0 0 1 12 * 0 2023"}, NOON, 5)) == 1


@given(cron=st.from_regex(_PLAIN_CRON, fullmatch=True))
def test_a_plain_expression_that_is_not_read_has_runs_without_end(cron: str) -> None:
    assert len(next_runs({"cron": cron}, NOON, 3)) == 3
    assert advances({"cron": cron}, NOON)


@pytest.mark.parametrize(
    "definition",
    [
        {},
        {"every": "often"},
        {"every": float("inf")},
        {"every": 1e300},
        {"every": None},
        {"cron": ""},
        {"cron": "* * * *"},
        {"cron": "*/0 * * * *"},
        {"cron": "0 0 31 2 *"},
        {"cron": "H * * * *"},
        {"cron": 5},
        {"cron": None, "every": 5},
    ],
)
def test_a_schedule_by_which_nothing_runs_is_invalid(definition: dict[str, Any]) -> None:
    with pytest.raises(InvalidSchedule):
        next_runs(definition, NOON)


@given(st.integers(1, 10**8))
def test_an_interval_reads_back_as_it_was_written(number: int) -> None:
    assert seconds(interval(number)) == number


@pytest.mark.parametrize(
    ("number", "text"), [(90, "1m30s"), (0.5, "0.5s"), (3600, "1h"), (86461.25, "1d1m1.25s"), (0, "0s")]
)
def test_an_interval_is_written_to_its_last_digit(number: float, text: str) -> None:
    assert interval(number) == text


@pytest.mark.parametrize(
    ("late", "paused", "overdue"),
    [(59.0, False, False), (61.0, False, True), (61.0, True, False), (-5.0, False, False)],
    ids=["within a minute", "over a minute late", "paused", "yet to come"],
)
def test_a_run_is_overdue_when_it_is_a_minute_late_by_the_slowest_clock(
    late: float, paused: bool, overdue: bool, client: redis.Redis, server: PrivateRedis
) -> None:
    store = Store(config.resolve({"redis_url": server.url}, {}), warn=lambda message: None)
    member = Member(b"{}", NOON - late, "repeatable:1", {"every": 60, "paused": paused})
    assert SchedulerClock(store, "mail", NOON).is_overdue(member) is overdue
    store.close()
