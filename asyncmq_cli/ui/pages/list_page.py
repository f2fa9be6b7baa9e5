"""A page with a list: its keys, its filter and order, its marks, and the changes of its rows."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

from textual.binding import Binding

from asyncmq_cli.errors import AdminError
from asyncmq_cli.ui.dialogs.palette import Entry
from asyncmq_cli.ui.dialogs.questions import Ask, Choose, Pick
from asyncmq_cli.ui.lists.listing import Listing  # noqa: TC001 - textual reads the annotations of handlers
from asyncmq_cli.ui.lists.panes import HeldPane, Pane
from asyncmq_cli.ui.pages.page import DEEDS, Page

_PROGRESS_EVERY = 0.3
"""Seconds."""

_LIST_KEYS = """\
Enter, o     open; open a job as a tree
/, s, f      filter; another order; which columns
Space, *     mark or unmark; mark the whole list
t, u, n      retry; requeue; run now what is delayed
e            edit in $EDITOR, and retry if dead; several by paths
C, D         cancel; remove
p, a         pause or resume a queue or a schedule; add a schedule
y, Y         copy the id; everything as JSON
r            read again
Esc          end a search, take marks or a filter away, or back"""


class ListPage(Page):
    """A page with a list, `pane`."""

    BINDINGS: ClassVar = [
        Binding("slash", "filter", "filter", show=False),
        Binding("s", "sort", "order", show=False),
        Binding("f", "columns", "columns", show=False),
        Binding("space", "mark", "mark", show=False),
        Binding("asterisk", "mark_all", "mark all", show=False),
        Binding("o", "tree", "as a tree", show=False),
        Binding("y", "copy", "copy", show=False),
        Binding("Y", "copy_whole", "copy as JSON", show=False),
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
        # Textual also calls Page's on_mount.
        self.set_interval(_PROGRESS_EVERY, self._progress)

    def _progress(self) -> None:
        if self._is_busy or self.pane.is_reading:
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
            Entry(
                f"{title.replace('run-now', 'run now')} ({keys[verb]})",
                partial(self.action_deed, verb),
                words,
            )
            for verb in pane.deeds
            for title, words in [pane.deed(verb)]
            if words
        ]
        lists = [
            Entry(
                "this list: copy its command line", partial(self.copy_line, pane.command()), pane.command()
            ),
            Entry("filter (/)", self.action_filter),
            Entry("order (s)", self.action_sort),
            Entry("columns (f)", self.action_columns),
            Entry("copy the id (y)", self.action_copy),
            Entry("copy as JSON (Y)", self.action_copy_whole),
        ]
        return [*deeds, *lists, *super().entries()]

    def action_deed(self, verb: str) -> None:
        """Open the dialog of a change of the marked rows, or else of the row at the cursor."""
        if verb not in self.pane.deeds:
            self.say(f"there is nothing to {verb} here")
            return
        try:
            if verb == "edit" and not self.pane.listing.marks_all and len(jobs := self.pane.targets()) == 1:
                self.edit(jobs[0].queue, jobs[0].id)
                return
            self.ask_about(self.pane.plan(verb))
        except AdminError as exc:
            self.failed(exc)

    def action_mark_all(self) -> None:
        listing = self.pane.listing
        if not self.pane.takes_all:
            self.say("mark rows one by one here")
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
        if (self._is_busy or self.pane.is_reading) and self.pane.halt():
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
        """Apply a filter to the list."""
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

    def action_tree(self) -> None:
        current = self.pane.listing.current
        if current is not None:
            self.background("tree", self.pane.open_tree, current)

    def action_copy(self) -> None:
        current = self.pane.listing.current
        if current is not None:
            self.copy(self.pane.label(current))

    def action_copy_whole(self) -> None:
        current = self.pane.listing.current
        if current is not None:
            self.background("copy", self._copy_whole, current)

    async def _copy_whole(self, row: Any) -> None:
        text = await self.pane.whole(row)
        self.copy(text if text is not None else self.pane.label(row))

    def on_unmount(self) -> None:
        for pane in self.query(Pane):
            pane.close()
