"""The columns of tasks: what waits and fails by task, and what runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asyncmq_cli.output.tables.columns import Column
from asyncmq_cli.output.tables.views import shown_text
from asyncmq_cli.output.text import tasks as text

if TYPE_CHECKING:
    from asyncmq_cli.models.tasks import TaskReport, TaskStats, TopTask


def tasks(report: TaskReport | None = None, *, show_secrets: bool) -> tuple[Column[TaskStats], ...]:
    """A count that is an estimate has a ~ for people."""
    shown = shown_text(show_secrets)
    now = 0.0 if report is None else report.read_at

    def number(state: str, **given: Any) -> Column[TaskStats]:

        is_estimate = report is not None and state in report.sampled
        return Column(
            state.upper(),
            lambda row: row.counts[state],
            "number",
            for_row=(lambda row: text.count(row.counts[state], is_estimate=True)) if is_estimate else None,
            key=state,
            **given,
        )

    return (
        Column("TASK", lambda row: shown(row.task), "id", may_be_cut=True, ample=32, least=20, worth=5),
        number("waiting", worth=3),
        number("active", worth=2),
        number("delayed", wide=True),
        number("dead", worth=4),
        number("completed", wide=True),
        Column("FAILING", lambda row: row.failing_share, for_row=_failing, worth=3, key="failing_share"),
        Column(
            "OLDEST",
            lambda row: None if row.oldest_waiting is None else max(0.0, now - row.oldest_waiting),
            "seconds",
            worth=1,
            key="oldest_waiting_seconds",
        ),
        Column("LAST DEATH", lambda row: row.last_death, "time", worth=1, key="last_death"),
    )


def top_tasks(*, show_secrets: bool) -> tuple[Column[TopTask], ...]:
    shown = shown_text(show_secrets)

    def quantile(title: str, part: float) -> Column[TopTask]:

        # A duration for people; a pipe gets seconds.
        return Column(title, lambda row: row.duration(part), for_row=lambda row: text.quantile(row, part))

    return (
        Column("TASK", lambda row: shown(row.task), "id", may_be_cut=True, ample=32, least=20, worth=5),
        Column("BUSY", lambda row: row.busy_share, for_row=_busy, worth=4, key="busy_share"),
        Column("ACTIVE", lambda row: row.active, "number", worth=2, key="active"),
        Column("ENDED", lambda row: len(row.durations), "number", worth=1, key="ended"),
        quantile("P50", 0.5),
        quantile("P95", 0.95),
        quantile("MAX", 1.0),
    )


def _busy(row: TopTask) -> str | None:

    return text.share(row.busy_share)


def _failing(row: TaskStats) -> str | None:

    return text.share(row.failing_share)
