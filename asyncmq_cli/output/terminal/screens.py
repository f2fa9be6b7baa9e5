"""Full screens: the overview and the watched lists.

Each part is a renderable of rich whose height in lines is known beforehand.
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
# AGE says the same as HEARTBEAT.
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
"""Until everything fits, one after the other: the section to shorten, and to how many rows."""
_FIELDS = "--fields"


def head(snapshot: Snapshot, viewport: Viewport, corner: Any = None) -> Any:
    """One line: the context, totals, a bar of the states, and `corner` at the end."""
    from rich.text import Text

    line = Text.assemble((_totals(snapshot), "bold"))
    if viewport.context:
        style = f"bold reverse {viewport.context_color}".rstrip()
        line = Text.assemble((f" {viewport.context} ", style), " ", line)
    room = viewport.width - line.cell_len - _GAP - (corner.cell_len + _GAP if corner else 0)
    known = {state: count for state, count in _distribution(snapshot).items() if count}
    if known and room >= _LEAST_BAR:
        line.append(" " * _GAP)
        line.append_text(charts.bar(known, width=room, solid=viewport.solid))
    if corner:
        line.append(" " * _GAP)
        line.append_text(corner)
    return line


def overview(snapshot: Snapshot, viewport: Viewport) -> list[Any]:
    """Everything below the head, on one screen; rows and columns without room are counted."""
    above = [*legend(snapshot, viewport), *_activity(snapshot, viewport)]
    sections: list[Section[Any]] = [
        Section("queue", _QUEUES, snapshot.stats or (), trouble),
        Section("worker", _WORKERS, snapshot.workers or ()),
        Section("job", _JOBS, snapshot.latest_jobs or ()),
    ]
    return [
        *above,
        *drawn(sections, CUTS, snapshot.now, replace(viewport, height=viewport.height - len(above))),
    ]


def whole(snapshot: Snapshot, viewport: Viewport) -> list[Any]:
    """The overview with its head, leaving one line for the shell's next prompt."""
    line = head(snapshot, viewport)
    line.truncate(viewport.width, overflow="ellipsis")
    return [line, *overview(snapshot, replace(viewport, height=viewport.height - 2))]


def trouble(row: QueueStats) -> tuple[Any, ...] | None:
    """How much trouble a queue is in, as a sort key: first waiting jobs without a worker, then failed jobs.
    None if it is in none."""
    if not views.is_unattended(row) and row.failed == 0:
        return None
    return views.is_unattended(row), row.failed is None, row.failed or 0, row.waiting or 0


def _totals(snapshot: Snapshot) -> str:
    queues = len(snapshot.stats or ())
    return ", ".join(
        (
            counted(queues, "queue"),
            counted(snapshot.total_jobs, "job"),
            counted(snapshot.total_workers, "worker"),
        )
    )


def _distribution(snapshot: Snapshot) -> dict[str, int | None]:
    return {state: snapshot.count(state) for state in DISTRIBUTION}


def legend(snapshot: Snapshot, viewport: Viewport) -> list[Any]:
    """What the parts of the bar stand for, on as many lines as needed."""
    from rich.text import Text

    lines = [Text()]
    for state, count in _distribution(snapshot).items():
        if count == 0 and state not in _ALWAYS_TOLD:
            continue
        sign = "█" if viewport.solid else charts.letter(state)
        shown = "?" if count is None else f"{count:,}"
        item = Text.assemble((sign, charts.state_style(state)), " ", _SHORT.get(state, state), " ", shown)
        if lines[-1] and lines[-1].cell_len + _GAP + item.cell_len > viewport.width:
            lines.append(Text())
        lines[-1].append(" " * _GAP if lines[-1] else "")
        lines[-1].append_text(item)
    return lines


def _activity(snapshot: Snapshot, viewport: Viewport) -> list[Any]:
    from rich.text import Text

    found = [
        f"{_name(queue.name, viewport)} {_when(queue.active_at, snapshot.now, utc=viewport.utc)}"
        for queue in snapshot.latest_queues or ()
    ]
    return [Text(line) for line in listed("latest queues:", found or ["none"], viewport.width, lines=2)]


def _name(name: str, viewport: Viewport) -> str:
    """The name, shortened so that 16 characters are left on its line."""
    return shortened(escape_name(name), max(8, viewport.width - 16))


