from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace
from rich.cells import cell_len
from rich.console import Console

from asyncmq_cli.models.changes import AuditEvent, AuditRun
from asyncmq_cli.models.failures import FailureGroup, FailureGroups
from asyncmq_cli.models.jobs import Job
from asyncmq_cli.models.queues import QueueStats
from asyncmq_cli.output.tables import audit, failure_groups, views
from asyncmq_cli.output.tables.columns import Column, Kind, csv_line, csv_text, tab_separated
from asyncmq_cli.output.tables.tables import shortened_path, table, tables
from asyncmq_cli.output.text.escape import escape_name
from tests.support.strategies import ANY_TEXT, JSON_VALUES

NOW = 1_700_000_000.0
Row = tuple[Any, ...]
COLUMNS: tuple[Column[Row], ...] = (
    Column("ID", lambda row: row[0], "id"),
    Column("TASK", lambda row: row[1], "path"),
    Column("STATE", lambda row: row[2], "state"),
    Column("WHEN", lambda row: row[3], "time"),
    Column("N", lambda row: row[4], "number", wide=True),
    Column("ERROR", lambda row: row[5]),
    Column("AGE", lambda row: row[6], "seconds", wide=True),
)
TEXTS = (
    ANY_TEXT | st.text("漢字é😀a .", max_size=40) | st.sampled_from(["[red]x[/]", "a\tb\nc", "x" * 200, ""])
)
TIMES = st.none() | st.floats(allow_nan=False) | st.floats(NOW - 1e6, NOW + 1e6)
ROWS = st.lists(
    st.tuples(
        TEXTS,
        TEXTS | st.none(),
        st.sampled_from(["failed", "waiting", "unheard-of"]),
        TIMES,
        st.none() | st.integers() | st.floats() | st.booleans(),
        TEXTS | st.none() | st.booleans(),
        st.none() | st.floats(0, 1e9),
    ),
    max_size=5,
)


def drawn(rows: Sequence[Any], columns: Sequence[Column[Any]], width: int) -> list[str]:
    """The lines on a terminal that is wider than any table, so that nothing is shortened twice."""
    return lines_of([table(rows, columns, now=NOW, width=width)[0]])


def lines_of(parts: Iterable[Any]) -> list[str]:
    out = io.StringIO()
    console = Console(file=out, width=1_000_000, highlight=False, markup=False, emoji=False)
    for part in parts:
        console.print(part, soft_wrap=True)
    return out.getvalue().split("\n")[:-1]


@given(ROWS, st.integers(10, 200))
def test_a_table_in_parts_has_the_same_lines(rows: list[Row], width: int) -> None:
    parts, left_out = tables(rows, COLUMNS, now=NOW, width=width, at_a_time=2)
    whole, also_left_out = table(rows, COLUMNS, now=NOW, width=width)
    assert (lines_of(parts), left_out) == (lines_of([whole]), also_left_out)


@given(ROWS, st.integers(1, 200))
@example([("id-" + "x" * 60, "mail.send", "failed", NOW, 1, "漢字" * 30, 1.0)], 80)
def test_a_table_has_one_line_for_each_row_and_never_cuts_an_id(rows: list[Row], width: int) -> None:
    lines = drawn(rows, COLUMNS, width)
    assert len(lines) == len(rows) + 1
    for row, line in zip(rows, lines[1:], strict=True):
        assert line.startswith(escape_name(row[0]) or "-")


@given(ROWS, st.integers(1, 200))
def test_no_line_is_wider_than_the_terminal_unless_an_id_is(rows: list[Row], width: int) -> None:
    longest_id = max([2, *(cell_len(escape_name(row[0])) for row in rows)])
    assert max(map(cell_len, drawn(rows, COLUMNS, width))) <= max(width, longest_id)


@given(ROWS, st.integers(12, 200))
def test_an_id_that_may_be_cut_makes_no_line_wider(rows: list[Row], width: int) -> None:
    columns = [replace(COLUMNS[0], may_be_cut=True), *COLUMNS[1:]]
    assert max(map(cell_len, drawn(rows, columns, width))) <= width


