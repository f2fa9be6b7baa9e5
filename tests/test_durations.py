"""A duration, or an age, means one thing or is refused."""

from __future__ import annotations

import time
from datetime import datetime, timezone

import pytest

from asyncmq_cli.durations import age, seconds
from asyncmq_cli.errors import UsageProblem

DAY = 86400


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("90", 90),
        ("1.5", 1.5),
        ("500ms", 0.5),
        ("90s", 90),
        ("90S", 90),
        ("5m", 300),
        ("5min", 300),
        ("5 min", 300),
        ("5minutes", 300),
        (" 5 Minutes ", 300),
        ("1 minute", 60),
        ("2h", 7200),
        ("2 hrs", 7200),
        ("7d", 7 * DAY),
        ("7 Days", 7 * DAY),
        ("2w", 14 * DAY),
        ("2 weeks", 14 * DAY),
        ("1y", 365 * DAY),
        ("1 year", 365 * DAY),
        ("1h30m", 5400),
        ("1h 30 min", 5400),
        ("1 hour, 30 minutes", 5400),
        ("1 day and 2 hours", 26 * 3600),
        ("1d2h3m4.5s", DAY + 2 * 3600 + 3 * 60 + 4.5),
    ],
)
def test_valid_durations_are_parsed(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["1M", "6M", "1.5M", "1M30S", "1d 2M", "5MS", "1mo", "2 months", "1 Month"])
def test_what_may_mean_months_is_refused_with_what_can_be_meant(text: str) -> None:
    for read in (seconds, lambda text: age(text, lambda: 1e9)):
        with pytest.raises(UsageProblem, match="may mean months") as refused:
            read(text)
        assert refused.value.hint == "5m or 5min is five minutes, 30d a month, 1y 365 days"


@pytest.mark.parametrize(
    "text",
    ["", " ", "m", "-5m", "+5m", "5 m m", "1e3", "nan", "inf", "5x", "5m5", "٥m", "9" * 400, "5m" * 9 + "?"],
)
def test_invalid_durations_are_refused(text: str) -> None:
    with pytest.raises(UsageProblem, match="is not a duration"):
        seconds(text)


def test_no_text_takes_long() -> None:
    started = time.process_time()
    for text in ("1h" * 50_000 + "!", "1 " * 50_000, "a" * 100_000, "1.1" * 50_000, "1d and " * 20_000):
        with pytest.raises(UsageProblem):
            seconds(text)
    assert time.process_time() - started < 10


@pytest.mark.parametrize(("zone", "ago"), [("UTC", 0), ("Asia/Kolkata", 0), ("America/New_York", 1)])
def test_today_and_yesterday_began_at_the_midnight_here(
    zone: str, ago: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        now = datetime(2026, 3, 9, 12).timestamp()
        assert age("today", lambda: now) == now - datetime(2026, 3, 9).timestamp()
        # In New York the day before has 23 hours.
        assert age("Yesterday", lambda: now) == (36 - ago) * 3600
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "America/New_York"])
def test_the_ends_of_the_calendar_are_dates(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime(2026, 3, 1, tzinfo=timezone.utc).timestamp()
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        for text in ("0001-01-01", "0001-01-01T00:00", "0001-01-01T00:00+23:59", "0001-01-01T00:00Z"):
            assert age(text, lambda: now) > 2020 * 365 * DAY
        for text in ("9999-12-31", "9999-12-31T23:59:59", "9999-12-31T23:59:59-23:59"):
            with pytest.raises(UsageProblem, match="is in the future"):
                age(text, lambda: now)
    finally:
        monkeypatch.undo()
        time.tzset()
