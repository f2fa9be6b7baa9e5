"""The columns of failure groups."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from asyncmq_cli.models.failures import RECENT
from asyncmq_cli.output.redaction.redact import redact, redact_any
from asyncmq_cli.output.tables.columns import Column
from asyncmq_cli.output.tables.views import shown_text, without_module
from asyncmq_cli.output.text.times import clock, date, relative

if TYPE_CHECKING:
    from asyncmq_cli.models.failures import FailureGroup, FailureGroups


def groups(
    found: FailureGroups | None = None, *, show_secrets: bool, spark: int = 0, utc: bool = False
) -> tuple[Column[FailureGroup], ...]:
    """The columns of failure groups. `spark` is the width of the graph of deaths over time, which only people
    see; 0 for no graph."""
    shown = shown_text(show_secrets)
    by = "cause" if found is None else found.by
    trend = _trend_of(found)
    # If there is only one queue, the column of queues is not shown.
    ample = 36 if found is not None and len(found.queues) == 1 else 26
    deaths = _deaths_over_time(found, spark)
    return (
        _grouped_by(by, show_secrets=show_secrets),
        Column(
            "CAUSE", lambda group: shown(group.cause), short=without_module, ample=ample, least=16, worth=2
        ),
        *(() if by == "cause" else (Column("CAUSES", _causes, "number", wide=True, worth=1),)),
        Column("COUNT", lambda group: group.count, "number", worth=3),
        Column(
            "FIRST",
            lambda group: group.first_seen,
            "time",
            for_row=lambda group: _first(group, found, utc=utc),
            wide=True,
            worth=2,
        ),
        Column(
            "LAST",
            lambda group: group.last_seen,
            "time",
            for_row=lambda group: _last(group, found, utc=utc),
            worth=1,
        ),
        Column("QUEUES", lambda group: ", ".join(group.queues), wide=True, ample=8, worth=1),
        Column("TASKS", lambda group: shown(", ".join(group.tasks)), "path", wide=True, ample=28),
        Column("TREND", lambda group: trend(group), for_row=deaths, wide=True, ample=spark),
        Column("TYPE", lambda group: shown(group.type), "path", wide=True),
        Column("MESSAGE", lambda group: shown(group.message), wide=True),
        Column("SAMPLE", lambda group: shown(group.sample_job_id), "id", wide=True),
        Column("SAMPLE MESSAGE", lambda group: shown(group.sample_message), wide=True),
    )


def _grouped_by(by: str, *, show_secrets: bool) -> Column[FailureGroup]:
    """The column with the value that distinguishes the groups."""
    if by == "cause":
        return Column("GROUP", lambda group: group.id, "id", short=lambda text: text[:_GROUP_SHOWN])
    return Column(
        by.upper(),
        group_value(by, show_secrets=show_secrets),
        "id",
        short=without_module if by == "error" else None,
        may_be_cut=True,
        ample=24,
        least=12,
        worth=3,
        name="value",
    )


_GROUP_SHOWN = 6
"""The number of characters of a group's id that people see: --group accepts the beginning of an id."""
_OF_GROUPS = ("type", "message", "sample", "sample_message")
"""Columns whose content is already in CAUSE, or that only other commands need: for pipes, and for people who
select them."""


def groups_for_people(
    found: FailureGroups, columns: Sequence[Column[FailureGroup]], *, spark: int
) -> list[Column[FailureGroup]]:
    """The columns that people see by default: without columns that have the same value in every row, and
    without a graph that cannot be drawn."""
    same = {"queues"} if len(found.queues) == 1 or found.by == "queue" else set()
    same |= {"tasks"} if found.by == "task" else set()
    same |= set() if spark else {"trend"}
    return [column for column in columns if column.field not in {*_OF_GROUPS, *same}]


def _causes(group: FailureGroup) -> int:
    return group.causes


def group_value(by: str, *, show_secrets: bool) -> Callable[[FailureGroup], Any]:
    """A function that returns the value which the jobs of a group have in common. An argument is redacted by
    its name."""
    if show_secrets:
        return lambda group: group.value
    path = by.split(".") if by.startswith(("args.", "kwargs.")) else [by]

    def value(group: FailureGroup) -> Any:
        shown: Any = group.value
        for name in reversed(path):
            shown = {name: shown}
        shown = redact(shown)
        for name in path:
            shown = shown[name] if isinstance(shown, dict) else shown
        return redact_any(shown)

    return value


def _trend_of(found: FailureGroups | None) -> Callable[[FailureGroup], str | None]:
    return (lambda group: None) if found is None else found.trend


def _first(group: FailureGroup, found: FailureGroups | None, *, utc: bool) -> str:
    """The time of the first death, with `new since` if it was in the last hour, or `before` if not all deaths
    were read, so that there may be earlier ones."""
    at = clock(group.first_seen, span=RECENT, utc=utc)
    if _trend_of(found)(group) == "new":
        return f"new since {at}"
    now = 0.0 if found is None else found.read_at
    covered_from = 0.0 if found is None else found.covered_from(group)
    if covered_from > now - RECENT and group.first_seen >= covered_from:
        return f"before {at}"
    return date(group.first_seen) if utc else relative(group.first_seen, now, units=1)


def _last(group: FailureGroup, found: FailureGroups | None, *, utc: bool) -> str:
    now = 0.0 if found is None else found.read_at
    when = date(group.last_seen) if utc else relative(group.last_seen, now, units=1)
    return f"{when}, growing" if _trend_of(found)(group) == "growing" else when


def _deaths_over_time(found: FailureGroups | None, width: int) -> Callable[[FailureGroup], str]:
    """A function that draws the graph of a group's deaths. All graphs cover the same time."""
    groups = () if found is None else found.groups
    start = min((one.first_seen for one in groups if math.isfinite(one.first_seen)), default=0.0)
    end = 0.0 if found is None else found.read_at

    def drawn(group: FailureGroup) -> str:
        from asyncmq_cli.output.terminal.charts import histogram

        return histogram(group.deaths, group.deaths_span, start, end, width)

    return drawn