def test_no_title_is_cut() -> None:
    titles = {column.title for column in COLUMNS}
    for width in range(10, 120):
        lines = drawn([("id-1", "a.b" * 9, "failed", NOW, 7, "x" * 90, 5.0)], COLUMNS, width)
        assert set(lines[0].split()) <= titles


def test_the_most_important_column_is_left_out_and_cut_last() -> None:
    columns: list[Column[Row]] = [
        Column("ID", lambda row: row[0], "id"),
        Column("WHEN", lambda row: row[1], "time", wide=True),
        Column("N", lambda row: row[2], "number"),
        Column("ERROR", lambda row: row[3], worth=1, ample=30),
        Column("TASK", lambda row: row[4]),
    ]
    row = ("id-1", NOW - 60, 1000, "no such address: ada@example.org", "send.mail" * 3)
    for width, missing in (
        (90, []),
        (66, []),
        (60, ["WHEN"]),
        (30, ["WHEN"]),
        (20, ["WHEN", "TASK"]),
        (12, ["WHEN", "N", "TASK"]),
        (3, ["WHEN", "N", "ERROR", "TASK"]),
    ):
        assert table([row], columns, now=NOW, width=width)[1] == missing, width
    assert "no such address: ada@example.org  send.m" in drawn([row], columns, 66)[1]


def test_a_long_name_gives_way_in_its_middle_before_a_count_does() -> None:
    name = "company-wide-mailing.tenant-0123456789.transactional-messages.priority-high"
    stats = QueueStats(name, False, 12, 3, 4, 5, 6, 0, 0, 0, 0, 0, 2, 60.0)
    lines = drawn([stats], views.QUEUES, 80)
    assert lines[0].split()[:5] == ["NAME", "STATE", "WAITING", "ACTIVE", "DELAYED"]
    assert lines[1].split()[0] == "company-wide-ma….priority-high"
    assert max(map(cell_len, lines)) <= 80
    short = replace(stats, name="company-wide-mailing")
    assert drawn([short], views.QUEUES, 80)[1].split()[0] == "company-wide-mailing"


@pytest.mark.parametrize(
    ("path", "room", "shown"),
    [
        ("company.mailing.tasks.send_mail", 40, "company.mailing.tasks.send_mail"),
        ("company.mailing.tasks.send_mail", 24, "company…tasks.send_mail"),
        ("company.mailing.tasks.send_mail", 12, "…send_mail"),
        ("company.mailing.tasks.send_mail", 6, "sen…il"),
        ("send_mail_to_everybody", 10, "send_…body"),
    ],
)
def test_a_path_gives_way_within_its_module(path: str, room: int, shown: str) -> None:
    assert shortened_path(path, room) == shown


@given(TEXTS.map(escape_name), st.integers(4, 80))
def test_a_shortened_path_fits_its_room(path: str, room: int) -> None:
    assert cell_len(shortened_path(path, room)) <= room


def test_an_absurd_id_is_cut_unless_everything_is_asked_for() -> None:
    row = ("i" * 1_000_000, "t" * 1_000_000, "failed", NOW, 1, "e" * 1_000_000, 1.0)
    lines = drawn([row], COLUMNS, 80)
    assert "i" * 128 + "…" + "i" * 127 in lines[1] and len(lines[1]) < 600
    whole, _ = table([row], COLUMNS, now=NOW, width=100_000_000, full=True)
    (_, line) = whole.lines
    assert [len(text) for text, _ in line if not text.isspace()][:2] == [1_000_000, 1_000_000]


def test_alarming_values_are_red() -> None:
    column: Column[str] = Column("WORKERS", str, "number", alarm=lambda row: row == "none")
    drawn_table, _ = table(["none", "3"], [column], now=NOW, width=80)
    assert [style for ((_, style),) in drawn_table.lines] == ["bold", "red", ""]


