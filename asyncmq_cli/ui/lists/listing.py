"""A table of any length that is drawn row by row, so that only visible rows are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.binding import Binding
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from asyncmq_cli.output.tables.tables import cell, cut_text, is_numeric, more_columns, widths_of

if TYPE_CHECKING:
    from textual import events

    from asyncmq_cli.output.tables.columns import Column

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_GAP = 2
_GUTTER = 2
"""The width of the signs before a row, for the cursor and for marks."""
_HEAD = 1


class Rows(Protocol[T_co]):
    """The rows of a listing. `now` is the time from which ages are computed, in epoch seconds."""

    @property
    def total(self) -> int: ...

    @property
    def now(self) -> float: ...

    def row(self, at: int) -> T_co | None:
        """The row at position `at`; None if it has not been read yet. In that case it is requested."""
        ...


class Held(Generic[T]):
    """Rows that are completely in memory."""

    def __init__(self, rows: Sequence[T], now: float) -> None:
        self._rows = rows
        self.now = now

    @property
    def total(self) -> int:
        return len(self._rows)

    def row(self, at: int) -> T | None:
        return self._rows[at] if 0 <= at < len(self._rows) else None


class Listing(ScrollView, Generic[T], can_focus=True):
    """A table with a cursor. `key` identifies a row, so that the cursor stays on it when the rows are read
    again."""

    DEFAULT_CSS = """
    Listing { height: 1fr; scrollbar-size-horizontal: 0; overflow-x: hidden; }
    """

    BINDINGS: ClassVar = [
        Binding("up,k", "move(-1)", "up", show=False),
        Binding("down,j", "move(1)", "down", show=False),
        Binding("pageup,ctrl+b", "page(-1)", "page up", show=False),
        Binding("pagedown,ctrl+f", "page(1)", "page down", show=False),
        Binding("home,g", "first", "first", show=False),
        Binding("end,G", "last", "last", show=False),
        Binding("enter", "open", "open", show=False),
    ]

    class Opened(Message):
        """Posted after Enter, or after a click on the row at the cursor."""

        def __init__(self, row: Any) -> None:
            super().__init__()
            self.row = row

    class Moved(Message):
        """Posted when the cursor is on another row, or when other columns have room."""

        def __init__(self, *, is_other_row: bool) -> None:
            super().__init__()
            self.is_other_row = is_other_row

    def __init__(
        self,
        columns: Sequence[Column[T]],
        key: Callable[[T], Any],
        *,
        empty: str = "nothing here",
    ) -> None:
        super().__init__()
        self.columns: Sequence[Column[T]] = columns
        self.rows: Rows[T] = Held([], 0.0)
        self.cursor = 0
        self.empty = empty
        self.is_stale = False
        self.utc = False
        self.marks: dict[Any, T] = {}
        """The marked rows, by their keys."""
        self.marks_all = False
        """Whether the whole list is marked, including rows that have not been read yet."""
        self._key = key
        self._opens = False
        """Whether Enter was pressed on a row that is still being read."""
        self._natural: dict[str, int] = {}
        self._said: str | None = None
        self._cells: dict[int, dict[str, Text]] = {}

    # Rows.

    def show(self, rows: Rows[T], columns: Sequence[Column[T]] | None = None, *, again: bool = True) -> None:
        """Show these rows. `again` says that they are the same list that was read again, so that the cursor
        stays on its row."""
        before = self.current if again else None
        if columns is not None and columns != self.columns:
            self.columns = columns
            self._natural.clear()
        self.rows = rows
        if not again:
            self.cursor = 0
            self._natural.clear()
            self.scroll_to(y=0, animate=False)
        elif before is not None:
            self._find(before)
        self.is_stale = False
        self.redraw()

    def redraw(self) -> None:
        """Redraw after rows have arrived, or after their number has changed."""
        self._cells.clear()
        self.cursor = max(0, min(self.cursor, self.rows.total - 1))
        self.virtual_size = Size(self.size.width, self.rows.total + _HEAD)
        self.refresh()
        if self._opens and self.current is not None:
            self.action_open()

    def _find(self, before: T) -> None:
        """Move the cursor to the nearest row that is the same as before."""
        if isinstance(self.rows, Held):
            near = range(max(0, self.cursor - 200), min(self.cursor + 200, self.rows.total))
            rows = ((at, self.rows.row(at)) for at in near)
            same = [at for at, row in rows if row is not None and self._key(row) == self._key(before)]
            self.cursor = min(same, key=lambda at: abs(at - self.cursor), default=self.cursor)

    @property
    def current(self) -> T | None:
        """The row at the cursor, if it has been read; else None."""
        return self.rows.row(self.cursor) if 0 <= self.cursor < self.rows.total else None

    @property
    def left_out(self) -> str | None:
        """The remark about columns that have no room, or None."""
        missing = len(self.columns) - len(self._widths()) if self._natural else 0
        return more_columns(missing, "f chooses") if missing else None

    # Drawing.

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if y == 0:
            self._measure()
            if self.left_out != self._said:
                self._said = self.left_out
                self.post_message(self.Moved(is_other_row=False))
            return self._strip(self._titles(), width)
        at = y - _HEAD + self.scroll_offset.y
        if at >= self.rows.total:
            text = f"  {self.empty}" if self.rows.total == 0 and y == 1 else ""
            return self._strip(Text(text, style="dim"), width)
        line = self._line(at)
        if at == self.cursor:
            # Use one colour for the whole line: on the cursor's bar, other colours are hard to read.
            line = Text(line.plain, style=Style(reverse=True) if self.has_focus else Style(bold=True))
            line.pad_right(max(0, width - line.cell_len))
        elif self.is_stale:
            line.stylize("dim")
        return self._strip(line, width)

    def _strip(self, line: Text, width: int) -> Strip:
        line.no_wrap = True
        # Textual's filters, such as the one for NO_COLOR, expect a style on every part.
        plain = Style.null()
        parts = (part for part in line.render(self.app.console) if part.text != "\n")
        strip = Strip([Segment(part.text, part.style or plain) for part in parts])
        return strip.adjust_cell_length(width, plain)

    def _titles(self) -> Text:
        line = Text(" " * _GUTTER, style="bold")
        for column, room in self._shown():
            line.append_text(_placed(Text(column.title), room, right=is_numeric(column)))
        return line

    def _line(self, at: int) -> Text:
        line = Text(self.sign(at))
        cells = self._cells_of(at)
        if cells is None:
            return line.append("…", style="dim")
        for column, room in self._shown():
            text = cells[column.title].copy()
            text.plain = cut_text(text.plain, room, column)
            line.append_text(_placed(text, room, right=is_numeric(column)))
        return line

    def sign(self, at: int) -> str:
        """The two characters before a row, which show whether the cursor is on it and whether it is
        marked."""
        row = self.rows.row(at) if self.marks else None
        is_marked = self.marks_all or (row is not None and self._key(row) in self.marks)
        mark = "*" if is_marked else " "
        return (">" if at == self.cursor else " ") + mark

    def _shown(self) -> list[tuple[Column[T], int]]:
        widths = self._widths()
        return [(column, widths[column.title]) for column in self.columns if column.title in widths]

    def _widths(self) -> dict[str, int]:
        natural = {
            column.title: self._natural.get(column.title, len(column.title)) for column in self.columns
        }
        return widths_of(self.columns, natural, max(1, self.size.width - _GUTTER))

    def _measure(self) -> None:
        """Update the widths of the columns. They only grow while the user scrolls, so that columns do not
        jump."""
        start = self.scroll_offset.y
        for at in range(start, min(self.rows.total, start + self.size.height)):
            for title, text in (self._cells_of(at) or {}).items():
                self._natural[title] = max(self._natural.get(title, len(title)), text.cell_len)

    def _cells_of(self, at: int) -> dict[str, Text] | None:
        if at not in self._cells:
            row = self.rows.row(at)
            if row is None:
                return None
            if len(self._cells) > 500:
                self._cells.clear()
            self._cells[at] = {
                column.title: cell(column, row, self.rows.now, width=self.size.width, utc=self.utc)
                for column in self.columns
            }
        return self._cells[at]

    # Keys and the mouse.

    def _go(self, at: int) -> None:
        before, self.cursor = self.cursor, max(0, min(at, self.rows.total - 1))
        self._opens = False
        room = max(1, self.size.height - _HEAD)
        top = self.scroll_offset.y
        if self.cursor < top:
            top = self.cursor
        elif self.cursor >= top + room:
            top = self.cursor - room + 1
        self.scroll_to(y=top, animate=False)
        self.refresh()
        if before != self.cursor:
            self.post_message(self.Moved(is_other_row=True))

    def action_move(self, by: int) -> None:
        self._go(self.cursor + by)

    def unmark(self) -> bool:
        """Remove all marks. Returns whether there were any."""
        had = bool(self.marks) or self.marks_all
        self.marks.clear()
        self.marks_all = False
        self.refresh()
        return had

    def toggle_mark(self) -> None:
        """Mark or unmark the row at the cursor, and move to the next row."""
        row = self.current
        if row is not None:
            key = self._key(row)
            if self.marks.pop(key, None) is None:
                self.marks[key] = row
            self._go(self.cursor + 1)

    def action_page(self, by: int) -> None:
        self._go(self.cursor + by * max(1, self.size.height - _HEAD - 1))

    def action_first(self) -> None:
        self._go(0)

    def action_last(self) -> None:
        self._go(self.rows.total - 1)

    def action_open(self) -> None:
        current = self.current
        self._opens = current is None and self.cursor < self.rows.total
        if current is not None:
            self.post_message(self.Opened(current))

    def on_click(self, event: events.Click) -> None:
        at = event.y - _HEAD + self.scroll_offset.y
        if event.y < _HEAD or at >= self.rows.total:
            return
        if at == self.cursor:
            self.action_open()
        self._go(at)

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

    def on_resize(self) -> None:
        self.redraw()
        self._go(self.cursor)


def _placed(text: Text, room: int, *, right: bool) -> Text:
    """The cell padded to its column's width, with the gap after it."""
    missing = max(0, room - text.cell_len)
    if right:
        text = Text(" " * missing).append_text(text)
        missing = 0
    return text.append(" " * (missing + _GAP))
