"""The base classes of all lists of the screen, with their filter, order, columns and reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

from textual.containers import Vertical
from textual.widgets import Static

from asyncmq_cli.models.values import counted
from asyncmq_cli.output.tables.columns import chosen, in_order_of
from asyncmq_cli.output.tables.tables import human
from asyncmq_cli.ui.lists.listing import Held, Listing
from asyncmq_cli.ui.lists.rows import RowsInSight, StreamedRows

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from asyncmq_cli.cli.session import Session
    from asyncmq_cli.errors import AdminError
    from asyncmq_cli.models.monitoring.snapshots import Snapshot
    from asyncmq_cli.output.tables.columns import Column
    from asyncmq_cli.ui.app import OperatorApp
    from asyncmq_cli.ui.pages.page import Page
    from asyncmq_cli.ui.plans.plan import Plan

T = TypeVar("T")


class Pane(Vertical, Generic[T]):
    """A list with its filter (`text`), its order and its chosen columns."""

    noun: ClassVar[str] = "row"
    hint: ClassVar[str] = "/ filter  s sort  : palette  ? keys  q quit"
    """The text of the last line of the first page: the keys of this list."""
    filter_help: ClassVar[str] = "text to search for"
    empty: ClassVar[str] = "nothing here"

    def __init__(self, name: str) -> None:
        super().__init__(id=name)
        self.text = ""
        self.order: str | None = None
        self.fields: list[str] = []
        self.listing: Listing[T] = Listing([], self.key, empty="")

    @property
    def ui(self) -> OperatorApp:
        """The application."""
        return cast("OperatorApp", self.app)

    @property
    def owner(self) -> Page:
        """The page that the list is on."""
        return cast("Page", self.screen)

    def compose(self) -> ComposeResult:
        self.listing.utc = self.ui.session.out.utc
        self.listing.columns = self.columns
        yield self.listing

    # Methods and values that each list overrides.

    @property
    def every_column(self) -> Sequence[Column[T]]:
        """All columns that the list can show."""
        raise NotImplementedError

    def key(self, row: T) -> Any:
        """The value that identifies a row."""
        raise NotImplementedError

    def label(self, row: T) -> str:
        """The text that `y` copies for a row."""
        return str(self.key(row))

    async def load(self) -> None:
        """Read the list from its beginning. Raises AdminError."""

    def followed(self, snapshot: Snapshot) -> None:
        """Update the list from a new snapshot."""

    def open(self, row: T) -> None:
        """Open a row, when Enter is pressed."""

    async def open_tree(self, row: T) -> None:
        """Open a row as a tree if it is a job, when `o` is pressed. Raises AdminError."""

    async def whole(self, row: T) -> str | None:
        """The JSON that `Y` copies for a row; None if there is no more data than the row shows."""
        return None

    def orders(self) -> Sequence[str]:
        """The orders that `s` offers."""
        return [column.field for column in self.every_column]

    def command(self) -> list[str]:
        """The words of the command that prints the same list."""
        raise NotImplementedError

    @property
    def state(self) -> str:
        """A description of what the list shows, for the line below it."""
        return ""

    @property
    def progress(self) -> str | None:
        """The progress of a running search as text, or None."""
        return None

    @property
    def is_reading(self) -> bool:
        """Whether rows are being read in the background, after `load`."""
        return False

    def halt(self) -> bool:
        """Stop a running search. Returns whether there was one."""
        return False

    def close(self) -> None:
        """Stop reading, because the page is left."""

    deeds: ClassVar[tuple[str, ...]] = ()
    """The changes that can be made to its rows."""
    takes_all: ClassVar[bool] = False
    """Whether the whole list can be changed at once, by the filter that selects it."""

    def plan(self, verb: str) -> Callable[[Session], Plan] | None:
        """A function that makes the plan of a change of the marked rows, for a call in a lane; None if there
        are no rows. Raises UsageProblem."""
        return None

    def deed(self, verb: str) -> tuple[str, list[str]]:
        """The title of that change in the palette, and the words of the command line that makes it; no words
        if there is nothing to change."""
        return verb, []

    # Methods that all lists share.

    @property
    def columns(self) -> Sequence[Column[T]]:
        """The columns that are shown if there is room."""
        return chosen(self.every_column, self.fields) if self.fields else self.every_column

    def choose(self, fields: Sequence[str]) -> None:
        """Show only these columns, or all if `fields` is empty."""
        self.fields = list(fields)
        self.listing.show(self.listing.rows, self.columns)

    def targets(self) -> list[T]:
        """The marked rows, or else the row at the cursor."""
        if self.listing.marks:
            return list(self.listing.marks.values())
        current = self.listing.current
        return [] if current is None else [current]


class HeldPane(Pane[T]):
    """A list that is completely in memory. Its filter searches the text that its columns show."""

    filter_help = "rows that show this text"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.every: Sequence[T] = ()
        self.now = 0.0
        self.is_read = False

    def put(self, rows: Sequence[T], now: float) -> None:
        """Show the rows that pass the filter, in the chosen order."""
        self.every, self.now, self.is_read = rows, now, True
        self.rearrange()

    def rearrange(self) -> None:
        """Filter and sort the rows that have been read."""
        rows = [row for row in self.every if self._passes(row)]
        if self.order is not None:
            # The largest number comes first, and the first text.
            (column,) = chosen(self.every_column, [self.order])
            rows = in_order_of(rows, [column], f"{'-' if column.has_numbers else ''}{column.field}")
        self.listing.empty = self.empty if not self.text else f"no {self.noun} shows {self.text!r}"
        self.listing.show(Held(rows, self.now), self.columns)

    def _passes(self, row: T) -> bool:
        wanted = self.text.strip().lower()
        shown = (human(column, column.for_people(row), self.now) for column in self.every_column)
        return not wanted or any(wanted in text.lower() for text in shown)

    @property
    def state(self) -> str:
        shown, every = self.listing.rows.total, len(self.every)
        of = f" of {every:,}" if shown < every else ""
        return f"{counted(shown, self.noun)}{of} with {self.text!r}" if self.text else ""


class RowsPane(Pane[T]):
    """A list of which only the visible rows are read from Redis."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.read_rows: RowsInSight[T] | None = None

    def opened(self, drawn: Callable[[], None], failed: Callable[[AdminError], None]) -> RowsInSight[T]:
        """The rows for the current filter and order. They are not read yet. Raises UsageProblem."""
        raise NotImplementedError

    async def load(self) -> None:
        self.close()
        rows = self.opened(self._drawn, self._failed)
        self.read_rows = rows
        await rows.read()
        if rows is self.read_rows:
            self.listing.empty = f"no {self.noun} matches" if self.text else self.empty
            self.listing.show(rows, self.columns, again=self.listing.columns == self.columns)

    def _drawn(self) -> None:
        if self.is_mounted:
            self.listing.redraw()
            self.owner.draw_frame()

    def _failed(self, error: AdminError) -> None:
        if self.is_mounted:
            self.owner.failed(error)

    @property
    def state(self) -> str:
        rows = self.read_rows
        if isinstance(rows, StreamedRows):
            found = counted(rows.found, self.noun)
            if rows.is_halted:
                return f"stopped after {rows.searched:,}: {found} found; r reads again"
            if not rows.found:
                return ""
            if rows.is_cut:
                return f"{self.listing.cursor + 1:,} of the first {found}; a filter narrows the list"
            if not rows.is_done and (total := self.known_total) is not None:
                found = counted(total, self.noun)
                return f"{self.listing.cursor + 1:,} of {found}, more are read as you scroll"
            return f"{self.listing.cursor + 1:,} of {found}{'' if rows.is_done else ' so far, more below'}"
        if rows is None or not rows.total:
            return ""
        return f"{self.listing.cursor + 1:,} of {counted(rows.total, self.noun)}"

    @property
    def progress(self) -> str | None:
        rows = self.read_rows
        if not isinstance(rows, StreamedRows) or not (self.text or self.order):
            return None
        return f"searching: {rows.searched:,} read, {rows.found:,} found"

    @property
    def known_total(self) -> int | None:
        """The number of rows of a list that has not been read to its end, if it is known."""
        return None

    @property
    def is_reading(self) -> bool:
        return self.read_rows is not None and self.read_rows.is_reading

    def halt(self) -> bool:
        rows = self.read_rows
        if not isinstance(rows, StreamedRows) or rows.is_done:
            return False
        rows.halt()
        return True

    def close(self) -> None:
        if self.read_rows is not None:
            self.read_rows.close()
            self.read_rows = None


def clickable(name: str) -> Static:
    """A line with clickable parts that keep their own colours, because the blue of textual's links is hard to
    read on black."""
    line = Static(id=name, markup=False)
    line.auto_links = False
    return line