@given(ROWS)
@example([("1", "a", "failed", NOW, 7, "b", 5.0)])
def test_a_table_that_just_fits_is_shown_whole(rows: list[Row]) -> None:
    whole = drawn(rows, COLUMNS, 10_000)
    assert drawn(rows, COLUMNS, max(map(cell_len, whole))) == whole


def test_optional_columns_are_left_out_first_and_texts_are_cut_at_the_less_informative_end() -> None:
    row = (
        "id-1",
        "company.mailing.tasks.send_mail",
        "failed",
        NOW,
        7,
        "no such address: ada@example.org",
        5.0,
    )
    wide, narrow = drawn([row], COLUMNS, 200), drawn([row], COLUMNS, 43)
    assert wide[0].split() == ["ID", "TASK", "STATE", "WHEN", "N", "ERROR", "AGE"]
    assert narrow[0].split() == ["ID", "TASK", "STATE", "WHEN", "ERROR"]
    assert "company.mailing.tasks.send_mail" in wide[1] and "ada@example.org" in wide[1]
    assert "send_mail" in narrow[1] and "company" not in narrow[1]
    assert "no such" in narrow[1] and "ada@example.org" not in narrow[1]


@pytest.mark.parametrize("markup", ["[red]x[/]", "[/]", ":smile:", "[link=http://x]y[/link]", "\\[red]"])
def test_markup_is_shown_as_it_is_written(markup: str) -> None:
    assert markup in drawn([(markup, markup, "failed", NOW, 1, markup, 1.0)], COLUMNS, 200)[1]


def test_a_terminal_control_does_not_reach_the_terminal() -> None:
    lines = drawn([("a\x1b[2J", "b\rc", "failed", NOW, 1, "\u202edone", 1.0)], COLUMNS, 200)
    assert "a\\x1b[2J" in lines[1] and "b\\rc" in lines[1] and "\\u202edone" in lines[1]


def test_people_see_relative_times_rounded_durations_and_grouped_digits() -> None:
    row = ("1", True, "failed", NOW - 200, 1_234_567, False, 125.4)
    assert re.split(" {2,}", drawn([row], COLUMNS, 200)[1]) == [
        "1",
        "yes",
        "failed",
        "3m ago",
        "1,234,567",
        "no",
        "2m 5s",
    ]
    shorter: Column[Row] = Column("TASK", lambda row: row[1], short=lambda value: value[-4:])
    assert drawn([("1", "mail.send"), ("2", None)], [shorter], 80)[1:] == ["send", "-   "]
    assert tab_separated(("1", "mail.send"), [shorter]) == "mail.send"


def test_numbers_stand_to_the_right_and_words_to_the_left() -> None:
    columns: list[Column[Any]] = [Column("N", lambda row: row, "number"), Column("TASK", str)]
    assert drawn([1, 1000], columns, 80) == ["    N  TASK", "    1  1   ", "1,000  1000"]


@pytest.mark.parametrize(
    ("title", "kind", "value", "code"),
    [
        ("STATE", "state", "failed", "\x1b[31m"),
        ("STATE", "state", "completed", "\x1b[32m"),
        ("STATE", "state", "unheard-of", ""),
        ("FAILED", "number", 3, "\x1b[31m"),
        ("FAILED", "number", 0, "\x1b[2m"),
        ("ACTIVE", "number", 3, ""),
        ("FAILED", "text", "red", ""),
        ("TASK", "text", None, "\x1b[2m"),
    ],
)
def test_colour_marks_problems(title: str, kind: Kind, value: Any, code: str) -> None:
    out = io.StringIO()
    console = Console(file=out, width=80, color_system="standard", force_terminal=True)
    column: Column[Any] = Column(title, lambda row: row, kind)
    console.print(table([value], [column], now=NOW, width=80)[0])
    line = out.getvalue().split("\n")[1].strip()
    assert line.startswith(code) and (bool(code) == ("\x1b" in line))


def test_a_missing_value_is_a_dash() -> None:
    assert drawn([("1", None, "failed", None, None, "", None)], COLUMNS, 200)[1].split() == [
        *("1", "-", "failed", "-", "-", "-", "-")
    ]


