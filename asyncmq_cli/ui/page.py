"""What every page of the screen has: a head, a remark, its keys, and reading in the background."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, cast

from rich.text import Text
from textual.binding import Binding
from textual.screen import Screen
from textual.widgets import Static

from asyncmq_cli.errors import AdminError
from asyncmq_cli.hints import hint_for
from asyncmq_cli.output.redaction.redact import redact_text
from asyncmq_cli.output.tables.tables import CAUTION, shortened
from asyncmq_cli.output.terminal import header_footer
from asyncmq_cli.output.terminal.viewport import Viewport, viewport_for
from asyncmq_cli.output.text.escape import escape, escape_name

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from asyncmq_cli.models.snapshots import Snapshot
    from asyncmq_cli.ui.app import OperatorApp

_LEAST_ADDRESS = 20


class Page(Screen[None]):
    """A page has one focus, and reads what it shows with `load`."""

    BINDINGS: ClassVar = [
        Binding("escape", "back", "back", show=False),
        Binding("r", "again", "read again", show=False),
    ]

    keys: ClassVar[str] = ""
    """The keys of the page, as its last line shows them."""
    help: ClassVar[str] = ""
    """What `?` says about the page, one key a line."""

    def __init__(self) -> None:
        super().__init__()
        self.problem: AdminError | None = None
        self.note = ""
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
        self.followed(self.ui.snapshot)
        self.action_again()

    def on_screen_resume(self) -> None:
        self.draw_frame()
        self.followed(self.ui.snapshot)

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
        self.run_worker(self._loaded(work, self._loads), group="load", exclusive=True)

    async def _loaded(self, work: Callable[[], Awaitable[None]], number: int) -> None:
        self.problem = None
        self.draw_frame(busy=True)
        try:
            await work()
        except AdminError as exc:
            self.failed(exc)
        else:
            if number == self._loads:
                self.draw_frame()

    def failed(self, error: AdminError) -> None:
        """Show an error in the place of the remark."""
        self.problem = error
        self.draw_frame()

    # The frame.

    def viewport(self, height: int | None = None) -> Viewport:
        """The room for what `output` draws."""
        size = self.app.size
        found = viewport_for(self.ui.session.out, width=size.width, height=height or size.height)
        return replace(found, solid=found.blocks and not self.app.no_color)

    def draw_frame(self, *, busy: bool = False) -> None:
        """Draw the lines around the body."""
        if not self.is_mounted:
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
            line = Text("reading…", style="dim")
        elif self.note:
            line = Text(escape(self.note), style="dim")
        elif warnings:
            (line,) = header_footer.remarks(None, warnings)
        else:
            line = Text()
        line.truncate(width, overflow="ellipsis")
        return cast("Text", line)

    def action_back(self) -> None:
        self.ui.back()


def problem_line(error: AdminError) -> Text:
    """`error: … · hint` on one line."""
    line = Text(f"error: {escape(redact_text(error.message))}", style="bold red")
    hint = hint_for(error)
    return line.append(f"  {escape(redact_text(hint))}", style=CAUTION) if hint else line
