"""The first page: all queues, those in trouble first, and the workers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from rich.console import Group
from rich.text import Text
from textual.binding import Binding
from textual.containers import Vertical
from textual.widgets import ContentSwitcher, Static

from asyncmq_cli.output.tables import views
from asyncmq_cli.output.terminal import header_footer, screens
from asyncmq_cli.ui.listing import Held, Listing
from asyncmq_cli.ui.page import Page

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from asyncmq_cli.models.queues import QueueStats
    from asyncmq_cli.models.snapshots import Snapshot

TABS = ("queues", "workers")


def trouble_first(rows: Sequence[QueueStats]) -> list[QueueStats]:
    """The queues in trouble, the worst first, then the others by name."""
    return sorted(
        sorted(rows, key=lambda row: row.name), key=lambda row: screens.trouble(row) or (), reverse=True
    )


class Home(Page):
    """Tabs over everything; the first is the list of queues."""

    keys: ClassVar[str] = "Enter open  1-2 or Tab tabs  r read again  ? keys  q quit"
    help: ClassVar[str] = """\
Enter        open the queue: its jobs by state
1, 2, Tab    the tabs: queues and workers
r            read again now; it is read by itself every few seconds"""

    BINDINGS: ClassVar = [
        Binding("tab", "turn(1)", "next tab", show=False, priority=True),
        Binding("shift+tab", "turn(-1)", "tab before", show=False, priority=True),
        *(Binding(str(n), f"tab('{name}')", name, show=False) for n, name in enumerate(TABS, 1)),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.tab = TABS[0]

    def body(self) -> ComposeResult:
        utc = self.ui.session.out.utc
        yield Static(id="tabs", markup=False)
        yield Static(id="summary", markup=False)
        with ContentSwitcher(initial=self.tab):
            with Vertical(id="queues"):
                yield Listing(
                    views.on_screen(views.QUEUES),
                    lambda row: row.name,
                    empty="no queues yet: AsyncMQ makes one with its first job",
                    utc=utc,
                    id="queue-list",
                )
                yield Static(id="trends", markup=False)
            with Vertical(id="workers"):
                yield Listing(
                    [column for column in views.on_screen(views.WORKERS) if column.title != "HEARTBEAT"],
                    lambda worker: (worker.queue, worker.id),
                    empty="no live worker",
                    utc=utc,
                    id="worker-list",
                )

    def followed(self, snapshot: Snapshot) -> None:
        size = self.app.size
        viewport = self.viewport()
        self.query_one("#tabs", Static).update(self._tabs())
        above = [screens.head(snapshot, viewport)]
        if size.height >= 16:
            above += screens.legend(snapshot, viewport)
        self.query_one("#summary", Static).update(Group(*above))
        is_current = snapshot.metrics().is_whole
        self.query_one("#trends", Static).update(
            header_footer.trends(self.ui.trend.trend(), viewport, is_current=is_current)
        )
        queues = Held(trouble_first(snapshot.stats or ()), snapshot.now)
        workers = Held(list(snapshot.workers or ()), snapshot.now)
        self.query_one("#queue-list", Listing).show(queues)
        self.query_one("#worker-list", Listing).show(workers)

    def _tabs(self) -> Text:
        line = Text()
        for number, name in enumerate(TABS, 1):
            style = "reverse bold" if name == self.tab else ""
            line.append(f" {number} {name.capitalize()} ", style=style).append(" ")
        return line

    def action_turn(self, by: int) -> None:
        self.action_tab(TABS[(TABS.index(self.tab) + by) % len(TABS)])

    def action_tab(self, name: str) -> None:
        self.tab = name
        self.query_one(ContentSwitcher).current = name
        self.query_one(f"#{name}").query_one(Listing).focus()
        self.query_one("#tabs", Static).update(self._tabs())
        self.action_again()

    def action_again(self) -> None:
        if self.is_mounted:
            self.draw_frame()
            self.ui.hurry()

    def on_listing_opened(self, event: Listing.Opened) -> None:
        if event.listing.id == "queue-list":
            self.ui.open_queue(event.row.name)
        else:
            self.ui.open_queue(event.row.queue)
