"""Lists of jobs, and the page with the jobs of one queue."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual.binding import Binding
from textual.widgets import Static

from asyncmq_cli.errors import UsageProblem, did_you_mean, nearest
from asyncmq_cli.models.jobs import JobFilter, QueueScope
from asyncmq_cli.models.values import counted
from asyncmq_cli.output.tables import views
from asyncmq_cli.services.jobs.causes import root_error
from asyncmq_cli.ui.jobs.filters import (
    ALL,
    DEAD,
    ORDERED,
    ORDERS,
    STATES,
    WHOLE_LIST,
    flags_of,
    states_line,
    total_of,
)
from asyncmq_cli.ui.jobs.job import as_json
from asyncmq_cli.ui.lists.listing import Held
from asyncmq_cli.ui.lists.panes import RowsPane, clickable
from asyncmq_cli.ui.lists.rows import MOST_STREAMED, Fetched, PagedRows, RowsInSight, StreamedRows
from asyncmq_cli.ui.pages.list_page import ListPage
from asyncmq_cli.ui.plans import edit, queues
from asyncmq_cli.ui.plans import jobs as plans
from asyncmq_cli.ui.plans.jobs import Search
from asyncmq_cli.ui.plans.plan import option_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from textual.app import ComposeResult

    from asyncmq_cli.cli.session import Session
    from asyncmq_cli.errors import AdminError
    from asyncmq_cli.models.jobs import Job
    from asyncmq_cli.models.monitoring.snapshots import Snapshot
    from asyncmq_cli.output.tables.columns import Column
    from asyncmq_cli.ui.plans.plan import Plan


class JobRows(RowsPane["Job"]):
    """The base class of lists of jobs."""

    noun = "job"
    filter_help = "text anywhere in the job, or options: --where EXPR --task NAME --older-than 2h"

    def key(self, row: Job) -> Any:
        return row.queue, row.id

    def label(self, row: Job) -> str:
        return row.id

    def open(self, row: Job) -> None:
        self.ui.open_job(row.queue, row.id)

    deeds = ("retry", "requeue", "run-now", "edit", "cancel", "remove")
    takes_all = True

    @property
    def job_state(self) -> str:
        """The state of the jobs in the list."""
        return DEAD

    @property
    def is_dead(self) -> bool:
        """Whether the list has dead jobs."""
        return self.job_state == DEAD

    def is_small(self, scope: QueueScope, state: str) -> bool:
        """Whether these queues have so few jobs in a state that all of them can be read and sorted."""
        held = self.count(scope, state)
        return held is not None and held <= MOST_STREAMED

    def count(self, scope: QueueScope, state: str) -> int | None:
        """The number of jobs of these queues in a state; None if it is unknown."""
        names = set(scope.names)
        return total_of([row for row in self.ui.snapshot.stats or () if row.name in names], state)

    def search(self, verb: str) -> Callable[[Session], Search]:
        """A function that returns the Search for the whole list. Raises UsageProblem."""
        raise NotImplementedError

    def plan(self, verb: str) -> Callable[[Session], Plan] | None:
        of_dead = self.is_dead and verb in ("retry", "remove")
        if self.listing.marks_all:
            takes = WHOLE_LIST[self.job_state]
            if verb not in takes:
                raise UsageProblem(
                    f"a whole list of {self.job_state} jobs takes no {verb.replace('-', ' ')}",
                    hint=f"it takes {', '.join(takes)}; Space marks single jobs",
                )
            search = self.search(verb)
            return lambda session: plans.of_search(session, verb, search(session))
        by_queue: dict[str, list[str]] = {}
        for job in self.targets():
            by_queue.setdefault(job.queue, []).append(job.id)
        if not by_queue:
            return None
        if verb == "edit":
            return lambda session: edit.of_jobs(session, by_queue)
        return lambda session: plans.of_jobs(session, verb, "dlq" if of_dead else "job", by_queue)

    def deed(self, verb: str) -> tuple[str, list[str]]:
        of_dead = self.is_dead and verb in ("retry", "remove")
        noun = "dlq" if of_dead else "jobs"
        if self.listing.marks_all:
            words = [noun, verb, *self.search_words(verb)] if verb in WHOLE_LIST[self.job_state] else []
            return f"{verb} the whole list", words
        jobs = self.targets()
        queues = {job.queue for job in jobs}
        what = f"{verb} {counted(len(jobs), 'job')}"
        return what, [
            noun,
            verb,
            *(queues if len(queues) == 1 else ()),
            *(job.id for job in jobs),
        ] if jobs else []

    def search_words(self, verb: str) -> list[str]:
        """The words of a command line that select the whole list for a change. Raises UsageProblem."""
        raise NotImplementedError

    async def open_tree(self, row: Job) -> None:
        self.ui.open_tree(
            await self.ui.lanes.call(lambda session: session.job_details.show(row.queue, row.id))
        )

    async def whole(self, row: Job) -> str:
        found = await self.ui.lanes.call(lambda session: session.job_details.show(row.queue, row.id))
        return as_json(found, show_secrets=self.ui.session.show_secrets)


class JobsPane(JobRows):
    """The list of jobs of one queue or all queues in one state: either in queue order, which reads only the
    visible rows, or the matches of a filter."""

    hint = "[ ] state  / filter  t retry  C cancel  D remove  ? keys"

    def __init__(self, queue: str | None, state: str) -> None:
        super().__init__("jobs")
        self.queue = queue
        self._job_state = state
        self.states = STATES if queue is not None else (ALL, *STATES)

    def compose(self) -> ComposeResult:
        yield clickable("states")
        yield from super().compose()

    @property
    def filter_help(self) -> str:  # type: ignore[override]
        across = " --queue GLOB" if self.queue is None else ""
        return f"{super().filter_help}{across}"

    @property
    def every_column(self) -> Sequence[Column[Job]]:
        state = None if self.is_dead else self.job_state
        return views.jobs(
            state,
            show_secrets=self.ui.session.show_secrets,
            with_queue=self.queue is None,
            cause_of=root_error,
        )

    @property
    def empty(self) -> str:  # type: ignore[override]
        return "no jobs yet" if self.job_state == ALL else f"no {self.job_state} job"

    def orders(self) -> Sequence[str]:
        return ORDERS

    @property
    def job_state(self) -> str:
        return self._job_state

    # The queue.

    @property
    def deeds(self) -> tuple[str, ...]:  # type: ignore[override]
        return (*JobRows.deeds, *(() if self.queue is None else ("pause",)))

    def plan(self, verb: str) -> Callable[[Session], Plan] | None:
        name = self.queue
        if verb != "pause" or name is None:
            return super().plan(verb)
        change: Any = "resume" if self._is_paused else "pause"
        return lambda session: queues.of_queues(session, change, [name])

    def deed(self, verb: str) -> tuple[str, list[str]]:
        if verb != "pause" or self.queue is None:
            return super().deed(verb)
        change = "resume" if self._is_paused else "pause"
        return f"{change} this queue", ["queues", change, self.queue]

    @property
    def _is_paused(self) -> bool:
        return any(row.paused for row in self.ui.snapshot.stats or () if row.name == self.queue)

    # The states.

    def followed(self, snapshot: Snapshot) -> None:
        rows = [row for row in snapshot.stats or () if self.queue in (None, row.name)]
        counts = {state: total_of(rows, state) for state in self.states}
        flag = Text()
        if self.queue is not None and rows and (rows[0].paused or rows[0].is_unattended):
            flag = Text(" paused" if rows[0].paused else " no worker", style="bold red")
        room = self.app.size.width - flag.cell_len
        self.query_one("#states", Static).update(
            states_line(self.states, self.job_state, counts, room) + flag
        )

    def choose_state(self, state: str) -> None:
        """Show the jobs of another state."""
        self._job_state = state
        self.fields = []
        self.order = None
        self.listing.empty = ""
        self.listing.unmark()
        self.listing.show(Held([], 0.0), self.columns, again=False)
        self.followed(self.ui.snapshot)
        self.owner.action_again()

    def turn(self, by: int) -> None:
        """Show the jobs of the next or previous state."""
        self.choose_state(self.states[(self.states.index(self.job_state) + by) % len(self.states)])

    # Reading.

    def scope(self) -> QueueScope:
        """The queue, or the queues that match the filter. Raises UsageProblem."""
        if self.queue is not None:
            return QueueScope.of(self.queue)
        glob = self._flags().get("queue")
        names = [row.name for row in self.ui.snapshot.stats or ()]
        if glob is None:
            return QueueScope(None, names)
        chosen = [name for name in names if name == glob or fnmatchcase(name, glob)]
        if not chosen:
            raise UsageProblem(f"no queue is named {glob!r}", hint=did_you_mean(nearest(glob, names)))
        return QueueScope(None, chosen, [glob])

    def _flags(self) -> dict[str, str]:
        return flags_of(self.text, across=self.queue is None)

    def _narrows(self) -> bool:
        """Whether jobs must be read to know which of them match."""
        return bool(set(self._flags()) - {"queue"})

    def search(self, verb: str) -> Callable[[Session], Search]:
        flags, scope, words = self._flags(), self.scope(), self.search_words(verb)
        state = None if self.is_dead else self.job_state
        return lambda session: Search(scope, state, session.filter_of(flags), words)

    def search_words(self, verb: str) -> list[str]:
        # Run-now always selects delayed jobs, so it takes no --state.
        chosen = [] if self.is_dead or verb == "run-now" else ["--state", self.job_state]
        return [*self._named(), *([*chosen, *option_words(self._flags())] or ["--all"])]

    @property
    def known_total(self) -> int | None:
        return None if self._narrows() else self.count(self.scope(), self.job_state)

    def _named(self) -> list[str]:
        return [] if self.queue is None else [self.queue]

    @property
    def _sort(self) -> str | None:
        """The chosen order. If none was chosen, newest first, provided that Redis has no order for these jobs
        and they are few enough to sort; else None."""
        if self.order is not None or (self.job_state in ORDERED and not self._narrows()):
            return self.order
        return "newest" if self.is_small(self.scope(), self.job_state) else None

    def opened(self, drawn: Callable[[], None], failed: Callable[[AdminError], None]) -> RowsInSight[Job]:
        flags, scope, state, order = self._flags(), self.scope(), self.job_state, self._sort
        if state in ORDERED and not self._narrows() and order in (None, "queue"):
            return PagedRows(self.ui.lanes, partial(_page, scope, state), drawn, failed)

        def every(session: Session) -> Iterator[Job]:
            wanted = session.filter_of(flags)
            if state == DEAD:
                return session.dlq.every(scope, wanted, sort=order)
            return session.jobs.every(scope, state, wanted, sort=order)

        return StreamedRows(self.ui.lanes.new(), every, drawn, failed)

    def command(self) -> list[str]:
        order = ["--sort", self._sort] if self._sort else []
        filters = option_words(self._flags())
        if self.is_dead:
            return ["dlq", "list", *self._named(), *filters, *order]
        state = ["--state", self.job_state]
        return ["jobs", "list", *self._named(), *state, *filters, *(order or ["--sort", "queue"])]


def _page(scope: QueueScope, state: str, session: Session, page: int, size: int) -> Fetched[Job]:
    """Read a page in queue order. Several queues are read one after the other."""
    if state == DEAD and scope.queue is not None:
        found = session.dlq.page(scope, JobFilter(), sort="newest", page=page, size=size)
    else:
        place = "dlq" if state == DEAD else state
        found = session.jobs.page(scope, place, JobFilter(), sort="queue", page=page, size=size, exact=False)
    return Fetched(found.jobs, found.total, session.now())


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
