"""Charts of characters: no value is missing, and no line is too wide."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncmq_cli.models.values import JOB_STATES
from asyncmq_cli.output.terminal import charts

count_of_states = st.dictionaries(st.sampled_from(JOB_STATES), st.integers(0, 10**9))


@given(counts=count_of_states, width=st.integers(8, 200))
def test_a_bar_has_the_given_width_and_every_state(counts: dict[str, int], width: int) -> None:
    drawn = charts.bar(counts, width=width, solid=False)
    present = {state: count for state, count in counts.items() if count}
    cells = Counter(drawn.plain)
    assert drawn.cell_len == (width if present else 0)
    assert set(cells) == {charts.letter(state) for state in present}
    largest = max(present, key=lambda state: present[state], default=None)
    assert largest is None or cells[charts.letter(largest)] == max(cells.values())


@given(counts=st.fixed_dictionaries(dict.fromkeys(JOB_STATES, st.integers(1, 1000))))
def test_a_states_stretch_is_its_part_of_the_whole(counts: dict[str, int]) -> None:
    cells = Counter(charts.bar(counts, width=800, solid=False).plain)
    for state, count in counts.items():
        part = 800 * count / sum(counts.values())
        assert abs(cells[charts.letter(state)] - part) <= len(JOB_STATES), state


def test_no_two_states_have_the_same_style() -> None:
    assert len({charts.letter(state) for state in JOB_STATES}) == len(JOB_STATES)
    assert len({charts.state_style(state) for state in JOB_STATES}) == len(JOB_STATES)


@given(values=st.lists(st.none() | st.floats(0, 1e12) | st.integers(0, 10**12)), width=st.integers(1, 80))
def test_a_sparkline_has_a_cell_for_each_of_the_last_values(values: list[float | None], width: int) -> None:
    line = charts.sparkline(values, width)
    shown = values[-width:]
    if all(value is None for value in shown):
        assert line == ""
    else:
        assert len(line) == len(shown)
        for cell, value in zip(line, shown, strict=True):
            assert (cell == " ") == (value is None)


@given(values=st.lists(st.none() | st.floats(0, 1e9), min_size=1, max_size=400), width=st.integers(1, 80))
def test_resampling_returns_the_mean_of_each_part_of_the_time(values: list[float | None], width: int) -> None:
    found = charts.resampled(range(len(values)), values, width)
    assert len(found) == min(width, len(values))
    known = [value for value in values if value is not None]
    for value in found:
        assert value is None or min(known) * 0.999 <= value <= max(known) * 1.001
    assert (known == []) == all(value is None for value in found)


def test_old_values_have_as_much_room_as_they_took_time_and_gaps_stay_gaps() -> None:
    minutes = [(60.0 * n, 10.0) for n in range(10)]
    gap = [(600.0 + 2 * n, None) for n in range(100)]
    seconds = [(800.0 + 2 * n, 20.0 + n % 2) for n in range(101)]
    times, values = zip(*minutes, *gap, *seconds, strict=True)
    assert charts.resampled(times, values, 10) == [
        10,
        10,
        10,
        10,
        10,
        10,
        None,
        None,
        20.5,
        pytest.approx(20.5, abs=0.1),
    ]
    assert charts.resampled([5.0] * 3, [1, 2, 3], 2) == [None, 2]


def test_a_sparkline_starts_at_zero() -> None:
    assert charts.sparkline([0, 5, 10], 9) == "▁▄█"
    assert charts.sparkline([0, 0], 9) == "▁▁"
    assert charts.sparkline([7, 7], 9) == "██"


@settings(max_examples=25, deadline=None)
@given(
    values=st.lists(st.none() | st.floats(0, 1e9), min_size=2, max_size=30),
    gap=st.floats(2, 1e5),
    width=st.integers(40, 120),
)
def test_a_chart_fits_its_place(values: list[float | None], gap: float, width: int) -> None:
    times = [1.7e9 + number * gap for number in range(len(values))]
    lines = charts.over_time(times, [charts.Series("jobs waiting", values)], width=width, height=9)
    if sum(value is not None for value in values) < 2:
        assert lines == []
    else:
        assert len(lines) == 9
        assert max(map(len, lines)) <= width
        assert "jobs waiting" in lines[0]


def a_chart(times: list[float], values: list[float], *, whole: bool = False) -> list[str]:
    return charts.over_time(times, [charts.Series("t", values, whole=whole)], width=60, height=9)


@pytest.mark.parametrize("values", [[0, 0], [5, 5], [2**63, 0]])
@pytest.mark.parametrize("whole", [True, False])
def test_a_chart_of_what_does_not_change_can_be_drawn(values: list[float], whole: bool) -> None:
    assert len(a_chart([1.7e9, 1.7e9 + 60], values, whole=whole)) == 9


def test_two_values_of_one_moment_make_a_chart_too() -> None:
    assert a_chart([1.7e9, 1.7e9], [1, 2])


def axis(lines: list[str]) -> list[str]:
    """The labels of the value axis, from the top down."""
    return [line.split("┤")[0].strip() for line in lines if "┤" in line]


@pytest.mark.parametrize(
    ("most", "labels"),
    [
        (0, ["1", "0"]),
        (1, ["1", "0"]),
        (2, ["2", "1", "0"]),
        (3, ["3", "2", "1", "0"]),
        (5, ["6", "4", "2", "0"]),
        (17, ["20", "15", "10", "5", "0"]),
        (3900, ["3,900", "2,925", "1,950", "975", "0"]),
        (4 * 10**7, ["40.0M", "30.0M", "20.0M", "10.0M", "0"]),
    ],
)
def test_counts_have_an_axis_of_whole_numbers(most: int, labels: list[str]) -> None:
    assert axis(a_chart([1.7e9, 1.7e9 + 60], [0, most], whole=True)) == labels


def test_a_slow_pace_has_an_axis_with_parts() -> None:
    assert axis(a_chart([1.7e9, 1.7e9 + 60], [0, 0.5])) == ["0.5", "0.38", "0.25", "0.12", "0"]
    assert axis(a_chart([1.7e9, 1.7e9 + 60], [0, 40.5])) == ["44", "33", "22", "11", "0"]


@given(st.integers(0, 10**12))
def test_an_axis_reaches_as_far_as_the_values_and_not_much_further(most: int) -> None:
    ticks = charts.Series("t", [0, most], whole=True).ticks
    assert ticks[0] == 0 and ticks[-2] < max(1, most) <= ticks[-1]
    assert all(tick == int(tick) for tick in ticks)


def test_charts_of_the_same_time_have_the_same_axis_of_time() -> None:
    times = [1.7e9 + 60 * number for number in range(4)]
    series = [
        charts.Series("jobs waiting", [0, 100_000, 5, 3], whole=True),
        charts.Series("jobs completed a minute", [None, 3, 4, 0.5]),
    ]
    lines = charts.over_time(times, series, width=70, height=9)
    assert len(lines) == 18
    assert lines[7:9] == lines[16:18] and "┬" in lines[7]
