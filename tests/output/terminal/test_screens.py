"""A full screen fits the terminal, counts what it leaves out, and shows only text."""

from __future__ import annotations

import io
import re
import uuid
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from rich.cells import cell_len
from rich.console import Console, Group

from asyncmq_cli.models.failures import FailureGroup, FailureGroups
from asyncmq_cli.models.monitoring.checks import Problem
from asyncmq_cli.models.monitoring.snapshots import LatestJob, LatestQueue, Snapshot, Trend
from asyncmq_cli.models.queues import QueueStats
from asyncmq_cli.models.values import JOB_STATES
from asyncmq_cli.models.workers import Worker
from asyncmq_cli.output.tables import views
from asyncmq_cli.output.terminal import screens
from asyncmq_cli.output.terminal.screens import allot
from asyncmq_cli.output.terminal.viewport import Viewport

NOW = 1.7e9
HOSTILE = "\x1b[2J\x1b[31m[bold]\n\r\u202e界\udcff"


def queue(name: str, **counts: Any) -> QueueStats:
    zeros = dict.fromkeys((state.replace("-", "_") for state in JOB_STATES), 0)
    rest = {"paused": False, "dlq": 0, "repeatables": 0, "workers": 1, "oldest_waiting_seconds": None}
    return QueueStats(**{**zeros, **rest, "name": name, **counts})


def picture(
    queues: int = 5, workers: int = 2, jobs: int = 10, name: str = "queue", **counts: Any
) -> Snapshot:
    return Snapshot(
        now=NOW,
        stats=[queue(f"{name}-{n}", **counts) for n in range(queues)],
        workers=[Worker(f"{name} worker-{n}", name, 2, NOW, 0.0, 30.0) for n in range(workers)],
        latest_jobs=[LatestJob(NOW - n, name, f"{name} job-{n}", "waiting") for n in range(jobs)],
        latest_queues=[LatestQueue(NOW - n, f"{name}-{n}") for n in range(min(queues, 5))],
    )


def viewport(width: int = 80, height: int = 24, *, solid: bool = True) -> Viewport:
    return Viewport(width=width, height=height, solid=solid, blocks=solid)


def drawn(parts: list[Any]) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=10_000, color_system=None, highlight=False, markup=False, emoji=False).print(
        Group(*parts), soft_wrap=True, end=""
    )
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_five_queues_with_all_states_and_the_prompt_fit_80x24() -> None:
    """With ids like those of AsyncMQ."""
    ids = [str(uuid.UUID(int=number)) for number in range(10)]
    full = replace(
        picture(5, 3, **{state.replace("-", "_"): 1234 for state in JOB_STATES}),
        latest_jobs=[LatestJob(NOW - 9, "queue-1", job_id, "waiting") for job_id in ids],
        silent_workers=1,
    )
    lines = drawn(screens.whole(full, viewport()))
    assert len(lines) <= 23
    assert max(map(cell_len, lines)) <= 80
    assert [sum(line.startswith(f"queue-{n} ") for line in lines) for n in range(5)] == [1] * 5
    (start,) = (number for number, line in enumerate(lines) if line.startswith("LATEST JOBS"))
    assert lines[start - 1] == "WORKERS  3 healthy, 1 silent; room for 6 jobs at once"
    assert [line[:36] for line in lines[start + 1 :]] == ids
    assert "+ 5 columns: widen the terminal" in lines


def problem(queue: str, kind: str = "unattended", value: int = 5) -> Problem:
    return Problem(kind, "critical", queue, value, f"a backlog of {value} and no live worker")


def cause(number: int, *, count: int = 12, queues: Sequence[str] = ("mail",)) -> FailureGroup:
    return FailureGroup(
        id=f"{number:012x}",
        type="ConnectionRefusedError",
        message="[Errno <*>] Connection refused",
        count=count,
        first_seen=NOW - 600,
        last_seen=NOW - 2,
        tasks=["app.send"],
        sample_job_id="j",
        sample_message="[Errno 111] Connection refused",
        queues=queues,
    )


def test_problems_come_first_with_a_command_and_then_causes() -> None:
    found = replace(
        picture(3, 2, 10),
        problems=[problem("mail"), problem("thumbnails", "lost", 2)],
        causes=FailureGroups(["mail"], "cause", NOW, 12, 0, [cause(1), cause(2, count=3)]),
    )
    lines = drawn(screens.whole(found, viewport(), "redis://redis.internal:6379/3"))
    assert lines[0].startswith("3 queues, ") and lines[0].endswith("redis://redis…ernal:6379/3")
    assert [line.split("  ")[0] for line in lines[2:5]] == ["PROBLEMS", "mail", "thumbnails"]
    assert lines[3].endswith("a backlog of 5 and no live worker  asyncmq workers list")
    assert lines[4].endswith("asyncmq doctor thumbnails")
    # All causes are of the one queue that is named.
    assert lines[5].split()[:5] == ["CAUSES", "CAUSE", "COUNT", "FIRST", "LAST"]
    assert re.match(r"000000  ConnectionRefusedError: .* 12  new since \d\d:\d\d  2s ago", lines[6])
    assert [line for line in lines if line.startswith("QUEUES  ")] != []


