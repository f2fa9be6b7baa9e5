from __future__ import annotations

import math
import re
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asyncmq_cli.durations import seconds as typed
from asyncmq_cli.output.text.times import duration, interval, relative, rfc3339

SECONDS_OF = {"d": 86400, "h": 3600, "m": 60, "s": 1}


@given(st.datetimes(timezones=st.just(timezone.utc)))
def test_a_time_reads_back_as_the_moment_it_was(moment: datetime) -> None:
    text = rfc3339(moment.timestamp())
    assert text is not None
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00", text)
    # A float of this size is good to about a hundred microseconds.
    assert abs(datetime.fromisoformat(text) - moment) < timedelta(microseconds=200)


@given(st.floats())
@example(253_402_300_800.0)
@example(-62_135_596_800.5)
def test_a_time_outside_the_calendar_has_no_text(timestamp: float) -> None:
    inside = -62_135_596_800 <= timestamp < 253_402_300_799.999
    outside = not -62_135_596_801 < timestamp < 253_402_300_800
    text = rfc3339(timestamp)
    assert not (inside and text is None) and not (outside and text is not None)


def test_no_time_has_no_text() -> None:
    assert rfc3339(None) is None
    assert rfc3339(0) == "1970-01-01T00:00:00.000000+00:00"


@pytest.mark.parametrize(
    ("seconds", "units", "text"),
    [
        (0, 2, "0s"),
        (0.4, 2, "0s"),
        (45, 2, "45s"),
        (59.6, 2, "1m"),
        (200, 2, "3m 20s"),
        (200, 1, "3m"),
        (7500, 2, "2h 5m"),
        (7200, 2, "2h"),
        (3601, 2, "1h"),
        (4 * 86400 + 3600 + 59, 2, "4d 1h"),
        (-90, 2, "1m 30s"),
        (math.inf, 2, "forever"),
        (math.nan, 2, "forever"),
    ],
)
def test_a_duration_has_at_most_so_many_units(seconds: float, units: int, text: str) -> None:
    assert duration(seconds, units=units) == text
    assert units != 2 or duration(seconds) == text


@given(st.integers(0, 10**12), st.integers(1, 4))
def test_a_duration_is_right_to_the_last_unit_it_shows(seconds: int, units: int) -> None:
    parts = duration(seconds, units=units).split()
    shown = sum(int(part[:-1]) * SECONDS_OF[part[-1]] for part in parts)
    assert len(parts) <= units
    first = SECONDS_OF[parts[0][-1]]
    left_out = {86400: [86400, 3600, 60], 3600: [3600, 60], 60: [60], 1: []}[first][units - 1 : units]
    assert 0 <= seconds - shown < (left_out[0] if left_out else 1)


@pytest.mark.parametrize(
    ("timestamp", "text"),
    [
        (1000.0, "now"),
        (1000.9, "now"),
        (999.0, "1s ago"),
        (800.0, "3m 20s ago"),
        (8200.0, "in 2h"),
        (math.inf, "never"),
        (-math.inf, "long ago"),
        (253402300799.0, "in 2932896d 23h"),
        (1.7e12, "after 9999"),
    ],
)
def test_a_relative_time_says_which_way(timestamp: float, text: str) -> None:
    assert relative(timestamp, 1000.0) == text


@given(st.integers(0, 10**7) | st.integers(0, 10**9).map(lambda thousandths: thousandths / 1000))
@example(59.1234)
def test_an_interval_is_shown_as_it_can_be_typed(seconds: float) -> None:
    assert typed(interval(seconds)) == pytest.approx(seconds, rel=1e-12, abs=1e-6)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (90, "1m30s"),
        (0.5, "0.5s"),
        (86400, "1d"),
        (0, "0s"),
        (90.1, "1m30.1s"),
        (-5, "-5s"),
        (1e300, "1e+300s"),
    ],
)
def test_an_interval_has_no_unit_that_says_nothing(seconds: float, text: str) -> None:
    assert interval(seconds) == text
