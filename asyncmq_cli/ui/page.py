"""What every page of the screen has: a head, a remark, its keys, and reading in the background."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, cast

from rich.text import Text
from textual.binding import Binding
from textual.containers import Vertical
from textual.screen import Screen
from textual.widgets import Static

from asyncmq_cli.errors import AdminError
from asyncmq_cli.output.tables.tables import shortened
from asyncmq_cli.output.terminal import header_footer
from asyncmq_cli.output.terminal.viewport import Viewport, viewport_for
from asyncmq_cli.output.text.escape import escape, escape_name
from asyncmq_cli.ui.changing import ChangeDialog
from asyncmq_cli.ui.dialogs import Ask, Choose, Pick, problem_line
from asyncmq_cli.ui.listing import Listing  # noqa: TC001 - textual reads the annotations of handlers
from asyncmq_cli.ui.palette import Entry, Palette

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from asyncmq_cli.cli.session import Session
    from asyncmq_cli.models.snapshots import Snapshot
    from asyncmq_cli.ui.app import OperatorApp
    from asyncmq_cli.ui.panes import Pane
    from asyncmq_cli.ui.plans import Plan

_LEAST_ADDRESS = 20
_SHORT_TEXT = 60
_PROGRESS_EVERY = 0.3
"""Seconds."""


DEEDS = {"t": "retry", "u": "requeue", "C": "cancel", "D": "remove", "p": "pause", "a": "add"}
"""The keys of the changes; those that destroy are capital letters."""


class Page(Screen[None]):
    """A page has one focus, and reads what it shows with `load`."""

    BINDINGS: ClassVar = [
        Binding("escape", "back", "back", show=False),
        Binding("r", "again", "read again", show=False),
        Binding("colon,ctrl+p", "palette", "palette", show=False),
    ]

    keys: ClassVar[str] = ""
    """The keys of the page, as its last line shows them."""
    help: ClassVar[str] = ""
    """What `?` says about the page, one key a line."""

    def __init__(self) -> None:
        super().__init__()
        self.problem: AdminError | None = None
        self.note = ""
        self._is_busy = False
        self._loads = 0

    @property
    def ui(self) -> OperatorApp:
        return cast("OperatorApp", self.app)

    @property
    def path(self) -> tuple[str, ...]:
        """Where one is, for the head."""
        return ()

    def compose(self) -> ComposeResult:
        yield Static(id="head", markup=False)
        yield from self.body()
        yield Static(id="remark", markup=False)
        yield Static(id="keys", markup=False)

    def body(self) -> ComposeResult:
        """The widgets between the head and the remark."""
        yield from ()

    def on_mount(self) -> None:
        self.draw_frame()
        self.follow(self.ui.snapshot)
        self.action_again()

    def on_screen_resume(self) -> None:
        self.draw_frame()
        self.follow(self.ui.snapshot)

    @property
    def is_composed(self) -> bool:
        """Whether its widgets are there: a page that was just opened, or left, has none."""
        return self.is_mounted and bool(self.query("#keys"))

    def follow(self, snapshot: Snapshot) -> None:
        """Show a new snapshot, if there is something to show it on."""
        if self.is_composed:
            self.followed(snapshot)

    # What the page overrides.

    async def load(self) -> None:
        """Read what the page shows. Raises AdminError."""

    def followed(self, snapshot: Snapshot) -> None:
        """Show a new snapshot of all queues."""

    # Reading.

    def action_again(self) -> None:
        self.start(self.load)

    def start(self, work: Callable[[], Awaitable[None]]) -> None:
        """Begin to read; what was begun before is of no interest any more."""
        self._loads += 1
        self.note = ""
        # Not a coroutine: one that is replaced before it began would never be awaited.
        reading: Any = partial(self._loaded, work, self._loads)
        self.run_worker(reading, group="load", exclusive=True)

    async def _loaded(self, work: Callable[[], Awaitable[None]], number: int) -> None:
        self.problem = None
        self._is_busy = True
        self.draw_frame(busy=True)
        try:
            await work()
        except AdminError as exc:
            if number == self._loads:
                self.failed(exc)
        finally:
            if number == self._loads:
                self._is_busy = False
        if number == self._loads:
            self.draw_frame()

    def failed(self, error: AdminError) -> None:
        """Show an error in the place of the remark."""
        self.problem = error
        self.draw_frame()

    # Changing.

    def ask_about(self, make: Callable[[Session], Plan] | None) -> None:
        """Make the plan of a change in the background, and ask."""
        if make is None:
            return
        planning: Any = partial(self._planned, make)
        self.run_worker(planning, group="plan", exclusive=True)

    async def _planned(self, make: Callable[[Session], Plan]) -> None:
        lane = self.ui.lanes.new()
        try:
            self.ui.session.guard.require_writable()
            self.note = "looking what that would change…"
            self.draw_frame()
            plan = await lane.call(make)
        except AdminError as exc:
            self.failed(exc)
        else:
            self.note = ""
            self.problem = None
            self.draw_frame()
            self.app.push_screen(ChangeDialog(plan), self.changed)
        finally:
            lane.halt()
            lane.close()

    def changed(self, is_so: bool | None) -> None:
        """The dialog was left; something was changed, or not."""
        if is_so:
            self.action_again()
            self.ui.hurry()

    def say(self, text: str) -> None:
        """Show this until something else is to be said."""
        self.note = text
        self.draw_frame()

    def copy(self, text: str) -> None:
        """Hand a text to the terminal's clipboard (OSC 52)."""
        self.app.copy_to_clipboard(text)
        what = repr(text) if len(text) <= _SHORT_TEXT else f"{len(text):,} characters"
        self.say(f"copied {what}")

    @property
    def help_text(self) -> str:
        """What `?` says."""
        return self.help

    @property
    def remark_text(self) -> str:
        """What is below the body when nothing is wrong."""
        return self.note

    @property
    def busy_text(self) -> str:
        """The same, while the page is being read."""
        return "reading…"

    # The palette.

    def entries(self) -> list[Entry]:
        """What can be done on the page."""
        return [
            Entry("read again", self.action_again),
            Entry("keys of this page", self.ui.action_keys, ["help", "ui"]),
            Entry("back", self.action_back),
            Entry("quit", self.ui.exit),
        ]

    def action_palette(self) -> None:
        self.app.push_screen(Palette(self.entries()), self._chosen)

    def _chosen(self, entry: Entry | None) -> None:
        if entry is not None:
            entry.run()

    # The frame.

    def viewport(self, height: int | None = None) -> Viewport:
        """The room for what `output` draws."""
        size = self.app.size
        found = viewport_for(self.ui.session.out, width=size.width, height=height or size.height)
        # The head of the page names the context.
        return replace(found, context="", solid=found.blocks and not self.app.no_color)

    def draw_frame(self, *, busy: bool | None = None) -> None:
        """Draw the lines around the body."""
        busy = self._is_busy if busy is None else busy
        if not self.is_composed:
            return
        width = self.app.size.width
        self.query_one("#head", Static).update(self._head(width))
        self.query_one("#remark", Static).update(self._remark(width, busy=busy))
        keys = Text(self.keys, style="dim")
        keys.truncate(width, overflow="ellipsis")
        self.query_one("#keys", Static).update(keys)

    def _head(self, width: int) -> Text:
        ui = self.ui
        is_away = ui.outage is not None
        corner = header_footer.as_of(
            ui.snapshot.now, f"every {ui.every:g}s", is_old=is_away, utc=ui.session.out.utc
        )
        path = Text()
        for name in self.path:
            path.append(" › ", style="dim").append(escape_name(name), style="bold")
        line = Text("asyncmq ", style="bold")
        if ui.session.config.context:
            style = f"bold reverse {ui.session.config.context_color}".rstrip()
            line.append(f" {escape_name(ui.session.config.context)} ", style=style).append(" ")
        # Of the address as much as the path leaves, but enough to know it by.
        room = width - corner.cell_len - 2
        left = max(_LEAST_ADDRESS, room - line.cell_len - path.cell_len)
        line.append(shortened(escape(ui.session.config.shown_url), left), style="dim").append_text(path)
        line.truncate(max(0, room), overflow="ellipsis")
        line.pad_right(max(1, width - line.cell_len - corner.cell_len))
        return line.append_text(corner)

    def _remark(self, width: int, *, busy: bool) -> Text:
        line: Any
        outage, warnings = self.ui.outage, self.ui.warnings
        if self.problem is not None:
            line = problem_line(self.problem)
        elif outage is not None:
            (line,) = header_footer.remarks(outage.error.message, [], where=self.ui.session.config.shown_url)
        elif busy:
            line = Text(escape(self.busy_text), style="dim")
        elif remark := self.remark_text:
            line = Text(escape(remark), style="dim")
        elif warnings:
            (line,) = header_footer.remarks(None, warnings)
        else:
            line = Text()
        line.truncate(width, overflow="ellipsis")
        return cast("Text", line)

    def action_back(self) -> None:
        self.ui.back()


