"""What every list of the screen has: a filter, an order, columns, and a way to be read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

from textual.containers import Vertical
from textual.widgets import Static

from asyncmq_cli.output.tables.columns import chosen
from asyncmq_cli.output.tables.tables import counted, human
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
    """Its keys on the first page, for the last line."""
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

    # What each list says of itself.

    @property
    def every_column(self) -> Sequence[Column[T]]:
        """All columns that it can show."""
        raise NotImplementedError

    def key(self, row: T) -> Any:
        """What a row is known by."""
        raise NotImplementedError

    def label(self, row: T) -> str:
        """What `y` copies of a row."""
        return str(self.key(row))

    async def load(self) -> None:
        """Read it from its beginning. Raises AdminError."""

    def followed(self, snapshot: Snapshot) -> None:
        """Show what a new snapshot says."""

    def open(self, row: T) -> None:
        """What Enter does."""

    async def open_tree(self, row: T) -> None:
        """What `o` does: open the row as a tree, if it is a job. Raises AdminError."""

    async def whole(self, row: T) -> str | None:
        """What `Y` copies of a row: JSON. None where there is no more than the row."""
        return None

    def orders(self) -> Sequence[str]:
        """The orders that `s` offers."""
        return [column.field for column in self.every_column]

    def command(self) -> list[str]:
        """The words of the command that lists the same."""
        raise NotImplementedError

    @property
    def state(self) -> str:
        """What is shown, in words, for the line below the list."""
        return ""

    @property
    def progress(self) -> str | None:
        """How far a search is, while there is one."""
        return None

    def halt(self) -> bool:
        """Stop a running search; whether there was one."""
        return False

    def close(self) -> None:
        """Read no more: the page is left."""

    deeds: ClassVar[tuple[str, ...]] = ()
    """The changes that its rows take."""
    takes_all: ClassVar[bool] = False
    """Whether the whole list can be changed, by what selects it."""

    def plan(self, verb: str) -> Callable[[Session], Plan] | None:
        """What makes the plan of a change of the marked rows, called in a lane; None if there are none.
        Raises UsageProblem."""
        return None

    def deed(self, verb: str) -> tuple[str, list[str]]:
        """What the palette calls that change, and the words of the command line that makes it; none where
        there is nothing to change."""
        return verb, []

    # What they have in common.

    @property
    def columns(self) -> Sequence[Column[T]]:
        """Those that are shown, as far as there is room."""
        return chosen(self.every_column, self.fields) if self.fields else self.every_column

    def choose(self, fields: Sequence[str]) -> None:
        """Show these columns; all if there are none."""
        self.fields = list(fields)
        self.listing.show(self.listing.rows, self.columns)

    def targets(self) -> list[T]:
        """The marked rows, else that of the cursor."""
        if self.listing.marks:
            return list(self.listing.marks.values())
        current = self.listing.current
        return [] if current is None else [current]


class HeldPane(Pane[T]):
    """A list that is in memory as a whole: its filter is a search in what its columns show."""

    filter_help = "rows that show this text"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.every: Sequence[T] = ()
        self.now = 0.0
        self.is_read = False

    def put(self, rows: Sequence[T], now: float) -> None:
        """Show these rows, as far as they pass the filter, in the chosen order."""
        self.every, self.now, self.is_read = rows, now, True
        self.rearrange()

    def rearrange(self) -> None:
        """Filter and sort the rows already read."""
        rows = [row for row in self.every if self._passes(row)]
        if self.order is not None:
            field = self.order
            (column,) = chosen(self.every_column, [field])
            number = column.kind in ("number", "seconds", "time")
            known = [row for row in rows if column.value(row) is not None]
            unknown = [row for row in rows if column.value(row) is None]
            known.sort(
                key=lambda row: column.value(row) if number else str(column.value(row)), reverse=number
            )
            rows = known + unknown
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
    """A list that is read from Redis as it comes into sight."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.read_rows: RowsInSight[T] | None = None

    def opened(self, drawn: Callable[[], None], failed: Callable[[AdminError], None]) -> RowsInSight[T]:
        """The rows for the present filter and order, not yet read. Raises UsageProblem."""
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
        """How many rows a list has that is not read to its end, if that is known."""
        return None

    @property
    def is_reading(self) -> bool:
        """Whether rows are being read in the background."""
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
    """A line whose parts can be clicked, in their own colours: the blue of textual's links is hard to read on
    black."""
    line = Static(id=name, markup=False)
    line.auto_links = False
    return line
