"""What fills a screen: the overview, and the lists that are watched.

Every part is one that rich can draw, and as many lines high as it says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from asyncmq_cli.output import charts, views
from asyncmq_cli.output.canvas import Canvas, dim, listed
from asyncmq_cli.output.counts import counted
from asyncmq_cli.output.escape import escape_name
from asyncmq_cli.output.pictures import DISTRIBUTION
from asyncmq_cli.output.sections import Section, drawn
from asyncmq_cli.output.tables import CAUTION, shortened
from asyncmq_cli.output.times import date, relative

if TYPE_CHECKING:
    from asyncmq_cli.models.pictures import Picture
    from asyncmq_cli.models.queues import QueueStats
    from asyncmq_cli.models.workers import Worker, WorkerPage
    from asyncmq_cli.output.columns import Column

_QUEUES = views.titled(views.on_screen(views.QUEUES), "QUEUES")
# The age says it as well, in every terminal.
_WORKERS = views.titled(
    [column for column in views.on_screen(views.WORKERS) if column.title != "HEARTBEAT"], "WORKERS"
)
_JOBS = views.titled(views.on_screen(views.LATEST_JOBS), "LATEST JOBS")
_SHORT = {"waiting-children": "children"}
_ALWAYS_TOLD = ("waiting", "active", "failed")
_GAP = 2
_LEAST_BAR = 8
_OF_QUEUES, _OF_WORKERS, _OF_JOBS = range(3)
CUTS = (
    *((_OF_JOBS, 5), (_OF_WORKERS, 3), (_OF_QUEUES, 5)),
    *((_OF_WORKERS, 1), (_OF_JOBS, 3), (_OF_QUEUES, 3)),
    *((_OF_JOBS, 1), (_OF_JOBS, 0), (_OF_WORKERS, 0)),
    *((_OF_QUEUES, 1), (_OF_QUEUES, 0)),
)
"""Which section goes down to how many rows, in turn, until all have room."""
_FIELDS = "--fields chooses"


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
    above = [*_legend(picture, canvas), *_activity(picture, canvas)]
    sections: list[Section[Any]] = [
        Section("queue", _QUEUES, picture.stats or (), _trouble),
        Section("worker", _WORKERS, picture.workers or ()),
        Section("job", _JOBS, picture.latest_jobs or ()),
    ]
    return [
        *above,
        *drawn(sections, CUTS, picture.now, replace(canvas, height=canvas.height - len(above))),
    ]


def whole(picture: Picture, canvas: Canvas) -> list[Any]:
    """The overview with its head, and a line left for what the shell says next."""
    line = head(picture, canvas)
    line.truncate(canvas.width, overflow="ellipsis")
    return [line, *overview(picture, replace(canvas, height=canvas.height - 2))]


def _trouble(row: QueueStats) -> tuple[Any, ...] | None:
    """The more of it the greater: jobs that wait for a worker that is not there, then failed ones."""
    if not views.is_unattended(row) and row.failed == 0:
        return None
    return views.is_unattended(row), row.failed is None, row.failed or 0, row.waiting or 0


def _totals(picture: Picture) -> str:
    queues = len(picture.stats or ())
    return ", ".join(
        (
            counted(queues, "queue"),
            counted(picture.total_jobs, "job"),
            counted(picture.total_workers, "worker"),
        )
    )


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


def _activity(picture: Picture, canvas: Canvas) -> list[Any]:
    from rich.text import Text

    found = [
        f"{_name(queue.name, canvas)} {_when(queue.active_at, picture.now, utc=canvas.utc)}"
        for queue in picture.latest_queues or ()
    ]
    return [Text(line) for line in listed("latest queues:", found or ["none"], canvas.width, lines=2)]


def _name(name: str, canvas: Canvas) -> str:
    """So much of it that it has room on a line, with what is said of it."""
    return shortened(escape_name(name), max(8, canvas.width - 16))


def _when(moment: float, now: float, *, utc: bool) -> str:
    """As short as can be: `3s` is an age; the time of a day that is not today is not told."""
    if not moment:
        return "-"
    if not utc:
        return relative(moment, now, units=1).removesuffix(" ago")
    day, time = date(moment).split(" ") if date(moment) != "-" else ("-", "")
    return time if date(now).startswith(day) else day


def queues(
    rows: Sequence[QueueStats], columns: Sequence[Column[QueueStats]], now: float, canvas: Canvas
) -> list[Any]:
    """As much of the list of queues as there is room for."""
    return _watched(Section("queue", columns, rows, _trouble, _FIELDS), now, canvas)


def workers(page: WorkerPage, columns: Sequence[Column[Worker]], now: float, canvas: Canvas) -> list[Any]:
    """The list of workers, what they are all in all, and which queues have none."""
    from rich.text import Text

    told = [dim(views.worker_footer(page), canvas)]
    if page.folded:
        told.insert(0, dim(views.folded_workers(page), canvas))
    if page.unattended:
        names = [_name(name, canvas) for name in page.unattended]
        lines = listed("no live worker, and jobs wait:", names, canvas.width, lines=2)
        told += [Text(line, style=CAUTION) for line in lines]
    section = Section("worker", columns, page.workers, remedy=_FIELDS)
    return [*_watched(section, now, replace(canvas, height=canvas.height - len(told))), *told]


def _watched(section: Section[Any], now: float, canvas: Canvas) -> list[Any]:
    if not section.rows:
        return [dim("nothing to show", canvas)]
    return drawn([section], [(0, 0)], now, canvas)