def test_causes_of_the_latest_dead_are_marked_and_not_called_new() -> None:
    known = FailureGroups(
        ["mail"], "cause", NOW, 100, 0, [cause(1)], covered={"mail": NOW - 600}, latest=100, queues_left_out=2
    )
    lines = drawn(screens.whole(replace(picture(1, 0, 0), causes=known), viewport(100)))
    assert "before" in lines[3] and "new" not in lines[3]
    assert (
        lines[4] == "of the latest 100 dead jobs of each queue, not of 2 more queues; all: asyncmq dlq groups"
    )


@pytest.mark.parametrize(("width", "height"), [(80, 24), (140, 40), (60, 12), (40, 8)])
def test_with_much_wrong_the_overview_still_fits(width: int, height: int) -> None:
    found = replace(
        picture(0, 4, 10),
        stats=[queue(f"queue-{n}", waiting=3, workers=0, failed=9) for n in range(30)],
        problems=[problem(f"queue-{n}") for n in range(30)],
        causes=FailureGroups(["mail"], "cause", NOW, 12, 0, [cause(n) for n in range(30)], latest=100),
    )
    lines = drawn(screens.whole(found, viewport(width, height), "redis://redis.internal:6379/3"))
    assert len(lines) <= height - 1
    assert max(map(cell_len, lines)) <= width
    assert any(line.startswith("… and ") and line.endswith(" more problems") for line in lines)
    if height >= 24:
        assert {"PROBLEMS", "CAUSES", "QUEUES", "WORKERS"} <= {line.split()[0] for line in lines}


def test_without_problems_it_says_so() -> None:
    lines = drawn(screens.whole(replace(picture(1, 1, 0), problems=[]), viewport()))
    assert lines[2] == "no problems: no backlog without a worker, nothing stuck, overdue or growing"


@given(
    shown=st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(0, 10)),
    height=st.integers(8, 60),
    width=st.integers(40, 160),
    length=st.integers(5, 80),
)
@example(shown=(1, 1, 1), height=9, width=40, length=5)
@settings(max_examples=40, deadline=None)
def test_the_overview_fits_and_counts_what_it_leaves_out(
    shown: tuple[int, int, int], height: int, width: int, length: int
) -> None:
    found = replace(picture(*shown, name="queue".ljust(length, "x"), waiting=1), latest_queues=[])
    lines = drawn(screens.overview(found, viewport(width, height)))
    assert len(lines) <= height
    assert max(map(cell_len, lines)) <= width
    hidden = sum(int(line.split()[2].replace(",", "")) for line in lines if re.match("… and .* queue", line))
    jobs = next((number for number, line in enumerate(lines) if line.startswith("LATEST")), len(lines))
    rows = sum(line.startswith("queue") for line in lines[:jobs])
    assert rows + hidden == shown[0]


@pytest.mark.parametrize(
    ("room", "wanted", "given_rows"),
    [
        (40, [4, 5, 7, 10], [4, 5, 7, 10]),
        (22, [4, 5, 5, 0], [4, 5, 5, 0]),
        (22, [4, 5, 5, 10], [4, 5, 5, 3]),
        (20, [4, 5, 5, 10], [4, 5, 5, 1]),
        (20, [9, 9, 30, 10], [7, 3, 3, 0]),
        (30, [9, 9, 30, 10], [9, 5, 8, 1]),
        (9, [9, 9, 30, 10], [3, 0, 0, 0]),
        (3, [9, 0, 0, 0], [1, 0, 0, 0]),
        (24, [0, 0, 0, 0], [0, 0, 0, 0]),
        (4, [3, 0, 0, 0], [3, 0, 0, 0]),
    ],
)
def test_the_jobs_are_cut_first_and_the_problems_last(
    room: int, wanted: list[int], given_rows: list[int]
) -> None:
    assert allot(room, wanted, screens.CUTS) == given_rows


def test_queues_in_trouble_come_first_in_the_overview_and_stay_in_lists() -> None:
    stats = [queue(f"queue-{n:02}") for n in range(30)]
    stats[3] = queue("queue-03", failed=2)
    stats[20] = queue("queue-20", waiting=1, workers=0)
    stats[25] = queue("queue-25", failed=900)
    for number in (7, 28):
        stats[number] = queue(f"queue-{number:02}", failed=1)
    lines = drawn(screens.overview(replace(picture(0, 9, 10), stats=stats), viewport(height=20)))
    shown = [line.split()[0] for line in lines if line.startswith("queue-")]
    assert shown[:6] == ["queue-20", "queue-25", "queue-03", "queue-07", "queue-28", "queue-00"]
    assert any(line.startswith(f"… and {30 - len(shown)} more queues; + ") for line in lines)
    few = drawn(screens.queues(stats, views.on_screen(views.QUEUES), NOW, viewport(height=4)))
    assert [line.split()[0] for line in few[1:-1]] == ["queue-20", "queue-25"]
    assert few[-1].startswith("… and 28 more queues, 3 in trouble; + ")


