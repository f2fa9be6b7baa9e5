"""The jobs of one queue, state by state."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.binding import Binding
from textual.widgets import Static

from asyncmq_cli.output.tables.tables import STATE_STYLES
from asyncmq_cli.ui.jobs.filters import SHORT, STATES, count_of
from asyncmq_cli.ui.jobs.lists import JobsPane
from asyncmq_cli.ui.lists.listing import Held
from asyncmq_cli.ui.pages.list_page import ListPage

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from asyncmq_cli.models.snapshots import Snapshot


class Jobs(ListPage):
    """The jobs of one queue, state by state."""

    keys: ClassVar[str] = "Enter open  ←/→ state  / filter  Space mark  t retry  C cancel  D remove  ? keys"
    help: ClassVar[str] = "Left, Right  the jobs of another state"

    BINDINGS: ClassVar = [
        Binding("left,h", "turn(-1)", "state before", show=False),
        Binding("right,l", "turn(1)", "next state", show=False),
    ]

    def __init__(self, queue: str, state: str) -> None:
        super().__init__()
        self.queue = queue
        self._pane = JobsPane(queue, state)

    @property
    def pane(self) -> JobsPane:
        return self._pane

    @property
    def path(self) -> tuple[str, ...]:
        return (self.queue,)

    def body(self) -> ComposeResult:
        yield Static(id="tabs", markup=False)
        yield self._pane

    def followed(self, snapshot: Snapshot) -> None:
        row = next((row for row in snapshot.stats or () if row.name == self.queue), None)
        line = Text()
        for state in STATES:
            count = count_of(row, state)
            style = STATE_STYLES.get(state, "") if count else "dim"
            style = "reverse bold" if state == self._pane.job_state else style
            shown = "?" if count is None else f"{count:,}"
            line.append(f" {SHORT.get(state, state)} {shown} ", style=style).append(" ")
        if row is not None and row.paused:
            line.append("paused", style="bold red")
        elif row is not None and row.is_unattended:
            line.append("no worker", style="bold red")
        line.truncate(self.app.size.width, overflow="ellipsis")
        self.query_one("#tabs", Static).update(line)

    def action_turn(self, by: int) -> None:
        pane = self._pane
        pane.job_state = STATES[(STATES.index(pane.job_state) + by) % len(STATES)]
        pane.fields = []
        pane.listing.empty = ""
        pane.listing.unmark()
        pane.listing.show(Held([], 0.0), pane.columns, again=False)
        self.followed(self.ui.snapshot)
        self.action_again()
