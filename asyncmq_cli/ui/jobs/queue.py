"""The jobs of one queue, state by state."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding

from asyncmq_cli.ui.jobs.lists import JobsPane
from asyncmq_cli.ui.pages.list_page import ListPage

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from asyncmq_cli.models.monitoring.snapshots import Snapshot


class Jobs(ListPage):
    """The jobs of one queue, state by state."""

    keys: ClassVar[str] = "Enter open  ←/→ state  / filter  Space mark  t retry  C cancel  D remove  ? keys"
    help: ClassVar[str] = "Left, Right  the jobs of another state; also [ and ]"

    BINDINGS: ClassVar = [
        Binding("left,h,left_square_bracket", "turn(-1)", "state before", show=False),
        Binding("right,l,right_square_bracket", "turn(1)", "next state", show=False),
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
        yield self._pane

    def followed(self, snapshot: Snapshot) -> None:
        self._pane.followed(snapshot)

    def action_turn(self, by: int) -> None:
        self._pane.turn(by)

    def action_state(self, state: str) -> None:
        self._pane.choose_state(state)