def test_a_queue_without_a_worker_is_marked_in_red() -> None:
    stats = [
        queue("served", waiting=3),
        queue("alone", waiting=3, workers=0),
        queue("idle", workers=0),
        queue("paused", waiting=3, workers=0, paused=True),
        queue("unknown", waiting=None, workers=0),
    ]
    lines = drawn(screens.queues(stats, views.on_screen(views.QUEUES), NOW, viewport()))
    of_queue = {line.split()[0]: line for line in lines}
    assert "no worker" in of_queue["alone"] and " none " in of_queue["alone"]
    assert " paused " in of_queue["paused"] and " none " in of_queue["paused"]
    for quiet in ("served", "idle", "unknown"):
        assert " running " in of_queue[quiet] and "none" not in of_queue[quiet]
    coloured = io.StringIO()
    Console(file=coloured, width=80, color_system="standard", force_terminal=True).print(
        Group(*screens.queues(stats[1:2], views.on_screen(views.QUEUES), NOW, viewport()))
    )
    assert "\x1b[31mno worker" in coloured.getvalue()


def test_a_long_name_keeps_its_beginning_and_its_end() -> None:
    name = "billing-invoices-for-customers-of-all-kinds-in-production-eu7"
    stats = [queue(name, waiting=1), queue("mail")]
    for line in drawn(screens.queues(stats, views.on_screen(views.QUEUES), NOW, viewport())):
        assert cell_len(line) <= 80
    text = "\n".join(drawn(screens.queues(stats, views.on_screen(views.QUEUES), NOW, viewport())))
    assert re.search(r"^billing-i\S*…\S*tion-eu7  running ", text, re.MULTILINE), text
    assert "+ 6 columns: --fields" in text
    narrow = drawn(screens.queues(stats, views.on_screen(views.QUEUES), NOW, viewport(60)))
    assert narrow[-1] == "+ 8 columns: --fields"
    wide = drawn(screens.queues(stats, views.on_screen(views.QUEUES), NOW, viewport(120)))
    assert wide[-1] == "+ 3 columns: --fields"


def test_the_legend_has_every_state_with_jobs() -> None:
    counts = {state.replace("-", "_"): 1_000_000 for state in JOB_STATES}
    text = "\n".join(drawn(screens.whole(picture(1, 0, 0, **counts), viewport(60))))
    for word in ("waiting", "active", "delayed", "completed", "failed", "expired", "cancelled", "children"):
        assert f"█ {word} 1,000,000" in text


def test_what_could_not_be_counted_is_no_zero() -> None:
    lines = drawn(
        screens.whole(replace(picture(1, 0, 0), stats=[queue("a", waiting=None, workers=None)]), viewport())
    )
    assert lines[0] == "1 queue, an unknown number of jobs, an unknown number of workers"
    assert lines[1].startswith("█ waiting ?  ")


def test_an_empty_redis_has_an_overview_too() -> None:
    assert drawn(screens.whole(picture(0, 0, 0), viewport())) == [
        "0 queues, 0 jobs, 0 workers",
        "█ waiting 0  █ active 0  █ failed 0",
        "WORKERS  none",
    ]


def test_without_colour_the_bar_is_made_of_letters_that_the_legend_explains() -> None:
    lines = drawn(screens.whole(picture(1, 0, 0, waiting=30, failed=10), viewport(solid=False)))
    bar = lines[0].split()[-1]
    assert set(bar) == {"w", "f"}
    assert "w waiting 30" in lines[1] and "f failed 10" in lines[1]
    assert bar.count("w") == pytest.approx(3 * bar.count("f"), abs=2)


@pytest.mark.parametrize("name", [HOSTILE, "界" * 30, "x" * 300])
def test_no_name_does_more_than_be_shown(name: str) -> None:
    lines = drawn(screens.whole(picture(name=name), viewport()))
    assert all(line.isprintable() for line in lines)
    assert cell_len(lines[2]) <= 80


@given(
    values=st.lists(st.none() | st.floats(0, 1e7), max_size=300),
    width=st.integers(60, 200),
    is_current=st.booleans(),
)
def test_the_trends_are_one_line_that_ends_with_the_present(
    values: list[float | None], width: int, is_current: bool
) -> None:
    trend = Trend([NOW + n for n in range(len(values))], values[1:], values, values[1:])
    (line,) = drawn([screens.trends(trend, viewport(width), is_current=is_current)])
    assert cell_len(line) <= width
    if len(values) < 2 or values[-1] is None or not is_current:
        assert line.endswith(" -")


def test_a_problem_comes_before_warnings_and_is_escaped_and_redacted() -> None:
    assert screens.remarks(None, []) == []
    (line,) = drawn(screens.remarks("no\x1b[2J way", ["w"]))
    assert line == "trying again: no\\x1b[2J way"
    where = "unix:///srv/redis.sock"
    (line,) = drawn(screens.remarks(f"cannot reach Redis at {where}: it is gone", [], where=where))
    assert line == f"trying again: cannot reach Redis: it is gone ({where})"
    (line,) = drawn(screens.remarks(None, ["one", "password=hunter2 two"]))
    assert line == "warning (and 1 more): password=[redacted] two"
