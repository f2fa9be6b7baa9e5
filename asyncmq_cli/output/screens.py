"""What fills a screen: the overview, and the trends under a table that is watched.

Every part is one that rich can draw, and as many lines high as it says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from asyncmq_cli.output import charts, views
from asyncmq_cli.output.escape import escape
from asyncmq_cli.output.pictures import DISTRIBUTION
from asyncmq_cli.output.redact import redact_text
from asyncmq_cli.output.tables import table
from asyncmq_cli.output.times import clock, date, relative

if TYPE_CHECKING:
    from asyncmq_cli.models.pictures import Picture, Trend
    from asyncmq_cli.models.workers import WorkerPage
    from asyncmq_cli.output.columns import Column
    from asyncmq_cli.output.printer import Printer

T = TypeVar("T")

_QUEUES = views.titled(views.QUEUES, "QUEUES")
_WORKERS = views.titled(views.WORKERS, "WORKERS")
_JOBS = views.titled(views.LATEST_JOBS, "LATEST JOBS")
_SHORT = {"waiting-children": "children"}
_ALWAYS_TOLD = ("waiting", "active", "failed")
_GAP = 2
_LEAST_BAR = 8
_LEAST_QUEUES, _LEAST_WORKERS, _LEAST_JOBS = 3, 1, 3


@dataclass(frozen=True, slots=True)
class Canvas:
    """`blocks`: whether there is more than ASCII to draw with; `solid`: and colours. `utc`: times are
    shown as dates."""

    width: int
    height: int
    solid: bool
    blocks: bool
    utc: bool = False


def canvas_for(out: Printer, *, width: int | None = None, height: int | None = None) -> Canvas:
    """The printer's terminal, or a part of it."""
    return Canvas(
        width=out.width if width is None else width,
        height=out.height if height is None else height,
        solid=out.in_color and out.has_blocks,
        blocks=out.has_blocks,
        utc=out.utc,
    )


def head(picture: Picture, canvas: Canvas, corner: Any = None) -> Any:
    """One line: the totals, the distribution of the states as a bar, and `corner` at its end."""
    from rich.text import Text

    line = Text.assemble((_totals(picture), "bold"))
    room = canvas.width - line.cell_len - _GAP - (corner.cell_len + _GAP if corner else 0)
    known = {state: count for state, count in _distribution(picture).items() if count}
    if known and room >= _LEAST_BAR:
        line.append(" " * _GAP)
        line.append_text(charts.bar(known, width=room, solid=canvas.solid))
    if corner:
        line.append(" " * _GAP)
        line.append_text(corner)
    return line


def overview(picture: Picture, canvas: Canvas) -> list[Any]:
    """The whole picture under its head, on one screen; what has no room is counted."""
    queues, workers, jobs = picture.stats or (), picture.workers or (), picture.latest_jobs or ()
    parts = [*_legend(picture, canvas), _activity(picture, canvas)]
    room = canvas.height - len(parts)
    shown = allot(room, [len(queues), len(workers), len(jobs)], [_LEAST_QUEUES, _LEAST_WORKERS, _LEAST_JOBS])
    parts += _section(queues, _QUEUES, shown[0], picture.now, canvas)
    parts += _section(workers, _WORKERS, shown[1], picture.now, canvas)
    parts += _section(jobs, _JOBS, shown[2], picture.now, canvas)
    return parts


def whole(picture: Picture, canvas: Canvas) -> list[Any]:
    """The overview with its head, and a line left for what the shell says next."""
    return [head(picture, canvas), *overview(picture, replace(canvas, height=canvas.height - 2))]


def allot(room: int, wanted: Sequence[int], least: Sequence[int]) -> list[int]:
    """How many rows each section shows. A section has a line for its titles, and one for what was
    left out; an empty one has neither. The last sections are the last to be cut."""
    given = list(wanted)

    def height() -> int:
        return sum(
            count + 1 + (count < all_of_them)
            for count, all_of_them in zip(given, wanted, strict=True)
            if all_of_them
        )

    for index, enough in enumerate(least):
        while height() > room and given[index] > enough:
            given[index] -= 1
    return given


def _totals(picture: Picture) -> str:
    queues = len(picture.stats or ())
    return ", ".join(
        (
            _counted(queues, "queue"),
            _counted(picture.total_jobs, "job"),
            _counted(picture.total_workers, "worker"),
        )
    )


