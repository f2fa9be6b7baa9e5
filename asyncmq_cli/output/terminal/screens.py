"""Full screens: the overview, the lists of --watch, and the lines above and below them: trends, the time, and
warnings.

Each part is a renderable of rich whose height in lines is known before it is drawn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from asyncmq_cli.models.failures import NO_GROUPS
from asyncmq_cli.models.values import counted
from asyncmq_cli.output.json.snapshots import DISTRIBUTION
from asyncmq_cli.output.redaction.redact import redact_text
from asyncmq_cli.output.tables import failure_groups, views
from asyncmq_cli.output.tables.tables import CAUTION, Lines, more_columns, shortened, table
from asyncmq_cli.output.terminal import charts
from asyncmq_cli.output.terminal.viewport import Viewport, dim, listed
from asyncmq_cli.output.text.escape import escape, escape_name
from asyncmq_cli.output.text.times import clock

if TYPE_CHECKING:
    from rich.text import Text

    from asyncmq_cli.models.failures import FailureGroup, FailureGroups
    from asyncmq_cli.models.monitoring.snapshots import Snapshot, Trend
    from asyncmq_cli.models.queues import QueueStats
    from asyncmq_cli.models.workers import Worker, WorkerPage
    from asyncmq_cli.output.tables.columns import Column


PROBLEMS = views.titled([column for column in views.PROBLEMS if column.title != "SEVERITY"], "PROBLEMS")
_QUEUES = views.titled(views.on_screen(views.QUEUES), "QUEUES")
_JOBS = views.titled(views.on_screen(views.LATEST_JOBS), "LATEST JOBS")
_SHORT = {"waiting-children": "children"}
_ALWAYS_SHOWN = ("waiting", "active", "failed")
_GAP = 2
_LEAST_BAR = 8
_LEAST_PLACE = 16
_OF_PROBLEMS, _OF_CAUSES, _OF_QUEUES, _OF_JOBS = range(4)
CUTS = (
    *((_OF_JOBS, 5), (_OF_QUEUES, 8), (_OF_CAUSES, 5), (_OF_JOBS, 0)),
    *((_OF_QUEUES, 5), (_OF_PROBLEMS, 8), (_OF_CAUSES, 3), (_OF_QUEUES, 3), (_OF_PROBLEMS, 3)),
    *((_OF_QUEUES, 1), (_OF_CAUSES, 1), (_OF_QUEUES, 0), (_OF_CAUSES, 0)),
    *((_OF_PROBLEMS, 1), (_OF_PROBLEMS, 0)),
)
"""Steps that are taken one after the other until everything fits: the section to shorten, and its number of
rows."""
_FIELDS = "--fields"


def head(snapshot: Snapshot, viewport: Viewport, corner: Any = None, where: str = "") -> Any:
    """One line with the context, the totals and, if there is room, a bar of the states and the address of
    Redis (`where`). `corner` is at its end."""
    from rich.text import Text

    line = Text.assemble((_totals(snapshot), "bold"))
    if viewport.context:
        style = f"bold reverse {viewport.context_color}".rstrip()
        line = Text.assemble((f" {viewport.context} ", style), " ", line)
    room = viewport.width - line.cell_len - _GAP - (corner.cell_len + _GAP if corner else 0)
    place = shortened(escape(where), min(room, max(_LEAST_PLACE, viewport.width // 3)))
    place = place if room >= _LEAST_PLACE else ""
    room -= len(place) + _GAP if place else 0
    known = {state: count for state, count in _distribution(snapshot).items() if count}
    if known and room >= _LEAST_BAR:
        line.append(" " * _GAP)
        line.append_text(charts.bar(known, width=room, solid=viewport.solid))
    for part in (Text(place, style="dim"), corner):
        if part:
            line.append(" " * _GAP)
            line.append_text(part)
    return line


def overview(snapshot: Snapshot, viewport: Viewport) -> list[Any]:
    """Everything below the head line, on one screen. Rows and columns that have no room are counted."""
    above = [*legend(snapshot, viewport), *_all_is_well(snapshot, viewport)]
    workers = _workers(snapshot, viewport)
    causes, queues = (
        snapshot.causes or NO_GROUPS,
        sorted(snapshot.stats or (), key=lambda row: _rank(trouble(row))),
    )
    sections: list[Section[Any]] = [
        Section("problem", PROBLEMS, snapshot.problems or (), remedy="--json"),
        Section("cause", _causes(causes, viewport), causes.groups, note=_read(causes)),
        Section("queue", _QUEUES, queues, trouble),
        Section("job", _JOBS, snapshot.latest_jobs or (), is_spare=True),
    ]
    room = replace(viewport, height=viewport.height - len(above) - len(workers))
    return [*above, *drawn(sections, CUTS, snapshot.now, room, before_last=workers)]


def _rank(found: tuple[Any, ...] | None) -> tuple[Any, ...]:
    """A sort key that puts the worst trouble first."""
    return (found is None, *(-int(part) for part in found or ()))


def _all_is_well(snapshot: Snapshot, viewport: Viewport) -> list[Any]:
    if snapshot.problems is None or snapshot.problems:
        return []
    if not snapshot.stats:
        return [dim("no queues here: is it the right database?", viewport)]
    return [dim("no problems: no backlog without a worker, nothing stuck, overdue or growing", viewport)]


def _causes(found: FailureGroups, viewport: Viewport) -> Sequence[Column[FailureGroup]]:
    columns = failure_groups.groups(found, show_secrets=False, utc=viewport.utc)
    shown = ("group", "cause", "count", "first", "last", "queues")
    return views.titled([column for column in columns if column.field in shown], "CAUSES")


def _read(found: FailureGroups) -> str:
    """A note on the dead jobs that were counted, if not all were; else ""."""
    parts = []
    if found.latest is not None:
        parts.append(f"of the latest {found.latest:,} dead jobs of each queue")
    if found.queues_left_out:
        parts.append(f"not of {counted(found.queues_left_out, 'more queue')}")
    return f"{', '.join(parts)}; all: asyncmq dlq groups" if parts else ""


def _workers(snapshot: Snapshot, viewport: Viewport) -> list[Any]:
    """One line that summarises all workers."""
    from rich.text import Text

    of_health = Counter(worker.health for worker in snapshot.workers or ())
    of_health["silent"] = snapshot.silent_workers
    styles = {"aging": CAUTION, "silent": "red"}
    parts = [(f"{count:,} {health}", styles.get(health, "")) for health, count in of_health.items() if count]
    line = Text.assemble(("WORKERS", "bold"), "  ")
    for number, (part, style) in enumerate(parts or [("none", "")]):
        line.append(", " if number else "").append(part, style=style)
    room = sum(worker.concurrency or 0 for worker in snapshot.workers or ())
    line.append(f"; room for {counted(room, 'job')} at once" if room else "")
    line.truncate(viewport.width, overflow="ellipsis")
    return [line]


def whole(snapshot: Snapshot, viewport: Viewport, where: str = "") -> list[Any]:
    """The overview with its head line. One line is left free for the shell's next prompt. `where` is the
    address of Redis."""
    line = head(snapshot, viewport, where=where)
    line.truncate(viewport.width, overflow="ellipsis")
    return [line, *overview(snapshot, replace(viewport, height=viewport.height - 2))]


def trouble(row: QueueStats) -> tuple[Any, ...] | None:
    """A sort key for the trouble of a queue: first waiting jobs without a worker, then failed jobs; an
    unknown count is the worst. None if the queue is in no trouble."""
    if not row.is_unattended and row.finding is None and row.failed == 0:
        return None
    return row.is_unattended, row.finding is not None, row.failed is None, row.failed or 0, row.waiting or 0


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
    """The legend of the bar, on as many lines as needed. The gaps are narrower if that saves a line."""
    from rich.text import Text

    items = []
    for state, count in _distribution(snapshot).items():
        if count == 0 and state not in _ALWAYS_SHOWN:
            continue
        sign = "█" if viewport.solid else charts.letter(state)
        shown = "?" if count is None else f"{count:,}"
        items.append(
            Text.assemble((sign, charts.state_style(state)), " ", _SHORT.get(state, state), " ", shown)
        )
    loose, close = (_side_by_side(items, gap, viewport.width) for gap in (_GAP, 1))
    return close if len(close) < len(loose) else loose


def _side_by_side(items: Sequence[Text], gap: int, width: int) -> list[Any]:
    from rich.text import Text

    lines = [Text()]
    for item in items:
        if lines[-1] and lines[-1].cell_len + gap + item.cell_len > width:
            lines.append(Text())
        lines[-1].append(" " * gap if lines[-1] else "")
        lines[-1].append_text(item)
    return lines


def _name(name: str, viewport: Viewport) -> str:
    """The name, shortened so that 16 characters on its line stay free."""
    return shortened(escape_name(name), max(8, viewport.width - 16))


def queues(
    rows: Sequence[QueueStats], columns: Sequence[Column[QueueStats]], now: float, viewport: Viewport
) -> list[Any]:
    """The list of queues, with as many rows as fit."""
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


class Section(Struct, Generic[T], frozen=True):
    """A table on a screen. If not all rows fit, those with the worst `trouble` are kept, in order. `trouble`
    returns a sort key, or a false value for a row without trouble."""

    noun: str
    columns: Sequence[Column[T]]
    rows: Sequence[T]
    trouble: Callable[[T], Any] | None = None
    remedy: str = "widen the terminal"
    note: str = ""
    is_spare: bool = False
    """Whether the section is left out without a note if there is no room."""

    def parts(self, count: int, now: float, viewport: Viewport) -> list[Any]:
        if not self.rows:
            return []
        shown, hidden = self._chosen(count)
        drawn, left_out = table(shown, self.columns, now=now, width=viewport.width, utc=viewport.utc)
        more = []
        if hidden and not (self.is_spare and not shown):
            more.append(self._left_out(hidden))
        if shown and left_out:
            more.append(more_columns(len(left_out), self.remedy))
        notes = [self.note if shown else "", "; ".join(more)]
        return [*([drawn] if shown else []), *(dim(note, viewport) for note in notes if note)]

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
    sections: Sequence[Section[Any]],
    cuts: Sequence[tuple[int, int]],
    now: float,
    viewport: Viewport,
    *,
    before_last: Sequence[Any] = (),
) -> list[Any]:
    """The sections with as many rows as fit. `before_last` is drawn before the last section; the viewport's
    height does not include it."""
    wanted = [len(section.rows) for section in sections]

    def within(room: int) -> tuple[list[Any], list[Any]]:
        given = allot(room, wanted, cuts)
        parts = [section.parts(count, now, viewport) for section, count in zip(sections, given, strict=True)]
        return [part for some in parts[:-1] for part in some], parts[-1]

    room = viewport.height
    first, last = within(room)
    # The lines that count missing columns also need room.
    while room > 0 and sum(map(_height, [*first, *last])) > viewport.height:
        room -= 1
        first, last = within(room)
    while (first or last) and sum(map(_height, [*first, *last])) > viewport.height:
        (last or first).pop()
    return [*first, *before_last, *last]


def _height(part: Any) -> int:
    return len(part.lines) if isinstance(part, Lines) else 1


def allot(room: int, wanted: Sequence[int], cuts: Sequence[tuple[int, int]]) -> list[int]:
    """The number of rows that each section shows in `room` lines. A section also has a line of titles, and
    one that counts the rows left out; an empty section has neither. `cuts` are the steps of shortening, as in
    CUTS."""
    given = [min(count, max(0, room)) for count in wanted]

    def height() -> int:
        return sum(
            count + bool(count) + (count < all_of_them)
            for count, all_of_them in zip(given, wanted, strict=True)
        )

    for index, enough in cuts:
        while height() > room and given[index] > enough:
            given[index] -= 1
    # The line "… and 1 more" would take as much room as the row itself.
    return [most if 0 < count == most - 1 else count for count, most in zip(given, wanted, strict=True)]


def trends(trend: Trend, viewport: Viewport, *, is_current: bool) -> Any:
    """One line with throughput, backlog and failures: a sparkline of each, and its current value if known."""
    from rich.text import Text

    series = []
    for title, times, values in (
        ("done/min", trend.times[1:], trend.throughput),
        ("backlog", trend.times, trend.backlog),
        ("failed/min", trend.times[1:], trend.failures),
    ):
        value = _rate(values[-1] if values and is_current else None)
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


def _rate(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"
