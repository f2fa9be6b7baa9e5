"""Thresholds: how they are typed, and which values cross them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmq_cli.commands.check import count, decimal, duration, range_bound, threshold
from asyncmq_cli.errors import UsageProblem
from asyncmq_cli.models.monitoring.checks import CHECK_STATES, Range, Threshold

COUNTS = st.integers(0, 10**15 - 1)
VALUES = st.integers(0, 10**16) | st.floats(0, 1e16)
BOUNDS = st.tuples(st.none() | COUNTS, st.none() | COUNTS).filter(lambda bounds: bounds != (None, None))


def made(bounds: tuple[int | None, int | None], *, least: bool) -> Threshold:
    """A threshold with its bounds in the order in which they can be crossed."""
    warning, critical = bounds
    if warning is not None and critical is not None:
        warning, critical = sorted((warning, critical), reverse=least)
    return Threshold(warning, critical, least)


def typed(wanted: Threshold) -> str:
    warning = "" if wanted.warning is None else str(wanted.warning)
    return warning if wanted.critical is None else f"{warning}:{wanted.critical}"


@given(BOUNDS, st.booleans())
def test_a_typed_range_is_parsed_as_meant(bounds: tuple[int | None, int | None], least: bool) -> None:
    wanted = made(bounds, least=least)
    assert threshold("--x", typed(wanted), count, least=least) == wanted


def alerts(range_text: str, value: float) -> bool:
    """Whether a value is outside a range, as the Monitoring Plugins' guidelines define one."""
    start, colon, end = range_text.rpartition(":")
    low = float(start or 0) if colon else 0.0
    high = float(end) if end else float("inf")
    return not low <= value <= high


@given(BOUNDS, st.booleans(), VALUES)
def test_a_state_is_the_one_that_nagios_ranges_would_give(
    bounds: tuple[int | None, int | None], least: bool, value: float
) -> None:
    limit = made(bounds, least=least)
    end = ":" if least else ""
    expected = "ok"
    if limit.warning is not None and alerts(f"{limit.warning}{end}", value):
        expected = "warning"
    if limit.critical is not None and alerts(f"{limit.critical}{end}", value):
        expected = "critical"
    assert limit.state_of(value) == expected


@given(BOUNDS, st.booleans(), VALUES, VALUES)
def test_a_worse_value_is_never_a_better_state(
    bounds: tuple[int | None, int | None], least: bool, one: float, other: float
) -> None:
    limit = made(bounds, least=least)
    better, worse = sorted((one, other), reverse=least)
    assert CHECK_STATES.index(limit.state_of(better)) <= CHECK_STATES.index(limit.state_of(worse))


@given(BOUNDS, st.booleans())
def test_at_its_bound_a_value_is_still_well(bounds: tuple[int | None, int | None], least: bool) -> None:
    limit = made(bounds, least=least)
    first = limit.critical if limit.warning is None else limit.warning
    assert first is not None
    assert limit.state_of(first) == "ok"
    assert limit.state_of(first - 1 if least else first + 1) != "ok"


def test_one_value_is_a_warning_and_durations_are_seconds() -> None:
    assert threshold("--x", "10m:1h30m", duration) == Threshold(600, 5400)
    assert threshold("--x", "90", duration) == Threshold(90, None)
    assert threshold("--x", ":1.5s", duration) == Threshold(None, 1.5)


@pytest.mark.parametrize("text", ["", ":", "5:", "a", "5:b", "-5", "1.5", "1:2:3", "5:4", "9" * 16, "٣"])
def test_an_invalid_threshold_is_wrong_usage(text: str) -> None:
    with pytest.raises(UsageProblem, match=r"^--x: "):
        threshold("--x", text, count)


@pytest.mark.parametrize("text", ["soon", "10m:", "10m:5m", "9" * 400])
def test_an_invalid_duration_is_wrong_usage(text: str) -> None:
    with pytest.raises(UsageProblem, match=r"^--x: "):
        threshold("--x", text, duration)


@pytest.mark.parametrize(
    ("text", "meant", "of_a_minimum"),
    [
        ("10", 10, Range(0, 10)),
        ("10:", Range(10, None), 10),
        ("~:10", 10, Range(None, 10)),
        ("0:10", 10, Range(0, 10)),
        (":10", 10, Range(0, 10)),
        ("-5:10", 10, Range(-5, 10)),
        ("10.5", 10.5, Range(0, 10.5)),
        ("10:20", Range(10, 20), Range(10, 20)),
        ("@10:20", Range(10, 20, inside=True), Range(10, 20, inside=True)),
        ("@10", Range(0, 10, inside=True), Range(0, 10, inside=True)),
        ("~:", Range(None, None), Range(None, None)),
    ],
)
def test_ranges_are_those_of_monitors(text: str, meant: float | Range, of_a_minimum: float | Range) -> None:
    assert range_bound("-w", text, decimal) == meant
    assert range_bound("-w", text, decimal, least=True) == of_a_minimum
    for least in (False, True):
        made = Threshold(range_bound("-w", text, decimal, least=least), least=least)
        for value in (0, 9, 10, 11, 15, 20, 21, 1e9):
            outside = alerts(text.removeprefix("@").replace("~", "-inf"), value)
            assert (made.state_of(value) == "warning") is (outside is not text.startswith("@")), value


def test_a_range_of_durations_is_in_seconds() -> None:
    assert range_bound("-c", "10m:1h", duration) == Range(600, 3600)
    assert range_bound("-c", "3600", duration) == 3600


@pytest.mark.parametrize(
    "text", ["", ":", "a", "5:b", "-5", "1,5", "1e3", "nan", "20:10", "@", "1:2:3", "~", "@~", "10:~"]
)
def test_an_invalid_range_is_wrong_usage(text: str) -> None:
    with pytest.raises(UsageProblem, match=r"^-w: "):
        range_bound("-w", text, decimal)


def test_the_bounds_of_a_minimum_go_down() -> None:
    assert threshold("--x", "2:1", count, least=True).critical == 1
    with pytest.raises(UsageProblem, match="above the warning"):
        threshold("--x", "1:2", count, least=True)
