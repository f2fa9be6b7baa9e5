"""Failure groups: their columns and documents."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from asyncmq_cli.models.failures import RECENT
from asyncmq_cli.output.redaction.redact import redact, redact_any
from asyncmq_cli.output.tables.columns import Column
from asyncmq_cli.output.tables.views import shown_text, without_module
from asyncmq_cli.output.text.times import clock, date, relative, rfc3339

if TYPE_CHECKING:
    from asyncmq_cli.models.failures import FailureGroup, FailureGroups
    from asyncmq_cli.output.json.documents import Document


def groups(
    found: FailureGroups, *, show_secrets: bool, spark: int = 0, utc: bool = False
) -> tuple[Column[FailureGroup], ...]:
    """The columns of failure groups. `spark` is the width of the graph of deaths over time, which only people
    see; 0 for no graph."""
    shown = shown_text(show_secrets)
    by = found.by
    # If there is only one queue, the column of queues is not shown.
    ample = 36 if len(found.queues) == 1 else 26
    deaths = _deaths_over_time(found, spark)
    return (
        _grouped_by(by, show_secrets=show_secrets),
        Column(
            "CAUSE", lambda group: shown(group.cause), short=without_module, ample=ample, least=16, worth=2
        ),
        *(
            ()
            if by == "cause"
            else (Column("CAUSES", lambda group: group.causes, "number", wide=True, worth=1),)
        ),
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
        Column("TREND", lambda group: found.trend(group), for_row=deaths, wide=True, ample=spark),
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


def _first(group: FailureGroup, found: FailureGroups, *, utc: bool) -> str:
    """The time of the first death, with `new since` if it was in the last hour, or `before` if not all deaths
    were read, so that there may be earlier ones."""
    at = clock(group.first_seen, span=RECENT, utc=utc)
    if found.trend(group) == "new":
        return f"new since {at}"
    now, covered_from = found.read_at, found.covered_from(group)
    if covered_from > now - RECENT and group.first_seen >= covered_from:
        return f"before {at}"
    return date(group.first_seen) if utc else relative(group.first_seen, now, units=1)


def _last(group: FailureGroup, found: FailureGroups, *, utc: bool) -> str:
    when = date(group.last_seen) if utc else relative(group.last_seen, found.read_at, units=1)
    return f"{when}, growing" if found.trend(group) == "growing" else when


def _deaths_over_time(found: FailureGroups, width: int) -> Callable[[FailureGroup], str]:
    """A function that draws the graph of a group's deaths. All graphs cover the same time."""
    start = min((one.first_seen for one in found.groups if math.isfinite(one.first_seen)), default=0.0)

    def drawn(group: FailureGroup) -> str:
        from asyncmq_cli.output.terminal.charts import histogram

        return histogram(group.deaths, group.deaths_span, start, found.read_at, width)

    return drawn


def group_document(value: FailureGroup, found: FailureGroups, *, show_secrets: bool) -> Document:
    shown: Callable[[Any], Any] = (lambda part: part) if show_secrets else redact
    return {
        "id": value.id,
        "type": shown(value.type),
        "message": shown(value.message),
        "count": value.count,
        "first_seen": value.first_seen,
        "last_seen": value.last_seen,
        "tasks": shown(value.tasks),
        "sample_job_id": shown(value.sample_job_id),
        "sample_message": shown(value.sample_message),
        "sample_queue": value.sample_queue,
        "queues": value.queues,
        "trend": found.trend(value),
        "last_hour": value.last_hour,
        "hour_before": value.hour_before,
        "deaths": [{"timestamp": moment, "count": count} for moment, count in value.deaths],
        "deaths_span_seconds": value.deaths_span,
        "value": None if value.id else group_value(found.by, show_secrets=show_secrets)(value),
        "causes": value.causes,
    }


def groups_document(value: FailureGroups, *, show_secrets: bool) -> Document:
    """The document of failure groups. `queue` is null unless exactly one queue was read."""
    return {
        "queue": value.queues[0] if len(value.queues) == 1 else None,
        "scanned": value.scanned,
        "groups": [group_document(one, value, show_secrets=show_secrets) for one in value.groups],
        "left_out": value.left_out,
        "by": value.by,
        "queues": list(value.queues),
        "timestamp": value.read_at,
        "time": rfc3339(value.read_at),
    }