_LIST_KEYS = """\
Enter        open
/            filter; Esc takes the filter away
s            another order
f            which columns
Space, *     mark, or take the mark away; mark the whole list
t, u         retry; requeue
C, D         cancel; remove
p, a         pause or resume a queue or a schedule; add a schedule
y, Y         copy the id; the whole as JSON
r            read again
Esc          end a search, take a filter away, or back"""


class ListPage(Page):
    """A page with a list, `pane`."""

    BINDINGS: ClassVar = [
        Binding("slash", "filter", "filter", show=False),
        Binding("s", "sort", "order", show=False),
        Binding("f", "columns", "columns", show=False),
        Binding("space", "mark", "mark", show=False),
        Binding("asterisk", "mark_all", "mark all", show=False),
        Binding("y", "copy", "copy", show=False),
        Binding("Y", "copy_whole", "copy the whole", show=False),
        *(Binding(key, f"deed('{verb}')", verb, show=False) for key, verb in DEEDS.items()),
    ]

    @property
    def pane(self) -> Pane[Any]:
        """The list in front."""
        raise NotImplementedError

    @property
    def help_text(self) -> str:
        return "\n".join(filter(None, (_LIST_KEYS, self.help)))

    def on_mount(self) -> None:
        # Textual calls that of Page as well.
        self.set_interval(_PROGRESS_EVERY, self._progress)

    def _progress(self) -> None:
        if self._is_busy or getattr(self.pane, "is_reading", False):
            self.draw_frame(busy=True)

    async def load(self) -> None:
        await self.pane.load()

    def draw_frame(self, *, busy: bool | None = None) -> None:
        if self.is_mounted:
            self.pane.listing.is_stale = self.ui.outage is not None
        super().draw_frame(busy=busy)

    @property
    def remark_text(self) -> str:
        listing = self.pane.listing
        marked = (
            "all marked" if listing.marks_all else f"{len(listing.marks):,} marked" if listing.marks else ""
        )
        filtered = f"filter: {self.pane.text}" if self.pane.text else ""
        return "  ".join(filter(None, (self.note, marked, self.pane.state, filtered, listing.left_out)))

    @property
    def busy_text(self) -> str:
        progress = self.pane.progress
        return f"{progress}; Esc stops" if progress else super().busy_text

    def changed(self, is_so: bool | None) -> None:
        if is_so:
            self.pane.listing.unmark()
        super().changed(is_so)

    def entries(self) -> list[Entry]:
        pane = self.pane
        keys = {verb: key for key, verb in DEEDS.items()}
        deeds = [
            Entry(f"{title} ({keys[verb]})", partial(self.action_deed, verb), words)
            for verb in pane.deeds
            for title, words in [pane.deed(verb)]
            if words
        ]
        lists = [
            Entry("this list", lambda: None, pane.command()),
            Entry("filter (/)", self.action_filter),
            Entry("order (s)", self.action_sort),
            Entry("columns (f)", self.action_columns),
            Entry("copy the id (y)", self.action_copy),
            Entry("copy the whole (Y)", self.action_copy_whole),
        ]
        return [*deeds, *lists, *super().entries()]

    def action_deed(self, verb: str) -> None:
        """Ask about a change of the marked rows, else of that of the cursor."""
        if verb not in self.pane.deeds:
            self.say(f"there is nothing to {verb} here")
            return
        try:
            self.ask_about(self.pane.plan(verb))
        except AdminError as exc:
            self.failed(exc)

    def action_mark_all(self) -> None:
        listing = self.pane.listing
        if not self.pane.takes_all:
            self.say("here rows are marked one by one")
            return
        all_were = listing.marks_all
        listing.unmark()
        listing.marks_all = not all_were
        self.draw_frame()

    def on_listing_opened(self, event: Listing.Opened) -> None:
        self.pane.open(event.row)

    def on_listing_moved(self, event: Listing.Moved) -> None:
        if event.is_other_row:
            self.note = ""
        self.draw_frame()

    def action_back(self) -> None:
        if (self._is_busy or getattr(self.pane, "is_reading", False)) and self.pane.halt():
            return
        if self.pane.listing.unmark():
            self.draw_frame()
        elif self.pane.text:
            self.apply("")
        else:
            super().action_back()

    def action_filter(self) -> None:
        asked = Ask("filter", self.pane.text, f"/ {self.pane.filter_help}")
        self.app.push_screen(asked, lambda text: None if text is None else self.apply(text.strip()))

    def apply(self, text: str) -> None:
        """Show what this filter lets through."""
        from asyncmq_cli.ui.panes import HeldPane

        pane = self.pane
        pane.text = text
        pane.listing.unmark()
        if isinstance(pane, HeldPane):
            pane.rearrange()
            self.draw_frame()
        else:
            self.action_again()

    def action_sort(self) -> None:
        orders = list(self.pane.orders())
        if not orders:
            self.say("this list has one order only")
            return
        self.app.push_screen(Choose("Sort by", orders, self.pane.order), self._sorted)

    def _sorted(self, order: str | None) -> None:
        if order is not None:
            self.pane.order = order
            self.apply(self.pane.text)

    def action_columns(self) -> None:
        pane = self.pane
        names = [column.field for column in pane.every_column]
        shown = pane.fields or [column.field for column in pane.columns if not column.wide]
        self.app.push_screen(Pick("Columns", names, shown), self._picked)

    def _picked(self, fields: list[str] | None) -> None:
        if fields is not None:
            self.pane.choose(fields)
            self.draw_frame()

    def action_mark(self) -> None:
        self.pane.listing.toggle_mark()
        self.draw_frame()

    def action_copy(self) -> None:
        current = self.pane.listing.current
        if current is not None:
            self.copy(self.pane.label(current))

    def action_copy_whole(self) -> None:
        current = self.pane.listing.current
        if current is not None:
            copying: Any = partial(self._copy_whole, current)
            self.run_worker(copying, group="copy", exclusive=True)

    async def _copy_whole(self, row: Any) -> None:
        try:
            text = await self.pane.whole(row)
        except AdminError as exc:
            self.failed(exc)
            return
        self.copy(text if text is not None else self.pane.label(row))

    def on_unmount(self) -> None:
        for pane in self.query(Vertical):
            close = getattr(pane, "close", None)
            if close is not None:
                close()
