"""The lines above and below the tables of a refreshed screen: trends, the time, and warnings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from asyncmq_cli.output.redaction.redact import redact_text
from asyncmq_cli.output.tables.tables import CAUTION
from asyncmq_cli.output.terminal import charts
from asyncmq_cli.output.text.escape import escape
from asyncmq_cli.output.text.times import clock

if TYPE_CHECKING:
    from asyncmq_cli.models.monitoring.snapshots import Trend
    from asyncmq_cli.output.terminal.viewport import Viewport


def trends(trend: Trend, viewport: Viewport, *, is_current: bool) -> Any:
    """One line with throughput, backlog and failures: a sparkline of each, and its current value if known."""
    from rich.text import Text

    series = []
    for title, times, values in (
        ("done/min", trend.times[1:], trend.throughput),
        ("backlog", trend.times, trend.backlog),
        ("failed/min", trend.times[1:], trend.failures),
    ):
        value = _short(values[-1] if values and is_current else None)
        room = viewport.width // 3 - len(title) - len(value) - 4
        drawable = viewport.blocks and room > 0
        line = charts.sparkline(charts.resampled(times, values, room), room) if drawable else ""
        series.append(" ".join(filter(None, (title, line, value))))
    whole = Text("  ".join(series), style="dim")
    whole.truncate(viewport.width, overflow="ellipsis")
    return whole


def as_of(now: float, every: str, *, is_old: bool, utc: bool = False) -> Any:
    """The line with the time of the snapshot, in red if the snapshot is old."""
    from rich.text import Text

    time = clock(now, utc=utc)
    return Text(f"as of {time}", style="bold red") if is_old else Text(f"{time}, {every}", style="dim")


def remarks(problem: str | None, warnings: Sequence[str], *, where: str = "") -> list[Any]:
    """One line with the problem, else with the latest warning; empty if there is neither. `where` is the
    address of Redis, which is moved to the end of the line, because a narrow terminal cuts the end."""
    from rich.text import Text

    if problem is not None:
        place = f" at {where}"
        if where and place in problem:
            problem = f"{problem.replace(place, '', 1)} ({where})"
        return [Text(f"trying again: {escape(redact_text(problem))}", style="bold red")]
    if not warnings:
        return []
    more = f" (and {len(warnings) - 1} more)" if len(warnings) > 1 else ""
    return [Text(f"warning{more}: {escape(redact_text(warnings[-1]))}", style=CAUTION)]


def _short(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"