def _counted(count: int | None, noun: str) -> str:
    if count is None:
        return f"an unknown number of {noun}s"
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _distribution(picture: Picture) -> dict[str, int | None]:
    return {state: picture.count(state) for state in DISTRIBUTION}


def _legend(picture: Picture, canvas: Canvas) -> list[Any]:
    """What the parts of the bar are, on as many lines as it takes."""
    from rich.text import Text

    lines = [Text()]
    for state, count in _distribution(picture).items():
        if count == 0 and state not in _ALWAYS_TOLD:
            continue
        sign = "█" if canvas.solid else charts.letter(state)
        shown = "?" if count is None else f"{count:,}"
        told = Text.assemble((sign, charts.state_style(state)), " ", _SHORT.get(state, state), " ", shown)
        if lines[-1] and lines[-1].cell_len + _GAP + told.cell_len > canvas.width:
            lines.append(Text())
        lines[-1].append(" " * _GAP if lines[-1] else "")
        lines[-1].append_text(told)
    return lines


def _activity(picture: Picture, canvas: Canvas) -> Any:
    from rich.text import Text

    def when(moment: float) -> str:
        return "-" if not moment else date(moment) if canvas.utc else relative(moment, picture.now, units=1)

    found = [f"{escape(queue.name)} {when(queue.active_at)}" for queue in picture.latest_queues or ()]
    line = Text(f"latest queues: {', '.join(found) or 'none'}")
    line.truncate(canvas.width, overflow="ellipsis")
    return line


def _section(
    rows: Sequence[T], columns: Sequence[Column[T]], count: int, now: float, canvas: Canvas
) -> list[Any]:
    from rich.text import Text

    if not rows:
        return []
    drawn, _ = table(rows[:count], columns, now=now, width=canvas.width, utc=canvas.utc)
    left_out = len(rows) - count
    return [drawn, *([Text(f"… and {left_out:,} more", style="dim")] if left_out else [])]


def trends(trend: Trend, canvas: Canvas) -> Any:
    """Throughput, backlog and failures, as they were and as they are, on one line."""
    from rich.text import Text

    told = []
    for title, values in (
        ("done/min", trend.throughput),
        ("backlog", trend.backlog),
        ("failed/min", trend.failures),
    ):
        value = _short(values[-1] if values else None)
        room = canvas.width // 3 - len(title) - len(value) - 4
        line = charts.sparkline(values, room) if canvas.blocks and room > 0 else ""
        told.append(" ".join(filter(None, (title, line, value))))
    return Text("  ".join(told), style="dim")


def as_of(now: float, every: str, *, is_old: bool, utc: bool = False) -> Any:
    """When the picture was taken."""
    from rich.text import Text

    time = clock(now, utc=utc)
    return Text(f"as of {time}", style="bold red") if is_old else Text(f"{time}, {every}", style="dim")


def remarks(problem: str | None, warnings: Sequence[str]) -> list[Any]:
    """What is wrong with the picture; nothing where nothing is."""
    from rich.text import Text

    if problem is not None:
        return [Text(f"trying again: {escape(redact_text(problem))}", style="bold red")]
    if not warnings:
        return []
    more = f" (and {len(warnings) - 1} more)" if len(warnings) > 1 else ""
    return [Text(f"warning{more}: {escape(redact_text(warnings[-1]))}", style="yellow")]


def _short(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


def watched(rows: Sequence[T], columns: Sequence[Column[T]], now: float, canvas: Canvas) -> list[Any]:
    """As many rows of a table as there is room for."""
    from rich.text import Text

    if not rows:
        return [Text("nothing to show", style="dim")]
    return _section(rows, columns, allot(canvas.height, [len(rows)], [1])[0], now, canvas)


def workers(page: WorkerPage, now: float, canvas: Canvas) -> list[Any]:
    """The list of workers, what they are all in all, and which queues have none."""
    from rich.text import Text

    told = [Text(views.worker_footer(page), style="dim")]
    if page.unattended:
        names = ", ".join(map(escape, page.unattended))
        told.append(Text(f"no live worker, and jobs wait: {names}", style="yellow"))
    return [
        *watched(page.workers, views.WORKERS, now, replace(canvas, height=canvas.height - len(told))),
        *told,
    ]
