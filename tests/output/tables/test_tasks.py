"""The tables of tasks as people and programs see them."""

from __future__ import annotations

from asyncmq_cli.models.monitoring.tasks import TopTask
from asyncmq_cli.output.tables.columns import tab_separated
from asyncmq_cli.output.tables.tasks import top_tasks

ROW = TopTask(
    "app.send", 0.004, concurrency=0.1, active=1, seen=5, below=2, durations=(0.05, 0.05, 0.25, 12.0)
)
COLUMNS = top_tasks(show_secrets=False)


def test_people_see_the_durations_of_a_task_with_units() -> None:
    shown = {column.title: column.for_people(ROW) for column in COLUMNS}
    assert (shown["P50"], shown["P95"], shown["BUSY"]) == ("250 ms", "12s", "< 1 %")


def test_people_see_that_a_duration_is_below_the_interval_between_two_reads() -> None:
    short = TopTask("app.send", 0.5, concurrency=0.1, active=1, seen=5, below=4, durations=(0.05,) * 4)
    assert {column.title: column.for_people(short) for column in COLUMNS}["MAX"] == "< 50 ms"


def test_a_pipe_gets_the_durations_of_a_task_in_seconds() -> None:
    assert tab_separated(ROW, COLUMNS) == "app.send\t0.004\t1\t4\t0.25\t12.0\t12.0"
