"""Lists of jobs: those of a queue, state by state, and those that died of one cause."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual.binding import Binding
from textual.widgets import Static

from asyncmq_cli.cli.targets import FILTERS, filter_of
from asyncmq_cli.errors import UsageProblem
from asyncmq_cli.models.jobs import JobFilter
from asyncmq_cli.models.queues import QueueScope
from asyncmq_cli.output.tables import views
from asyncmq_cli.output.tables.tables import STATE_STYLES, counted
from asyncmq_cli.services.jobs.traceback import raised_first
from asyncmq_cli.ui import plans
from asyncmq_cli.ui.job import as_json
from asyncmq_cli.ui.listing import Held
from asyncmq_cli.ui.page import ListPage
from asyncmq_cli.ui.panes import RowsPane
from asyncmq_cli.ui.rows import Fetched, PagedRows, RowsInSight, StreamedRows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from textual.app import ComposeResult

    from asyncmq_cli.cli.session import Session
    from asyncmq_cli.errors import AdminError
    from asyncmq_cli.models.failures import FailureGroup
    from asyncmq_cli.models.jobs import Job
    from asyncmq_cli.models.queues import QueueStats
    from asyncmq_cli.models.snapshots import Snapshot
    from asyncmq_cli.output.tables.columns import Column

DEAD = "dead"
STATES = ("waiting", "active", "delayed", DEAD, "completed", "cancelled", "waiting-children")
"""`dead` is the dead-letter queue: failed and expired jobs, the last that died first."""
_ORDERED = ("waiting", "active", "delayed", DEAD)
"""States whose place has an order, so that a page costs a page."""
_FIELDS = {DEAD: "dlq", "waiting-children": "waiting_children"}
_SHORT = {"waiting-children": "children"}
ORDERS = ("queue", "newest", "oldest")


def count_of(row: QueueStats | None, state: str) -> int | None:
    """How many jobs of a state the queue has, by its row; None where that is not known."""
    return None if row is None else getattr(row, _FIELDS.get(state, state))


def flags_of(text: str) -> dict[str, str]:
    """The filter that was typed, by the names of the options: a text is that of --q, and options are read as
    on the command line. Raises UsageProblem."""
    if not text.lstrip().startswith("--"):
        return {"q": text} if text.strip() else {}
    try:
        words = shlex.split(text)
    except ValueError as exc:
        raise UsageProblem(f"this filter cannot be read: {exc}") from exc
    found: dict[str, str] = {}
    while words:
        option, given, value = words.pop(0).partition("=")
        name = option.removeprefix("--").replace("-", "_")
        if not option.startswith("--") or name not in FILTERS:
            known = ", ".join(f"--{each.replace('_', '-')}" for each in FILTERS)
            raise UsageProblem(f"no such filter {option!r}", hint=f"choose from {known}")
        if not given:
            if not words:
                raise UsageProblem(f"{option} needs a value")
            value = words.pop(0)
        found[name] = value
    return found


def words_of(flags: dict[str, str]) -> list[str]:
    """The same as options."""
    return [word for name, value in flags.items() for word in (f"--{name.replace('_', '-')}", value)]


class JobRows(RowsPane["Job"]):
    """What lists of jobs have in common."""

    noun = "job"
    filter_help = "text anywhere in the job, or options: --where EXPR --task NAME --older-than 2h"

    def key(self, row: Job) -> Any:
        return row.queue, row.id

    def label(self, row: Job) -> str:
        return row.id

    def open(self, row: Job) -> None:
        self.ui.open_job(row.queue, row.id)

    deeds = ("retry", "requeue", "cancel", "remove")
    takes_all = True

    @property
    def is_dead(self) -> bool:
        """Whether it lists dead letters."""
        return True

    def search(self) -> Callable[[Session], plans.Search]:
        """What selects the whole list. Raises UsageProblem."""
        raise NotImplementedError

    def plan(self, verb: str) -> Callable[[Session], plans.Plan] | None:
        of_dead = self.is_dead and verb in ("retry", "remove")
        if self.listing.marks_all:
            if self.is_dead and not of_dead:
                raise UsageProblem(f"dead jobs can be retried or removed, but there is nothing to {verb}")
            search = self.search()
            return lambda session: plans.of_search(session, verb, search(session))
        by_queue: dict[str, list[str]] = {}
        for job in self.targets():
            by_queue.setdefault(job.queue, []).append(job.id)
        if not by_queue:
            return None
        return lambda session: plans.of_jobs(session, verb, "dlq" if of_dead else "job", by_queue)

    def deed(self, verb: str) -> tuple[str, list[str]]:
        of_dead = self.is_dead and verb in ("retry", "remove")
        noun = "dlq" if of_dead else "jobs"
        if self.listing.marks_all:
            return f"{verb} the whole list", [
                noun,
                verb,
                *self.search_words(),
            ] if of_dead or not self.is_dead else []
        jobs = self.targets()
        queues = {job.queue for job in jobs}
        what = f"{verb} {counted(len(jobs), 'job')}"
        return what, [
            noun,
            verb,
            *(queues if len(queues) == 1 else ()),
            *(job.id for job in jobs),
        ] if jobs else []

    def search_words(self) -> list[str]:
        """The words of the command line that select the whole list. Raises UsageProblem."""
        raise NotImplementedError

    async def whole(self, row: Job) -> str:
        found = await self.ui.lanes.call(lambda session: session.jobs.show(row.queue, row.id))
        return as_json(found, show_secrets=self.ui.session.show_secrets)


class JobsPane(JobRows):
    """Jobs in the order of their place, which costs no more than what is in sight, or those that a filter
    finds."""

    noun = "job"
    filter_help = (
        "text anywhere in the job, or options: --task NAME --job-id ID --older-than 2h --newer-than 1d"
    )

    def __init__(self, queue: str, state: str) -> None:
        super().__init__("jobs")
        self.queue = queue
        self.job_state = state

    @property
    def every_column(self) -> Sequence[Column[Job]]:
        state = None if self.job_state == DEAD else self.job_state
        return views.jobs(state, show_secrets=self.ui.session.show_secrets, cause_of=raised_first)

    @property
    def empty(self) -> str:  # type: ignore[override]
        return f"no {self.job_state} job"

    def orders(self) -> Sequence[str]:
        return ORDERS

    @property
    def is_dead(self) -> bool:
        return self.job_state == DEAD

    def search(self) -> Callable[[Session], plans.Search]:
        flags, state = flags_of(self.text), self.job_state
        scope, in_state, words = (
            QueueScope.of(self.queue),
            None if self.is_dead else state,
            self.search_words(),
        )
        return lambda session: plans.Search(scope, in_state, filter_of(flags, session.now), words)

    def search_words(self) -> list[str]:
        chosen = [] if self.is_dead else ["--state", self.job_state]
        return [self.queue, *([*chosen, *words_of(flags_of(self.text))] or ["--all"])]

    def wanted(self, session: Session) -> JobFilter:
        """The filter that was typed. Raises UsageProblem."""
        return filter_of(flags_of(self.text), session.now)

    def opened(self, drawn: Callable[[], None], failed: Callable[[AdminError], None]) -> RowsInSight[Job]:
        flags_of(self.text)
        is_sorted = self.order not in (None, "queue")
        if self.job_state in _ORDERED and not self.text and not is_sorted:
            return PagedRows(self.ui.lanes, self._fetch, drawn, failed)
        scope, state, order = QueueScope.of(self.queue), self.job_state, self.order

        def every(session: Session) -> Iterator[Job]:
            wanted = self.wanted(session)
            if state == DEAD:
                return session.dlq.every(scope, wanted, sort=order)
            return session.jobs.every(scope, state, wanted, sort=order)

        return StreamedRows(self.ui.lanes.new(), every, drawn, failed)

    def _fetch(self, session: Session, page: int, size: int) -> Fetched[Job]:
        wanted, scope = JobFilter(), QueueScope.of(self.queue)
        if self.job_state == DEAD:
            found = session.dlq.page(scope, wanted, sort="newest", page=page, size=size)
        else:
            found = session.jobs.page(
                scope, self.job_state, wanted, sort="queue", page=page, size=size, exact=False
            )
        return Fetched(found.jobs, found.total, session.now())

    def command(self) -> list[str]:
        order = ["--sort", self.order] if self.order else []
        filters = words_of(flags_of(self.text))
        if self.job_state == DEAD:
            return ["dlq", "list", self.queue, *filters, *order]
        return [
            "jobs",
            "list",
            self.queue,
            "--state",
            self.job_state,
            *filters,
            *(order or ["--sort", "queue"]),
        ]


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
            line.append(f" {_SHORT.get(state, state)} {shown} ", style=style).append(" ")
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


class GroupPane(JobRows):
    """The dead jobs of one cause, in all queues that have any."""

    def __init__(self, group: FailureGroup) -> None:
        super().__init__("jobs")
        self.group = group

    @property
    def every_column(self) -> Sequence[Column[Job]]:
        several = len(self.group.queues) > 1
        return views.jobs(
            None, show_secrets=self.ui.session.show_secrets, with_queue=several, cause_of=raised_first
        )

    @property
    def empty(self) -> str:  # type: ignore[override]
        return "no dead job of this cause any more"

    def orders(self) -> Sequence[str]:
        return ()

    def opened(self, drawn: Callable[[], None], failed: Callable[[AdminError], None]) -> RowsInSight[Job]:
        flags, scope = self._flags(), scope_of(self.group)

        def matching(session: Session) -> Iterator[Job]:
            return session.dlq.matching(scope, filter_of(flags, session.now))

        return StreamedRows(self.ui.lanes.new(), matching, drawn, failed)

    def _flags(self) -> dict[str, str]:
        return {"group": self.group.id or "", **flags_of(self.text)}

    def search(self) -> Callable[[Session], plans.Search]:
        flags, scope, words = self._flags(), scope_of(self.group), self.search_words()
        return lambda session: plans.Search(scope, None, filter_of(flags, session.now), words)

    def search_words(self) -> list[str]:
        return [*named(scope_of(self.group)), *words_of(self._flags())]

    @property
    def progress(self) -> str | None:
        rows = self.read_rows
        if not isinstance(rows, StreamedRows):
            return None
        return f"searching: {rows.searched:,} dead jobs read, {rows.found:,} of this cause"

    def command(self) -> list[str]:
        return ["dlq", "list", *self.search_words()]


def scope_of(group: FailureGroup) -> QueueScope:
    """The queues in which jobs died of this cause."""
    queues = group.queues
    return QueueScope.of(queues[0]) if len(queues) == 1 else QueueScope(None, queues)


def named(scope: QueueScope) -> list[str]:
    """The queue, if it is one alone, for a command line."""
    return [] if scope.queue is None else [scope.queue]


class GroupPage(ListPage):
    """One cause, and the jobs that died of it."""

    keys: ClassVar[str] = "Enter open  / filter  Space mark  * all  t retry  D remove  Esc back  ? keys"

    def __init__(self, group: FailureGroup) -> None:
        super().__init__()
        self.group = group
        self._pane = GroupPane(group)

    @property
    def pane(self) -> GroupPane:
        return self._pane

    @property
    def path(self) -> tuple[str, ...]:
        return ("failures", self.group.id or "")

    def body(self) -> ComposeResult:
        from asyncmq_cli.output.redaction.redact import redact_text
        from asyncmq_cli.output.text.escape import escape

        group = self.group
        shown = group.cause if self.ui.session.show_secrets else redact_text(group.cause)
        yield Static(Text(escape(shown), style="red"), id="cause", markup=False)
        yield self._pane


def first_state(row: QueueStats | None) -> str:
    """The state with which a queue opens: its dead jobs, if there are any."""
    return next((state for state in (DEAD, *STATES) if count_of(row, state)), STATES[0])
