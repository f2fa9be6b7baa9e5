"""What fills a screen: the overview, and the trends under a table that is watched.

Every part is one that rich can draw, and as many lines high as it says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from asyncmq_cli.output import charts, views
from asyncmq_cli.output.escape import escape
from asyncmq_cli.output.pictures import DISTRIBUTION
from asyncmq_cli.output.redact import redact_text
from asyncmq_cli.output.tables import CAUTION, no_room_for, shortened, table
from asyncmq_cli.output.times import clock, date, relative

if TYPE_CHECKING:
    from asyncmq_cli.models.pictures import Picture, Trend
    from asyncmq_cli.models.queues import QueueStats
    from asyncmq_cli.models.workers import Worker, WorkerPage
    from asyncmq_cli.output.columns import Column
    from asyncmq_cli.output.printer import Printer

T = TypeVar("T")

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
    above = [*_legend(picture, canvas), *_activity(picture, canvas)]
    sections: list[_Section[Any]] = [
        _Section("queue", _QUEUES, picture.stats or (), _trouble),
        _Section("worker", _WORKERS, picture.workers or ()),
        _Section("job", _JOBS, picture.latest_jobs or ()),
    ]
    return [
        *above,
        *_sections(sections, CUTS, picture.now, replace(canvas, height=canvas.height - len(above))),
    ]


def whole(picture: Picture, canvas: Canvas) -> list[Any]:
    """The overview with its head, and a line left for what the shell says next."""
    line = head(picture, canvas)
    line.truncate(canvas.width, overflow="ellipsis")
    return [line, *overview(picture, replace(canvas, height=canvas.height - 2))]


@dataclass(frozen=True)
class _Section(Generic[T]):
    """A table. Where not all of its rows have room, those of the most `trouble` stay, in their order.
    `trouble` is false where there is none."""

    noun: str
    columns: Sequence[Column[T]]
    rows: Sequence[T]
    trouble: Callable[[T], Any] | None = None
    remedy: str = ""

    def parts(self, count: int, now: float, canvas: Canvas) -> list[Any]:
        if not self.rows:
            return []
        shown, hidden = self._chosen(count)
        drawn, left_out = table(shown, self.columns, now=now, width=canvas.width, utc=canvas.utc)
        notes = []
        if hidden:
            notes.append(self._left_out(hidden))
        if shown and left_out:
            notes.append(_no_room(left_out, self.remedy, canvas.width))
        return [*([drawn] if shown else []), *(_dim(note, canvas) for note in notes)]

    def _chosen(self, count: int) -> tuple[list[T], list[T]]:
        rows = self.rows
        places: Sequence[int] = range(len(rows))
        if self.trouble is not None and count < len(rows):
            trouble = self.trouble
            places = sorted(places, key=lambda place: trouble(rows[place]) or (), reverse=True)
        return [rows[place] for place in sorted(places[:count])], [rows[place] for place in places[count:]]

    def _left_out(self, hidden: Sequence[T]) -> str:
        text = f"… and {len(hidden):,} more {self.noun}{'' if len(hidden) == 1 else 's'}"
        troubled = 0 if self.trouble is None else sum(map(bool, map(self.trouble, hidden)))
        return f"{text}, {troubled:,} in trouble" if troubled else text


def _no_room(titles: Sequence[str], remedy: str, width: int) -> str:
    """As many of them by name as a line has room for; their names are worth more than the remedy."""
    told = no_room_for(titles, remedy)
    for count in range(len(titles), 0, -1):
        if len(told) <= width:
            break
        rest = [f"{len(titles) - count} more"] if count < len(titles) else []
        told = no_room_for([*titles[:count], *rest])
    return told


def _trouble(row: QueueStats) -> tuple[Any, ...] | None:
    """The more of it the greater: jobs that wait for a worker that is not there, then failed ones."""
    if not views.is_unattended(row) and row.failed == 0:
        return None
    return views.is_unattended(row), row.failed is None, row.failed or 0, row.waiting or 0


def _sections(
    sections: Sequence[_Section[Any]], cuts: Sequence[tuple[int, int]], now: float, canvas: Canvas
) -> list[Any]:
    """As many rows of each as there is room for."""
    wanted = [len(section.rows) for section in sections]

    def drawn(room: int) -> list[Any]:
        given = allot(room, wanted, cuts)
        return [
            part
            for section, count in zip(sections, given, strict=True)
            for part in section.parts(count, now, canvas)
        ]

    parts = drawn(canvas.height)
    excess = sum(map(_height, parts)) - canvas.height
    # What is said of columns that have no room takes lines as well.
    parts = drawn(canvas.height - excess) if excess > 0 else parts
    while parts and sum(map(_height, parts)) > canvas.height:
        parts.pop()
    return parts


def _height(part: Any) -> int:
    return part.row_count + 1 if hasattr(part, "row_count") else 1


def allot(room: int, wanted: Sequence[int], cuts: Sequence[tuple[int, int]]) -> list[int]:
    """How many rows each section shows. A section has a line for its titles, and one for what was
    left out; an empty one has neither. `cuts` says which section goes down to how many rows, in turn."""
    given = [min(count, max(0, room)) for count in wanted]

    def height() -> int:
        return sum(
            count + bool(count) + (count < all_of_them)
            for count, all_of_them in zip(given, wanted, strict=True)
        )

    for index, enough in cuts:
        while height() > room and given[index] > enough:
            given[index] -= 1
    # The line for a single one that is left out is as high as that one.
    return [most if 0 < count == most - 1 else count for count, most in zip(given, wanted, strict=True)]


def _dim(text: str, canvas: Canvas) -> Any:
    from rich.text import Text

    line = Text(text, style="dim")
    line.truncate(canvas.width, overflow="ellipsis")
    return line


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


def _activity(picture: Picture, canvas: Canvas) -> list[Any]:
    from rich.text import Text

    found = [
        f"{_name(queue.name, canvas)} {_when(queue.active_at, picture.now, utc=canvas.utc)}"
        for queue in picture.latest_queues or ()
    ]
    return [Text(line) for line in _listed("latest queues:", found or ["none"], canvas.width, lines=2)]


def _name(name: str, canvas: Canvas) -> str:
    """So much of it that it has room on a line, with what is said of it."""
    return shortened(escape(name), max(8, canvas.width - 16))


def _when(moment: float, now: float, *, utc: bool) -> str:
    """As short as can be: `3s` is an age; the time of a day that is not today is not told."""
    if not moment:
        return "-"
    if not utc:
        return relative(moment, now, units=1).removesuffix(" ago")
    day, time = date(moment).split(" ") if date(moment) != "-" else ("-", "")
    return time if date(now).startswith(day) else day


def _listed(title: str, items: Sequence[str], width: int, *, lines: int) -> list[str]:
    """`title item, item`, on so many lines at most: items are whole or only counted."""
    for count in range(min(len(items), lines * width), -1, -1):
        rest = [f"{len(items) - count:,} more"] if count < len(items) else []
        packed = _packed(title, [*items[:count], *rest], width)
        if len(packed) <= lines:
            break
    return packed


def _packed(title: str, items: Sequence[str], width: int) -> list[str]:
    from rich.cells import cell_len

    lines = [title]
    for number, item in enumerate(items, 1):
        word = item if number == len(items) else f"{item},"
        if cell_len(lines[-1]) + 1 + cell_len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def trends(trend: Trend, canvas: Canvas) -> Any:
    """Throughput, backlog and failures, as they were and as they are, on one line."""
    from rich.text import Text

    told = []
    for title, times, values in (
        ("done/min", trend.times[1:], trend.throughput),
        ("backlog", trend.times, trend.backlog),
        ("failed/min", trend.times[1:], trend.failures),
    ):
        value = _short(values[-1] if values else None)
        room = canvas.width // 3 - len(title) - len(value) - 4
        drawable = canvas.blocks and room > 0
        line = charts.sparkline(charts.resampled(times, values, room), room) if drawable else ""
        told.append(" ".join(filter(None, (title, line, value))))
    return Text("  ".join(told), style="dim")


def as_of(now: float, every: str, *, is_old: bool, utc: bool = False) -> Any:
    """When the picture was taken."""
    from rich.text import Text

    time = clock(now, utc=utc)
    return Text(f"as of {time}", style="bold red") if is_old else Text(f"{time}, {every}", style="dim")


def remarks(problem: str | None, warnings: Sequence[str], *, where: str = "") -> list[Any]:
    """What is wrong with the picture; nothing where nothing is. `where` is Redis's address, of which
    a line may have no more than a part, so that it comes last."""
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


def queues(
    rows: Sequence[QueueStats], columns: Sequence[Column[QueueStats]], now: float, canvas: Canvas
) -> list[Any]:
    """As much of the list of queues as there is room for."""
    return _watched(_Section("queue", columns, rows, _trouble, _FIELDS), now, canvas)


def workers(page: WorkerPage, columns: Sequence[Column[Worker]], now: float, canvas: Canvas) -> list[Any]:
    """The list of workers, what they are all in all, and which queues have none."""
    from rich.text import Text

    told = [_dim(views.worker_footer(page), canvas)]
    if page.unattended:
        names = [_name(name, canvas) for name in page.unattended]
        lines = _listed("no live worker, and jobs wait:", names, canvas.width, lines=2)
        told += [Text(line, style=CAUTION) for line in lines]
    section = _Section("worker", columns, page.workers, remedy=_FIELDS)
    return [*_watched(section, now, replace(canvas, height=canvas.height - len(told))), *told]


def _watched(section: _Section[Any], now: float, canvas: Canvas) -> list[Any]:
    if not section.rows:
        return [_dim("nothing to show", canvas)]
    return _sections([section], [(0, 0)], now, canvas)
