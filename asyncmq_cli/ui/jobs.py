"""The jobs of one queue, state by state."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.binding import Binding
from textual.widgets import Static

from asyncmq_cli.models.job_lists import JobFilter
from asyncmq_cli.models.queues import QueueScope
from asyncmq_cli.models.values import DEAD_STATES
from asyncmq_cli.output.tables import views
from asyncmq_cli.output.tables.tables import STATE_STYLES, counted
from asyncmq_cli.ui.listing import Held, Listing
from asyncmq_cli.ui.page import Page
from asyncmq_cli.ui.rows import Fetched, PagedRows, StreamedRows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from textual.app import ComposeResult

    from asyncmq_cli.cli.session import Session
    from asyncmq_cli.models.jobs import Job
    from asyncmq_cli.models.queues import QueueStats
    from asyncmq_cli.models.snapshots import Snapshot

DEAD = "dead"
STATES = ("waiting", "active", "delayed", DEAD, "completed", "cancelled", "waiting-children")
"""`dead` is the dead-letter queue: failed and expired jobs, the last that died first."""
_ORDERED = ("waiting", "active", "delayed", DEAD)
"""States whose place has an order, so that a page costs a page."""
_FIELDS = {DEAD: "dlq", "waiting-children": "waiting_children"}
_SHORT = {"waiting-children": "children"}


def count_of(row: QueueStats | None, state: str) -> int | None:
    """How many jobs of a state the queue has, by its row; None where that is not known."""
    return None if row is None else getattr(row, _FIELDS.get(state, state))


class Jobs(Page):
    """One state's jobs in the order of its place, which costs no more than what is in sight."""

    keys: ClassVar[str] = "Enter open  ←/→ state  r read again  Esc back  ? keys"
    help: ClassVar[str] = """\
Enter        open the job
Left, Right  the jobs of another state
r            read the list again
Esc          back"""

    BINDINGS: ClassVar = [
        Binding("left,h", "turn(-1)", "state before", show=False),
        Binding("right,l", "turn(1)", "next state", show=False),
    ]

    def __init__(self, queue: str, state: str) -> None:
        super().__init__()
        self.queue = queue
        self.state = state
        self._rows: PagedRows[Job] | StreamedRows[Job] | None = None

    @property
    def path(self) -> tuple[str, ...]:
        return (self.queue,)

    def body(self) -> ComposeResult:
        yield Static(id="tabs", markup=False)
        yield Listing(
            views.jobs(None, show_secrets=self.ui.session.show_secrets),
            lambda job: job.id,
            utc=self.ui.session.out.utc,
        )

    @property
    def listing(self) -> Listing[Job]:
        return self.query_one(Listing)

    def followed(self, snapshot: Snapshot) -> None:
        row = next((row for row in snapshot.stats or () if row.name == self.queue), None)
        line = Text()
        for state in STATES:
            count = count_of(row, state)
            style = "reverse bold" if state == self.state else STATE_STYLES.get(state, "") if count else "dim"
            shown = "?" if count is None else f"{count:,}"
            line.append(f" {_SHORT.get(state, state)} {shown} ", style=style).append(" ")
        if row is not None and row.paused:
            line.append("paused", style="bold red")
        elif row is not None and views.is_unattended(row):
            line.append("no worker", style="bold red")
        self.query_one("#tabs", Static).update(line)

    async def load(self) -> None:
        """Read the list from its beginning. Raises AdminError."""
        self._close_rows()
        listing = self.listing
        rows = self._rows = self._opened()
        await rows.start()
        if rows is not self._rows:
            return
        what = self.state if self.state != DEAD else "dead"
        listing.empty = f"no {what} job"
        columns = views.jobs(
            None if self.state == DEAD else self.state, show_secrets=self.ui.session.show_secrets
        )
        same = listing.columns == columns
        listing.show(rows, columns, again=same)

    def _opened(self) -> PagedRows[Job] | StreamedRows[Job]:
        state, queue = self.state, self.queue
        if state in _ORDERED:
            return PagedRows(self.ui.lanes, self._fetch, self._drawn, self.failed)

        def every(session: Session) -> Iterator[Job]:
            return session.jobs.every(QueueScope.of(queue), state, JobFilter(), sort="queue")

        return StreamedRows(self.ui.lanes.new(), every, self._drawn, self.failed)

    def _fetch(self, session: Session, page: int, size: int) -> Fetched[Job]:
        wanted, scope = JobFilter(), QueueScope.of(self.queue)
        if self.state == DEAD:
            found = session.dlq.page(scope, wanted, sort="newest", page=page, size=size)
        else:
            found = session.jobs.page(
                scope, self.state, wanted, sort="queue", page=page, size=size, exact=False
            )
        return Fetched(found.jobs, found.total, session.now())

    def _drawn(self) -> None:
        if self.is_mounted:
            self.listing.redraw()
            self.draw_frame()

    def draw_frame(self, *, busy: bool = False) -> None:
        rows = self._rows
        if isinstance(rows, StreamedRows) and rows.found:
            self.note = (
                counted(rows.found, "job") if rows.is_done else f"{rows.found:,} jobs read, more below"
            )
        elif isinstance(rows, PagedRows):
            self.note = f"{self.listing.cursor + 1:,} of {counted(rows.total, 'job')}" if rows.total else ""
        super().draw_frame(busy=busy)

    def on_listing_moved(self) -> None:
        self.draw_frame()

    def on_listing_opened(self, event: Listing.Opened) -> None:
        self.ui.open_job(self.queue, event.row.id)

    def action_turn(self, by: int) -> None:
        self.state = STATES[(STATES.index(self.state) + by) % len(STATES)]
        self.listing.show(Held([], 0.0), again=False)
        self.listing.empty = ""
        self.followed(self.ui.snapshot)
        self.action_again()

    def _close_rows(self) -> None:
        if self._rows is not None:
            self._rows.close()
            self._rows = None

    def on_unmount(self) -> None:
        self._close_rows()


def first_state(row: QueueStats | None) -> str:
    """The state with which a queue opens: its dead jobs, if there are any."""
    return next((state for state in (DEAD, *STATES) if count_of(row, state)), STATES[0])


def state_of_status(status: str) -> str:
    """The list in which a job of this status is."""
    return DEAD if status in DEAD_STATES else status
