"""What fills a screen: the overview, and the lists that are watched.

Every part is one that rich can draw, and as many lines high as it says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from asyncmq_cli.output.json.snapshots import DISTRIBUTION
from asyncmq_cli.output.tables import views
from asyncmq_cli.output.tables.tables import CAUTION, counted, more_columns, shortened, table
from asyncmq_cli.output.terminal import charts
from asyncmq_cli.output.terminal.viewport import Viewport, dim, listed
from asyncmq_cli.output.text.escape import escape_name
from asyncmq_cli.output.text.times import date, relative

if TYPE_CHECKING:
    from asyncmq_cli.models.queues import QueueStats
    from asyncmq_cli.models.snapshots import Snapshot
    from asyncmq_cli.models.workers import Worker, WorkerPage
    from asyncmq_cli.output.tables.columns import Column
    from asyncmq_cli.output.terminal.viewport import Viewport


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
_FIELDS = "--fields"


def head(picture: Snapshot, canvas: Viewport, corner: Any = None) -> Any:
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


def overview(picture: Snapshot, canvas: Viewport) -> list[Any]:
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


def whole(picture: Snapshot, canvas: Viewport) -> list[Any]:
    """The overview with its head, and a line left for what the shell says next."""
    line = head(picture, canvas)
    line.truncate(canvas.width, overflow="ellipsis")
    return [line, *overview(picture, replace(canvas, height=canvas.height - 2))]


def _trouble(row: QueueStats) -> tuple[Any, ...] | None:
    """The more of it the greater: jobs that wait for a worker that is not there, then failed ones."""
    if not views.is_unattended(row) and row.failed == 0:
        return None
    return views.is_unattended(row), row.failed is None, row.failed or 0, row.waiting or 0


def _totals(picture: Snapshot) -> str:
    queues = len(picture.stats or ())
    return ", ".join(
        (
            counted(queues, "queue"),
            counted(picture.total_jobs, "job"),
            counted(picture.total_workers, "worker"),
        )
    )


def _distribution(picture: Snapshot) -> dict[str, int | None]:
    return {state: picture.count(state) for state in DISTRIBUTION}


def _legend(picture: Snapshot, canvas: Viewport) -> list[Any]:
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


def _activity(picture: Snapshot, canvas: Viewport) -> list[Any]:
    from rich.text import Text

    found = [
        f"{_name(queue.name, canvas)} {_when(queue.active_at, picture.now, utc=canvas.utc)}"
        for queue in picture.latest_queues or ()
    ]
    return [Text(line) for line in listed("latest queues:", found or ["none"], canvas.width, lines=2)]


def _name(name: str, canvas: Viewport) -> str:
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
    rows: Sequence[QueueStats], columns: Sequence[Column[QueueStats]], now: float, canvas: Viewport
) -> list[Any]:
    """As much of the list of queues as there is room for."""
    return _watched(Section("queue", columns, rows, _trouble, _FIELDS), now, canvas)


def workers(page: WorkerPage, columns: Sequence[Column[Worker]], now: float, canvas: Viewport) -> list[Any]:
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


def _watched(section: Section[Any], now: float, canvas: Viewport) -> list[Any]:
    if not section.rows:
        return [dim("nothing to show", canvas)]
    return drawn([section], [(0, 0)], now, canvas)


T = TypeVar("T")


@dataclass(frozen=True)
class Section(Generic[T]):
    """A table. Where not all of its rows have room, those of the most `trouble` stay, in their order.
    `trouble` is false where there is none."""

    noun: str
    columns: Sequence[Column[T]]
    rows: Sequence[T]
    trouble: Callable[[T], Any] | None = None
    remedy: str = "widen the terminal"

    def parts(self, count: int, now: float, canvas: Viewport) -> list[Any]:
        if not self.rows:
            return []
        shown, hidden = self._chosen(count)
        drawn, left_out = table(shown, self.columns, now=now, width=canvas.width, utc=canvas.utc)
        notes = []
        if hidden:
            notes.append(self._left_out(hidden))
        if shown and left_out:
            notes.append(more_columns(len(left_out), self.remedy))
        return [*([drawn] if shown else []), *(dim(note, canvas) for note in notes)]

    def _chosen(self, count: int) -> tuple[list[T], list[T]]:
        rows = self.rows
        places: Sequence[int] = range(len(rows))
        if self.trouble is not None and count < len(rows):
            trouble = self.trouble
            places = sorted(places, key=lambda place: trouble(rows[place]) or (), reverse=True)
        return [rows[place] for place in sorted(places[:count])], [rows[place] for place in places[count:]]

    def _left_out(self, hidden: Sequence[T]) -> str:
        text = f"… and {counted(len(hidden), f'more {self.noun}')}"
        troubled = 0 if self.trouble is None else sum(map(bool, map(self.trouble, hidden)))
        return f"{text}, {troubled:,} in trouble" if troubled else text


def drawn(
    sections: Sequence[Section[Any]], cuts: Sequence[tuple[int, int]], now: float, canvas: Viewport
) -> list[Any]:
    """As many rows of each as there is room for."""
    wanted = [len(section.rows) for section in sections]

    def within(room: int) -> list[Any]:
        given = allot(room, wanted, cuts)
        return [
            part
            for section, count in zip(sections, given, strict=True)
            for part in section.parts(count, now, canvas)
        ]

    room = canvas.height
    parts = within(room)
    # What is said of columns that have no room takes lines as well.
    while room > 0 and sum(map(_height, parts)) > canvas.height:
        room -= 1
        parts = within(room)
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
