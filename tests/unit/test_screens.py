"""What fills a screen fits it, leaves nothing out in silence, and shows no more than text."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console, Group

from asyncmq_cli.models.pictures import LatestJob, LatestQueue, Picture, Trend
from asyncmq_cli.models.queues import QueueStats
from asyncmq_cli.models.values import JOB_STATES
from asyncmq_cli.models.workers import Worker
from asyncmq_cli.output import screens
from asyncmq_cli.output.screens import Canvas, allot

NOW = 1.7e9
HOSTILE = "\x1b[2J\x1b[31m[bold]\n\r\u202e界\udcff"


def queue(name: str, **counts: Any) -> QueueStats:
    zeros = dict.fromkeys((state.replace("-", "_") for state in JOB_STATES), 0)
    rest = {"paused": False, "dlq": 0, "repeatables": 0, "workers": 1, "oldest_waiting_seconds": None}
    return QueueStats(**{**zeros, **rest, "name": name, **counts})


def picture(queues: int = 5, workers: int = 2, jobs: int = 10, name: str = "queue", **counts: Any) -> Picture:
    return Picture(
        now=NOW,
        stats=[queue(f"{name}-{n}", **counts) for n in range(queues)],
        workers=[Worker(f"{name} worker-{n}", name, 2, NOW, 0.0, 30.0) for n in range(workers)],
        latest_jobs=[LatestJob(NOW - n, name, f"{name} job-{n}", "waiting") for n in range(jobs)],
        latest_queues=[LatestQueue(NOW - n, f"{name}-{n}") for n in range(min(queues, 5))],
    )


def canvas(width: int = 80, height: int = 24, *, solid: bool = True) -> Canvas:
    return Canvas(width=width, height=height, solid=solid, blocks=solid)


def drawn(parts: list[Any]) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=10_000, color_system=None, highlight=False, markup=False, emoji=False).print(
        Group(*parts), soft_wrap=True, end=""
    )
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_eighty_by_twenty_four_holds_a_handful_of_queues_and_the_prompt() -> None:
    lines = drawn(screens.whole(picture(waiting=1, failed=2), canvas()))
    assert len(lines) <= 23
    assert max(map(cell_len, lines)) <= 80
    for shown in (
        *(f"queue-{n} " for n in range(5)),
        "queue worker-1 ",
        *(f"queue job-{n} " for n in range(10)),
    ):
        assert any(line.startswith(shown) for line in lines), shown
    assert "latest queues: queue-0 now, queue-1 1s ago, queue-2 2s ago" in "\n".join(lines)


@given(
    shown=st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(0, 10)),
    height=st.integers(15, 60),
    width=st.integers(40, 160),
)
@settings(max_examples=20, deadline=None)
def test_the_overview_fits_and_counts_what_it_leaves_out(
    shown: tuple[int, int, int], height: int, width: int
) -> None:
    lines = drawn(screens.overview(picture(*shown, waiting=1), canvas(width, height)))
    assert len(lines) <= height
    hidden = sum(int(line.split()[2]) for line in lines if line.startswith("… and "))
    rows = sum(line.startswith(("queue-", "queue worker-", "queue job-")) for line in lines)
    assert rows + hidden == sum(shown)


@pytest.mark.parametrize(
    ("room", "wanted", "given_rows"),
    [
        (24, [5, 2, 10], [5, 2, 10]),
        (20, [5, 2, 10], [5, 2, 10]),
        (19, [5, 2, 10], [3, 2, 10]),
        (16, [5, 2, 10], [3, 1, 6]),
        (5, [50, 9, 10], [3, 1, 3]),
        (9, [0, 0, 10], [0, 0, 7]),
        (24, [0, 0, 0], [0, 0, 0]),
    ],
)
def test_the_queues_are_cut_first_and_the_jobs_last(
    room: int, wanted: list[int], given_rows: list[int]
) -> None:
    assert allot(room, wanted, [3, 1, 3]) == given_rows


def test_the_legend_tells_every_state_that_there_is() -> None:
    counts = {state.replace("-", "_"): 1_000_000 for state in JOB_STATES}
    text = "\n".join(drawn(screens.whole(picture(1, 0, 0, **counts), canvas(60))))
    for word in ("waiting", "active", "delayed", "completed", "failed", "expired", "cancelled", "children"):
        assert f"█ {word} 1,000,000" in text


def test_what_could_not_be_counted_is_no_zero() -> None:
    lines = drawn(
        screens.whole(replace(picture(1, 0, 0), stats=[queue("a", waiting=None, workers=None)]), canvas())
    )
    assert lines[0] == "1 queue, an unknown number of jobs, an unknown number of workers"
    assert lines[1].startswith("█ waiting ?  ")


def test_an_empty_redis_has_an_overview_too() -> None:
    assert drawn(screens.whole(picture(0, 0, 0), canvas())) == [
        "0 queues, 0 jobs, 0 workers",
        "█ waiting 0  █ active 0  █ failed 0",
        "latest queues: none",
    ]


def test_without_colour_the_bar_is_made_of_letters_that_the_legend_explains() -> None:
    lines = drawn(screens.whole(picture(1, 0, 0, waiting=30, failed=10), canvas(solid=False)))
    bar = lines[0].split()[-1]
    assert set(bar) == {"w", "f"}
    assert "w waiting 30" in lines[1] and "f failed 10" in lines[1]
    assert bar.count("w") == pytest.approx(3 * bar.count("f"), abs=2)


@pytest.mark.parametrize("name", [HOSTILE, "界" * 30, "x" * 300])
def test_no_name_does_more_than_be_shown(name: str) -> None:
    lines = drawn(screens.whole(picture(name=name), canvas()))
    assert all(line.isprintable() for line in lines)
    assert cell_len(lines[2]) <= 80


@given(
    values=st.lists(st.none() | st.floats(0, 1e7), max_size=300),
    width=st.integers(60, 200),
)
def test_the_trends_are_one_line_that_ends_with_the_present(values: list[float | None], width: int) -> None:
    trend = Trend([NOW + n for n in range(len(values))], values, values, values)
    (line,) = drawn([screens.trends(trend, canvas(width))])
    assert cell_len(line) <= width
    if not values or values[-1] is None:
        assert line.endswith(" -")


def test_a_problem_comes_before_warnings_and_is_escaped_and_redacted() -> None:
    assert screens.remarks(None, []) == []
    (line,) = drawn(screens.remarks("no\x1b[2J way", ["w"]))
    assert line == "trying again: no\\x1b[2J way"
    (line,) = drawn(screens.remarks(None, ["one", "password=hunter2 two"]))
    assert line == "warning (and 1 more): password=[redacted] two"