@given(ROWS)
def test_a_row_for_programs_is_one_line_with_a_tab_between_any_two_fields(rows: list[Row]) -> None:
    for row in rows:
        line = tab_separated(row, COLUMNS)
        assert line.count("\t") == len(COLUMNS) - 1
        assert len(line.splitlines()) == 1


def test_a_row_for_programs_has_whole_values_and_rfc3339_times() -> None:
    row = ("a\tb\\", "x" * 300, "failed", NOW, True, False, 1.5)
    assert tab_separated(row, COLUMNS).split("\t") == [
        *("a\\tb\\\\", "x" * 300, "failed", "2023-11-14T22:13:20.000000+00:00", "true", "false", "1.500")
    ]


def test_the_cause_of_a_group_is_read_at_eighty_columns() -> None:
    message = "no mail server at <address> port <n>"
    group = FailureGroup(
        "c44a85bbb5e6", "app.errors.DeliveryError", message, 12, NOW - 9000, NOW, ["app.send"], "j", message
    )
    found = FailureGroups(["mail"], "cause", NOW, 12, 0, [group])
    columns = failure_groups.groups_for_people(
        found, failure_groups.groups(found, show_secrets=False), spark=0
    )
    lines = drawn([group], columns, 80)
    assert lines[0].split() == ["GROUP", "CAUSE", "COUNT", "FIRST", "LAST", "TASKS"]
    assert re.match("c44a85  DeliveryError: no mail server at <addr", lines[1])


RECORDS = st.dictionaries(
    st.sampled_from(
        ["task", "task_id", "created_at", "delay_until", "run_at", "priority", "retries", "last_error"]
    )
    | st.just("max_retries"),
    JSON_VALUES,
)


@given(
    RECORDS,
    st.sampled_from(["waiting", "failed", "delayed", "repeatable", "all"]),
    st.floats(allow_nan=False),
)
@example({}, "delayed", float("inf"))
def test_a_row_can_be_drawn_for_any_job(record: dict[str, Any], state: str, score: float) -> None:
    status = "delayed" if state == "all" else state
    job = Job("q", "id-1", status, record, due_at=score, dead_at=score)
    columns = views.jobs(state, show_secrets=False)
    lines = drawn([job], columns, 100)
    assert len(lines) == 2 and lines[1].startswith("id-1")
    assert tab_separated(job, columns).count("\t") == len(columns) - 1


@pytest.mark.parametrize(
    ("since", "last", "time"),
    [
        (4000.0, 4030.0, 4030.0),
        (4000.0, 4900.0, "01:06–01:21"),
        (4000.0 - 10 * 86_400, 4900.0 - 10 * 86_400, "12-22 01:06–01:21"),
    ],
)
def test_a_run_of_audit_events_shows_the_time_from_its_first_to_its_last(
    since: float, last: float, time: float | str
) -> None:
    newest = AuditEvent(
        last, "dlq.retry", "dlq.bulk", "success", "mail", "1", "ann", {"reason": "back"}, None
    )
    cells = {
        column.title: column.for_people(AuditRun(newest, 165, since))
        for column in audit.runs(5000.0, utc=True)
    }
    assert cells["TIME"] == time
    assert (cells["ACTION"], cells["JOB"], cells["DETAILS"]) == ("dlq.retry ×165", None, None)
    (alone,) = [
        column.for_people(AuditRun(newest, 1, last))
        for column in audit.runs(5000.0, utc=True)
        if column.title == "DETAILS"
    ]
    assert alone is None, "the reason stands under WHY"


@given(st.lists(st.lists(ANY_TEXT, min_size=2, max_size=2), min_size=1, max_size=3))
@example([["a\n=1+1,x", 'say "no"'], ["", "\r\n"]])
def test_a_line_break_in_a_value_begins_no_row_of_csv(rows: list[list[str]]) -> None:
    cells = [[csv_text(text) for text in row] for row in rows]
    written = "".join(f"{csv_line(row)}\n" for row in cells)
    assert list(csv.reader(io.StringIO(written, newline=""))) == cells
