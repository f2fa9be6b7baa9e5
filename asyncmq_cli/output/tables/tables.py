"""Convert rows to a table for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec.structs import replace

from asyncmq_cli.models.values import chunked, counted
from asyncmq_cli.output.text.escape import escape, escape_name
from asyncmq_cli.output.text.times import date, duration, relative

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.segment import Segment
    from rich.text import Text

    from asyncmq_cli.output.tables.columns import Column


T = TypeVar("T")

_GAP = 2
_LONGEST_ID = 256
_LEAST_MODULE = 5
"""The shortest useful part of a module's name, in characters."""
_WIDE_TEXT = 60
"""Texts are cut to this many characters if all columns are shown."""

CAUTION = "dark_orange3"
"""The colour of warnings. Yellow cannot be read on a light background."""

STATE_STYLES = {
    "active": "cyan",
    "completed": "green",
    "success": "green",
    "failed": "red",
    "expired": "red",
    "delayed": CAUTION,
    "paused": CAUTION,
    "waiting-children": CAUTION,
    "cancelled": "dim",
    "empty": "dim",
    "overdue": "red",
    "stuck": "red",
    "no worker": "red",
    "critical": "red",
    "unknown": "red",
    "unreadable": "red",
    "healthy": "green",
    "aging": CAUTION,
    "stale": "red",
    "error": "red",
    "warning": CAUTION,
}


def table(
    rows: Iterable[T],
    columns: Sequence[Column[T]],
    *,
    now: float,
    width: int,
    utc: bool = False,
    full: bool = False,
) -> tuple[Lines, list[str]]:
    """A table that fits into `width`, and the titles of the columns that were left out. Texts are cut.

    The table is wider than `width` only if an id, which must not be cut, does not fit.
    """
    (drawn,), left_out = tables(rows, columns, now=now, width=width, utc=utc, full=full)
    return drawn, left_out


def tables(
    rows: Iterable[T],
    columns: Sequence[Column[T]],
    *,
    now: float,
    width: int,
    utc: bool = False,
    full: bool = False,
    every: bool = False,
    at_a_time: int | None = None,
) -> tuple[Iterator[Lines], list[str]]:
    """The same as several tables of `at_a_time` rows, one below the other: for a row, rich needs many times
    the memory of its text. With `every`, no column is left out and only long texts are cut, so the tables may
    be wider."""
    if every:
        columns = [_kept(column) for column in columns]
    empty = {column.title for column in columns if column.if_any}
    # Render a column only once if --fields names it twice.
    titled = {column.title: column for column in columns}
    natural = {title: len(title) for title in titled}
    # Keep only the shown texts of a row, then their styles, joined by NUL, which none of them contains.
    kept: list[str] = []
    for row in rows:
        cells = [cell(column, row, now, width=width, utc=utc, full=full) for column in titled.values()]
        for (title, column), text in zip(titled.items(), cells, strict=True):
            natural[title] = max(natural[title], text.cell_len)
            if title in empty and column.value(row) is not None:
                empty.remove(title)
        kept.append("\0".join([*(text.plain for text in cells), *(str(text.style) for text in cells)]))
    columns = [column for column in columns if column.title not in empty]
    widths = (_fitting if every else widths_of)(columns, natural, width)
    shown = [column for column in columns if column.title in widths]
    places = {title: number for number, title in enumerate(titled)}
    drawn = (
        _drawn(some, shown, widths, places, has_header=number == 0)
        for number, some in enumerate(chunked(kept, at_a_time or max(1, len(kept))) if kept else [[]])
    )
    return drawn, [column.title for column in columns if column not in shown]


def _drawn(
    rows: Sequence[str],
    columns: Sequence[Column[T]],
    widths: Mapping[str, int],
    places: Mapping[str, int],
    *,
    has_header: bool,
) -> Lines:
    lines: list[list[tuple[str, str]]] = []
    if has_header:
        lines.append(_line([(column.title, "bold", column) for column in columns], widths))
    for row in rows:
        parts = row.split("\0")
        at = [places[column.title] for column in columns]
        cells = [
            (parts[place], parts[len(places) + place], column)
            for place, column in zip(at, columns, strict=True)
        ]
        lines.append(_line(cells, widths))
    return Lines(lines)


def _line(cells: Sequence[tuple[str, str, Column[T]]], widths: Mapping[str, int]) -> list[tuple[str, str]]:
    from rich.cells import cell_len

    line: list[tuple[str, str]] = []
    for text, style, column in cells:
        room = widths[column.title]
        shown = cut_text(text, room, column)
        blank = " " * (room - cell_len(shown))
        line += [(blank + shown if is_numeric(column) else shown + blank, style), (" " * _GAP, "")]
    return line[:-1]


class Lines:
    """Lines of texts with their styles, for rich. Rich's own table takes three times as long to draw, because
    it measures each cell again."""

    def __init__(self, lines: Sequence[Sequence[tuple[str, str]]]) -> None:
        self.lines = lines

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        from rich.segment import Segment

        for line in self.lines:
            for text, style in line:
                yield Segment(text, console.get_style(style) if style else None)
            yield Segment.line()


def cell(column: Column[T], row: T, now: float, *, width: int, utc: bool = False, full: bool = False) -> Text:
    """A value as people see it, with its colour. It is not yet cut, but not much longer than `width`."""
    from rich.text import Text

    alarming = column.alarm is not None and column.alarm(row)
    style = "red" if alarming else _style(column, column.value(row))
    value = column.for_people(row)
    if isinstance(value, str) and not full:
        value = _bounded(column, value, max(width, _LONGEST_ID))
    return Text(human(column, value, now, utc=utc), style=style)


