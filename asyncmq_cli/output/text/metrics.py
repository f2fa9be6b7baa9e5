"""Write metrics for people: totals, rates, charts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from asyncmq_cli.output.json.snapshots import DASHBOARD_STATES
from asyncmq_cli.output.tables.columns import Column
from asyncmq_cli.output.tables.tables import table
from asyncmq_cli.output.terminal import charts
from asyncmq_cli.output.terminal.viewport import Viewport, viewport_for
from asyncmq_cli.output.text.times import clock, duration, moment, rfc3339

if TYPE_CHECKING:
    from asyncmq_cli.models.monitoring.snapshots import MetricsSnapshot, Rates, Trend
    from asyncmq_cli.output.printer import Printer


HISTORY: tuple[Column[MetricsSnapshot], ...] = (
    Column("TIME", lambda row: row.timestamp, "time"),
    Column("WAITING", lambda row: row.waiting, "number"),
    Column("ACTIVE", lambda row: row.active, "number"),
    Column("DELAYED", lambda row: row.delayed, "number"),
    Column("FAILED", lambda row: row.failed, "number"),
    Column("COMPLETED", lambda row: row.completed, "number"),
    Column("QUEUES", lambda row: row.total_queues, "number"),
    Column("WORKERS", lambda row: row.total_workers, "number"),
)
_CHART_HEIGHT = 9
_LEAST_CHART, _WIDEST_CHART = 48, 120
_GAP = 2
_A_DAY = 86400.0
_NOT_KNOWN = "unknown: jobs were removed or retried meanwhile"


def lines(snapshot: MetricsSnapshot, rates: Rates) -> list[str]:
    """The lines of `metrics show`: one pair of title and value per line."""
    pairs = [("Time", rfc3339(snapshot.timestamp) or "-")]
    pairs += [(state.capitalize(), _number(getattr(snapshot, state))) for state in DASHBOARD_STATES]
    pairs += [("Queues", _number(snapshot.total_queues)), ("Workers", _number(snapshot.total_workers))]
    pairs += _pace(rates) if snapshot.is_whole else [("Rates", "unknown: a count could not be read")]
    return [f"{title + ':':<16}{value}" for title, value in pairs]


def frame(found: tuple[MetricsSnapshot, Rates], viewport: Viewport) -> list[Any]:
    """The same for a screen of --watch."""
    from rich.text import Text

    return [Text(line) for line in lines(*found)[: viewport.height]]


def _pace(rates: Rates) -> list[tuple[str, str]]:
    if rates.window_seconds is None:
        return [("Rates", "unknown until there are two snapshots")]
    return [
        ("Completed/min", _rate(rates.completed_per_minute)),
        ("Failed/min", _rate(rates.failed_per_minute)),
        ("Backlog/min", _backlog(rates)),
        ("Measured over", f"{duration(rates.window_seconds)}, {rates.snapshots:,} snapshots"),
    ]


def _backlog(rates: Rates) -> str:
    growth, left = rates.backlog_per_minute, rates.seconds_until_empty
    if growth is None:
        return _NOT_KNOWN if left is None else "it is empty"
    return f"{growth:+,.1f} ({_until_empty(left)})"


def _until_empty(left: float | None) -> str:
    if left is None:
        return "not shrinking"
    return f"empty in {duration(left)}" if left else "it is empty"


def _rate(rate: float | None) -> str:
    return _NOT_KNOWN if rate is None else f"{rate:,.1f}"


def _number(count: int | None) -> str:
    return "-" if count is None else f"{count:,}"


def print_history(out: Printer, snapshots: Sequence[MetricsSnapshot], trend: Trend, *, now: float) -> None:
    """Print the table, newest first, with charts beside it, or below it on a narrow terminal."""
    from rich.text import Text

    if not snapshots:
        out.footer("no snapshots; 'asyncmq metrics record' adds one, and so does 'asyncmq metrics show'")
        return
    viewport = viewport_for(out)
    columns = _columns(snapshots, now=now, utc=viewport.utc)
    drawn, left_out = table(snapshots, columns, now=now, width=viewport.width, utc=viewport.utc)
    rows = [Text.from_ansi(line) for line in out.drawn(drawn)]
    taken = max(row.cell_len for row in rows) + _GAP
    if out.fields or left_out or viewport.width - taken < _LEAST_CHART:
        out.rows(snapshots, columns, now=now)
        for line in _charts(trend, viewport):
            out.line(line)
        return
    lines = _charts(trend, replace(viewport, width=viewport.width - taken))
    # The first rows may have scrolled off the screen, so print the charts beside the last ones.
    above = max(0, len(rows) - len(lines)) if len(rows) >= viewport.height else 0
    for row, line in zip_longest(rows, ["" for _ in range(above)] + lines):
        beside = Text(" ") if row is None else row
        beside.pad_right(taken - beside.cell_len)
        out.draw(beside.append(line or ""))


def _columns(
    snapshots: Sequence[MetricsSnapshot], *, now: float, utc: bool
) -> tuple[Column[MetricsSnapshot], ...]:
    """The columns, with clock times: ages would be the same for whole screens."""
    if utc or not snapshots:
        return HISTORY
    is_long = now - snapshots[-1].timestamp > _A_DAY
    shown = moment if is_long else clock
    return (Column("TIME", lambda row: shown(row.timestamp), "id"), *HISTORY[1:])


def _charts(trend: Trend, viewport: Viewport) -> list[str]:
    if not viewport.blocks:
        return []
    series = (
        charts.Series("jobs waiting", trend.backlog, whole=True),
        charts.Series("jobs completed a minute", [None, *trend.throughput][: len(trend.times)]),
    )
    width = min(viewport.width, _WIDEST_CHART)
    return charts.over_time(trend.times, series, width=width, height=_CHART_HEIGHT, utc=viewport.utc)