def _when(moment: float, now: float, *, utc: bool) -> str:
    """As short as possible: an age such as `3s`, or with `utc` the time of day, or the date if it is another
    day."""
    if not moment:
        return "-"
    if not utc:
        return relative(moment, now, units=1).removesuffix(" ago")
    day, time = date(moment).split(" ") if date(moment) != "-" else ("-", "")
    return time if date(now).startswith(day) else day


def queues(
    rows: Sequence[QueueStats], columns: Sequence[Column[QueueStats]], now: float, viewport: Viewport
) -> list[Any]:
    """The list of queues, as far as it fits."""
    return _watched(Section("queue", columns, rows, trouble, _FIELDS), now, viewport)


def workers(page: WorkerPage, columns: Sequence[Column[Worker]], now: float, viewport: Viewport) -> list[Any]:
    """The list of workers, their totals, and the queues that have none."""
    from rich.text import Text

    below = [dim(views.worker_footer(page), viewport)]
    if page.folded:
        below.insert(0, dim(views.folded_workers(page), viewport))
    if page.unattended:
        names = [_name(name, viewport) for name in page.unattended]
        lines = listed("no live worker, and jobs wait:", names, viewport.width, lines=2)
        below += [Text(line, style=CAUTION) for line in lines]
    section = Section("worker", columns, page.workers, remedy=_FIELDS)
    return [*_watched(section, now, replace(viewport, height=viewport.height - len(below))), *below]


def _watched(section: Section[Any], now: float, viewport: Viewport) -> list[Any]:
    if not section.rows:
        return [dim("nothing to show", viewport)]
    return drawn([section], [(0, 0)], now, viewport)


T = TypeVar("T")


@dataclass(frozen=True)
class Section(Generic[T]):
    """A table. If not all rows fit, those with the most `trouble` stay, in their order. `trouble` returns a
    sort key, or something false if the row is in none."""

    noun: str
    columns: Sequence[Column[T]]
    rows: Sequence[T]
    trouble: Callable[[T], Any] | None = None
    remedy: str = "widen the terminal"

    def parts(self, count: int, now: float, viewport: Viewport) -> list[Any]:
        if not self.rows:
            return []
        shown, hidden = self._chosen(count)
        drawn, left_out = table(shown, self.columns, now=now, width=viewport.width, utc=viewport.utc)
        notes = []
        if hidden:
            notes.append(self._left_out(hidden))
        if shown and left_out:
            notes.append(more_columns(len(left_out), self.remedy))
        return [*([drawn] if shown else []), *(dim(note, viewport) for note in notes)]

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
    sections: Sequence[Section[Any]], cuts: Sequence[tuple[int, int]], now: float, viewport: Viewport
) -> list[Any]:
    """As many rows of each section as fit."""
    wanted = [len(section.rows) for section in sections]

    def within(room: int) -> list[Any]:
        given = allot(room, wanted, cuts)
        return [
            part
            for section, count in zip(sections, given, strict=True)
            for part in section.parts(count, now, viewport)
        ]

    room = viewport.height
    parts = within(room)
    # The lines that count missing columns need room too.
    while room > 0 and sum(map(_height, parts)) > viewport.height:
        room -= 1
        parts = within(room)
    while parts and sum(map(_height, parts)) > viewport.height:
        parts.pop()
    return parts


def _height(part: Any) -> int:
    return part.row_count + 1 if hasattr(part, "row_count") else 1


def allot(room: int, wanted: Sequence[int], cuts: Sequence[tuple[int, int]]) -> list[int]:
    """How many rows each section shows in `room` lines. A section also has a line of titles, and one that
    counts the rows left out; an empty section has neither. `cuts`: which section is shortened to how many
    rows, in turn."""
    given = [min(count, max(0, room)) for count in wanted]

    def height() -> int:
        return sum(
            count + bool(count) + (count < all_of_them)
            for count, all_of_them in zip(given, wanted, strict=True)
        )

    for index, enough in cuts:
        while height() > room and given[index] > enough:
            given[index] -= 1
    # "… and 1 more" would take as much room as the row itself.
    return [most if 0 < count == most - 1 else count for count, most in zip(given, wanted, strict=True)]