def widths_of(columns: Sequence[Column[T]], natural: Mapping[str, int], width: int) -> dict[str, int]:
    """By title, the widths of the columns that have room. `natural` has the width that each column would
    need."""
    return _fitting(_affordable(columns, natural, width), natural, width)


def is_numeric(column: Column[T]) -> bool:
    """Whether the column's cells are aligned to the right."""
    return column.kind in ("number", "seconds")


def _kept(column: Column[T]) -> Column[T]:
    """The same column, as it is shown if no column is left out."""
    room = _WIDE_TEXT if column.kind == "text" else _LONGEST_ID
    return replace(column, wide=False, ample=room, least=room)


def more_columns(count: int, remedy: str) -> str:
    """The line below a table with fewer than all columns."""
    return f"+ {counted(count, 'column')}: {remedy}"


def _bounded(column: Column[T], value: str, room: int) -> str:
    """The part of a text that can be shown. An id, which is never cut to fit, is shortened only beyond 256
    characters."""
    if column.kind == "id" and len(value) > _LONGEST_ID:
        return shortened(value, _LONGEST_ID)
    if len(value) <= 4 * room:
        return value
    return value[: 4 * room] if column.kind == "text" else f"{value[: 2 * room]}…{value[-2 * room :]}"


def cut_text(text: str, room: int, column: Column[T]) -> str:
    """The text of a cell, shortened to `room` characters as its column allows."""
    from rich.cells import cell_len, set_cell_size

    if cell_len(text) <= room:
        return text
    if column.kind == "path":
        text = shortened_path(text, room)
    if column.kind in ("id", "name"):
        text = shortened(text, room)
    return text if cell_len(text) <= room else f"{set_cell_size(text, room - 1)}…"


def shortened(name: str, room: int) -> str:
    """The name without its middle part, because names differ at the beginning and at the end."""
    from rich.cells import cell_len, chop_cells

    if cell_len(name) <= room:
        return name
    begin = chop_cells(name, max(1, room // 2))[0]
    end = chop_cells(name[::-1], max(1, room - 1 - cell_len(begin)))[0][::-1]
    return f"{begin}…{end}"


def shortened_path(path: str, room: int) -> str:
    """The path without the middle of its module: `company…tasks.send_mail`. The last part is not cut if
    possible."""
    from rich.cells import cell_len

    if cell_len(path) <= room:
        return path
    module, dot, last = path.rpartition(".")
    left = room - cell_len(last) - 1
    if not dot or left < _LEAST_MODULE:
        return _last_of(last, room, dot)
    begin, _, end = shortened(module, left).partition("…")
    return f"{begin.rstrip('.')}…{end.lstrip('.')}.{last}"


def _last_of(last: str, room: int, dot: str) -> str:
    from rich.cells import cell_len

    return f"…{last}" if dot and cell_len(last) < room else shortened(last, room)


def _affordable(columns: Sequence[Column[T]], natural: Mapping[str, int], width: int) -> list[Column[T]]:
    """The columns that fit. A column is shown with readable values, or left out."""
    shown = list(columns)
    for column in _by_worth(columns):
        if column.wide and _total([_ample(each, natural) for each in shown]) > width:
            shown.remove(column)
    for column in _by_worth(columns):
        is_the_name = column.kind == "id" and not column.wide and not column.may_be_cut
        spare = column in shown and len(shown) > 1 and not is_the_name
        if spare and _total([_least(each, natural) for each in shown]) > width:
            shown.remove(column)
    return shown


def _fitting(columns: Sequence[Column[T]], natural: Mapping[str, int], width: int) -> dict[str, int]:
    """The widths of the columns. A value that cannot be cut may make the table wider than the terminal,
    because an id in two pieces would be useless."""
    widths = {column.title: natural[column.title] for column in columns}
    # Cut texts before names: part of a sentence says more than part of a name.
    in_turn = sorted(_by_worth(columns), key=lambda column: column.kind in ("name", "path"))
    for enough in (_ample, _least):
        for column in in_turn:
            excess = _total(list(widths.values())) - width
            if excess > 0:
                title = column.title
                widths[title] = min(widths[title], max(enough(column, natural), widths[title] - excess))
    return widths


def _by_worth(columns: Sequence[Column[T]]) -> list[Column[T]]:
    """The columns, the least important first."""
    return [column for _, column in sorted(enumerate(columns), key=lambda pair: (pair[1].worth, -pair[0]))]


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * (len(widths) - 1)


def _ample(column: Column[T], natural: Mapping[str, int]) -> int:
    whole = natural[column.title]
    return min(whole, max(column.ample, _least(column, natural))) if column.is_elastic else whole


def _least(column: Column[T], natural: Mapping[str, int]) -> int:
    """The least width of a column, which is never less than its title."""
    whole = natural[column.title]
    return min(whole, max(column.least, len(column.title))) if column.is_elastic else whole


def human(column: Column[T], value: Any, now: float, *, utc: bool = False) -> str:
    if value is None or value == "":
        return "-"
    if column.kind == "time" and not isinstance(value, str):
        return date(value) if utc else relative(value, now, units=1)
    if column.kind == "seconds":
        return duration(value)
    if column.kind == "number" and isinstance(value, int | float):
        return f"{value:,}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return (escape_name if column.kind in ("id", "name", "path") else escape)(str(value))


def _style(column: Column[T], value: Any) -> str:
    if column.kind == "state":
        # The state `paused` may be followed by the time that is left.
        return STATE_STYLES.get(str(value)) or STATE_STYLES.get(str(value).partition(" ")[0], "")
    if column.kind == "number" and column.title in ("FAILED", "EXPIRED", "DEAD") and value:
        return "red"
    return "dim" if value in (None, "", 0) else ""
