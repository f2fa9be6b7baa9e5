"""The base class of all pages, with a head line, a remark, the keys, and reads in the background."""

from __future__ import annotations

import shlex
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, cast

from msgspec.structs import replace
from rich.text import Text
from textual.binding import Binding
from textual.screen import Screen
from textual.widgets import Static

from asyncmq_cli.errors import AdminError
from asyncmq_cli.output.tables.tables import shortened
from asyncmq_cli.output.terminal import screens
from asyncmq_cli.output.terminal.viewport import Viewport, viewport_for
from asyncmq_cli.output.text.escape import escape, escape_name
from asyncmq_cli.ui.dialogs.change import ChangeDialog
from asyncmq_cli.ui.dialogs.palette import Entry, Palette
from asyncmq_cli.ui.dialogs.questions import problem_line
from asyncmq_cli.ui.plans.edit import of_job

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from asyncmq_cli.cli.session import Session
    from asyncmq_cli.models.monitoring.snapshots import Snapshot
    from asyncmq_cli.ui.app import OperatorApp
    from asyncmq_cli.ui.plans.plan import Plan

_LEAST_ADDRESS = 20
_SHORT_TEXT = 60

DEEDS = {
    "t": "retry",
    "u": "requeue",
    "n": "run-now",
    "e": "edit",
    "C": "cancel",
    "D": "remove",
    "p": "pause",
    "a": "add",
}
"""The key of each change. Changes that destroy data have capital letters."""


