"""Tasks: the columns and documents of `tasks list` and `tasks top`, and the lines of a single task."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from asyncmq_cli.models.monitoring.tasks import INTERVAL
from asyncmq_cli.models.values import counted
from asyncmq_cli.output.tables.columns import Column
from asyncmq_cli.output.tables.views import shown_text
from asyncmq_cli.output.text.escape import escape
from asyncmq_cli.output.text.times import duration, relative, rfc3339

if TYPE_CHECKING:
    from asyncmq_cli.models.monitoring.tasks import TaskReport, TaskStats, TopReport, TopTask
    from asyncmq_cli.output.json.documents import Document


def _count(value: int, *, is_estimate: bool) -> str:
    """A count as text; an estimate is rounded to three digits: `~12,300`."""
    if not is_estimate:
        return f"{value:,}"
    digits = max(0, len(str(value)) - 3)
    return f"~{round(value, -digits):,}"


def _share(value: float | None) -> str | None:
    """A share as text, such as `12 %`. A small share is `< 1 %`, not 0."""
    if value is None:
        return None
    return "< 1 %" if 0 < value < 0.01 else f"{value:.0%}".replace("%", " %")


def sampled(report: TaskReport) -> str:
    """The note about the states that were sampled, with the sizes of the samples and the error margin."""
    parts = [f"{state} {one.read:,} of {one.size:,}" for state, one in report.sampled.items()]
    margin = max(one.margin for one in report.sampled.values())
    return f"from random samples (±{margin:.0%} of the state): {', '.join(parts)}".replace("%", " %", 1)


def task_lines(row: TaskStats, report: TaskReport, *, show_secrets: bool) -> Iterator[str]:
    """The lines of one task."""
    now = report.read_at
    pairs = [("Task", shown_text(show_secrets)(row.task or "-"))]
    pairs += [
        (state.capitalize(), _count(number, is_estimate=state in report.sampled))
        for state, number in row.counts.items()
    ]
    pairs.append(("Failing", _share(row.failing_share) or "-"))
    if row.oldest_waiting is not None:
        pairs.append(("Oldest waits", duration(max(0.0, now - row.oldest_waiting))))
    if row.last_death is not None:
        pairs.append(("Last death", f"{rfc3339(row.last_death)} ({relative(row.last_death, now)})"))
    if row.durations:
        known = [(word, row.duration(part)) for word, part in (("half", 0.5), ("95 %", 0.95), ("all", 1.0))]
        took = ", ".join(f"{word} within {_seconds(value)}" for word, value in known if value is not None)
        pairs.append(("Died after", f"{took} ({len(row.durations):,} dead jobs)"))
    for title, value in pairs:
        yield f"{title + ':':<14}{escape(value)}"


def _seconds(value: float) -> str:
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s" if value < 10 else duration(value)


def _quantile(row: TopTask, part: float) -> str | None:
    """A percentile as text, such as `1.2 s`, or `< 50 ms` if it is below the interval between two reads."""
    if row.is_below(part):
        return f"< {INTERVAL * 1000:.0f} ms"
    value = row.duration(part)
    return None if value is None else _seconds(value)


def top_footer(report: TopReport) -> str:
    seen = sum(row.seen for row in report.tasks)
    return f"{counted(seen, 'job')} seen in {report.seconds:.1f} s, in {report.reads:,} reads"


def tasks(report: TaskReport | None = None, *, show_secrets: bool) -> tuple[Column[TaskStats], ...]:
    """The columns of `tasks list`. For people, estimates have a ~."""
    shown = shown_text(show_secrets)
    now = 0.0 if report is None else report.read_at

    def number(state: str, **given: Any) -> Column[TaskStats]:
        is_estimate = report is not None and state in report.sampled
        return Column(
            state.upper(),
            lambda row: row.counts[state],
            "number",
            for_row=(lambda row: _count(row.counts[state], is_estimate=True)) if is_estimate else None,
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
        Column(
            "FAILING",
            lambda row: row.failing_share,
            for_row=lambda row: _share(row.failing_share),
            worth=3,
            key="failing_share",
        ),
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
        # People see a duration with a unit; a pipe gets seconds.
        return Column(title, lambda row: row.duration(part), for_row=lambda row: _quantile(row, part))

    return (
        Column("TASK", lambda row: shown(row.task), "id", may_be_cut=True, ample=32, least=20, worth=5),
        Column(
            "BUSY",
            lambda row: row.busy_share,
            for_row=lambda row: _share(row.busy_share),
            worth=4,
            key="busy_share",
        ),
        Column("ACTIVE", lambda row: row.active, "number", worth=2, key="active"),
        Column("ENDED", lambda row: len(row.durations), "number", worth=1, key="ended"),
        quantile("P50", 0.5),
        quantile("P95", 0.95),
        quantile("MAX", 1.0),
    )


def task_document(row: TaskStats, report: TaskReport, *, show_secrets: bool) -> Document:
    """One task. Durations are the seconds from the last attempt to the death, of dead jobs."""
    return {
        "task": shown_text(show_secrets)(row.task),
        **row.counts,
        "failing_share": row.failing_share,
        "oldest_waiting_seconds": None
        if row.oldest_waiting is None
        else max(0.0, report.read_at - row.oldest_waiting),
        "last_death": row.last_death,
        "time": rfc3339(row.last_death),
        "durations": {
            "jobs": len(row.durations),
            "p50": row.duration(0.5),
            "p95": row.duration(0.95),
            "max": row.duration(1.0),
        },
    }


def tasks_document(report: TaskReport, *, show_secrets: bool) -> Document:
    return {
        "queue": report.queue,
        "timestamp": report.read_at,
        "sampled": {
            state: {"size": one.size, "read": one.read, "margin": one.margin}
            for state, one in report.sampled.items()
        },
        "tasks": [task_document(row, report, show_secrets=show_secrets) for row in report.tasks],
    }


def top_document(report: TopReport, *, show_secrets: bool) -> Document:
    return {
        "queue": report.queue,
        "timestamp": report.began,
        "time": rfc3339(report.began),
        "seconds": report.seconds,
        "looks": report.reads,
        "interval_seconds": report.interval,
        "tasks": [top_task_document(row, show_secrets=show_secrets) for row in report.tasks],
    }


def top_task_document(row: TopTask, *, show_secrets: bool) -> Document:
    """One task of `tasks top`. Durations are seconds; null if they are below the interval, or if no job has
    ended."""
    return {
        "task": shown_text(show_secrets)(row.task),
        "busy_share": row.busy_share,
        "concurrency": row.concurrency,
        "active": row.active,
        "seen": row.seen,
        "ended": len(row.durations),
        "below_interval": row.below,
        "p50": row.duration(0.5),
        "p95": row.duration(0.95),
        "max": row.duration(1.0),
    }