class Page(Screen[None]):
    """A page of the screen. It has one focus, and `load` reads its data."""

    BINDINGS: ClassVar = [
        Binding("escape", "back", "back", show=False),
        Binding("r", "again", "read again", show=False),
        Binding("colon,ctrl+p", "palette", "palette", show=False),
    ]

    keys: ClassVar[str] = ""
    """The keys of the page, as its last line shows them."""
    help: ClassVar[str] = ""
    """The text of `?` about this page, one key per line."""

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
        """The path of pages, for the head line."""
        return ()

    def compose(self) -> ComposeResult:
        yield Static(id="head", markup=False)
        yield from self.body()
        yield Static(id="remark", markup=False)
        yield Static(id="keys", markup=False)

    def body(self) -> ComposeResult:
        """The widgets between the head line and the remark."""
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
        """Whether its widgets exist: a page that was just opened or left has none."""
        return self.is_mounted and bool(self.query("#keys"))

    def follow(self, snapshot: Snapshot) -> None:
        """Show a new snapshot, if the page has widgets."""
        if self.is_composed:
            self.followed(snapshot)

    # Methods that a page overrides.

    async def load(self) -> None:
        """Read the page's data. Raises AdminError."""

    def followed(self, snapshot: Snapshot) -> None:
        """Show a new snapshot of all queues."""

    # Reading.

    def action_again(self) -> None:
        self.start(self.load)

    def start(self, work: Callable[[], Awaitable[None]]) -> None:
        """Start a read in the background. The result of an earlier read is dropped."""
        self._loads += 1
        self.note = ""
        self.background("load", self._loaded, work, self._loads)

    def background(self, group: str, work: Callable[..., Awaitable[None]], *args: Any) -> None:
        """Start `work` in the background, in place of earlier work of the same group. An AdminError is shown
        instead of the remark."""
        # Use a partial and not a coroutine: a coroutine that is replaced before it starts would never be
        # awaited.
        working: Any = partial(self._work, work, args)
        self.run_worker(working, group=group, exclusive=True)

    async def _work(self, work: Callable[..., Awaitable[None]], args: Sequence[Any]) -> None:
        try:
            await work(*args)
        except AdminError as exc:
            self.failed(exc)

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
        """Show an error instead of the remark."""
        self.problem = error
        self.draw_frame()

    # Changing.

    def ask_about(self, make: Callable[[Session], Plan] | None) -> None:
        """Make the plan of a change in the background, and open its dialog."""
        if make is not None:
            self.background("plan", self._planned, make)

    async def _planned(self, make: Callable[[Session], Plan]) -> None:
        lane = self.ui.lanes.new()
        try:
            self.ui.session.guard.require_writable()
            self.note = "checking what this would change…"
            self.draw_frame()
            plan = await lane.call(make)
        finally:
            lane.halt()
            lane.close()
        self.note = ""
        self.problem = None
        self.draw_frame()
        self.app.push_screen(ChangeDialog(plan), self.changed)

    def edit(self, queue: str, job_id: str) -> None:
        """Open a job in an editor, and then the dialog of the edit."""
        self.background("plan", self._edit, queue, job_id)

    async def _edit(self, queue: str, job_id: str) -> None:
        self.ui.session.guard.require_writable()
        record = await self.ui.lanes.call(lambda session: session.job_changes.editable(queue, job_id))
        edits, diff = self.ui.edited(record)
        if edits:
            self.ask_about(lambda session: of_job(session, queue, job_id, edits, diff))
        else:
            self.say("nothing was changed")

    def changed(self, is_so: bool | None) -> None:
        """Called when the dialog of a change was left. `is_so` says whether anything was changed."""
        if is_so:
            self.action_again()
            self.ui.hurry()

    def say(self, text: str) -> None:
        """Show this text as the remark until the next text."""
        self.note = text
        self.draw_frame()

    def copy(self, text: str) -> None:
        """Copy a text to the terminal's clipboard (OSC 52)."""
        self.app.copy_to_clipboard(text)
        what = repr(text) if len(text) <= _SHORT_TEXT else f"{len(text):,} characters"
        self.say(f"copied {what}")

    def copy_line(self, words: Sequence[str]) -> None:
        """Copy a command line."""
        self.copy(shlex.join(["asyncmq", *words]))

    @property
    def keys_line(self) -> str:
        """The text of the last line: the page's keys."""
        return self.keys

    @property
    def help_text(self) -> str:
        """The text of `?`."""
        return self.help

    @property
    def remark_text(self) -> str:
        """The text below the body if nothing is wrong."""
        return self.note

    @property
    def busy_text(self) -> str:
        """The text below the body while the page is being read."""
        return "reading…"

    # The palette.

    def entries(self) -> list[Entry]:
        """The actions of the page, for the palette."""
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
        """The viewport for screens of the layer `output`."""
        size = self.app.size
        found = viewport_for(self.ui.session.out, width=size.width, height=height or size.height)
        # The page's head line already names the context.
        return replace(found, context="", solid=found.blocks and not self.app.no_color)

    def draw_frame(self, *, busy: bool | None = None) -> None:
        """Draw the lines around the body."""
        busy = self._is_busy if busy is None else busy
        if not self.is_composed:
            return
        width = self.app.size.width
        self.query_one("#head", Static).update(self._head(width))
        self.query_one("#remark", Static).update(self._remark(width, busy=busy))
        keys = Text(self.keys_line, style="dim")
        keys.truncate(width, overflow="ellipsis")
        self.query_one("#keys", Static).update(keys)

    def _head(self, width: int) -> Text:
        ui = self.ui
        is_away = ui.outage is not None
        corner = screens.as_of(
            ui.snapshot.now, f"every {ui.every:g}s", is_old=is_away, utc=ui.session.out.utc
        )
        path = Text()
        for name in self.path:
            path.append(" › ", style="dim").append(escape_name(name), style="bold")
        line = Text("asyncmq ", style="bold")
        if ui.session.config.context:
            style = f"bold reverse {ui.session.config.context_color}".rstrip()
            line.append(f" {escape_name(ui.session.config.context)} ", style=style).append(" ")
        # Show as much of the address as the path leaves room for, but enough to recognise it.
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
            (line,) = screens.remarks(outage.error.message, [], where=self.ui.session.config.shown_url)
        elif busy:
            line = Text(escape(self.busy_text), style="dim")
        elif remark := self.remark_text:
            line = Text(escape(remark), style="dim")
        elif warnings:
            (line,) = screens.remarks(None, warnings)
        else:
            line = Text()
        line.truncate(width, overflow="ellipsis")
        return cast("Text", line)

    def action_back(self) -> None:
        self.ui.back()
