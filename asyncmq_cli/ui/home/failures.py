"""Dead jobs grouped by cause, and the page with the jobs of one cause."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from rich.style import Style
from rich.text import Text
from textual.widgets import Static

from asyncmq_cli.errors import Halted
from asyncmq_cli.models.failures import NO_GROUPS
from asyncmq_cli.models.jobs import JobFilter, QueueScope
from asyncmq_cli.models.values import counted
from asyncmq_cli.output.tables import failure_groups, views
from asyncmq_cli.output.text.escape import escape
from asyncmq_cli.services.jobs.causes import root_error
from asyncmq_cli.ui.jobs.filters import flags_of, named, scope_of
from asyncmq_cli.ui.jobs.lists import JobRows
from asyncmq_cli.ui.lists.panes import HeldPane
from asyncmq_cli.ui.lists.rows import RowsInSight, StreamedRows
from asyncmq_cli.ui.pages.list_page import ListPage
from asyncmq_cli.ui.plans import jobs as plans
from asyncmq_cli.ui.plans.jobs import Search
from asyncmq_cli.ui.plans.plan import option_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from textual.app import ComposeResult

    from asyncmq_cli.cli.session import Session
    from asyncmq_cli.errors import AdminError
    from asyncmq_cli.models.failures import FailureGroup, FailureGroups
    from asyncmq_cli.models.jobs import Job
    from asyncmq_cli.output.tables.columns import Column
    from asyncmq_cli.ui.lanes import Lane
    from asyncmq_cli.ui.plans.plan import Plan

_SPANS = 8
"""The width of the graph of deaths over time, in characters."""


class GroupPane(JobRows):
    """The list of the dead jobs of one cause, in all queues that have any."""

    def __init__(self, group: FailureGroup) -> None:
        super().__init__("jobs")
        self.group = group

    @property
    def every_column(self) -> Sequence[Column[Job]]:
        several = len(self.group.queues) > 1
        return views.jobs(
            None, show_secrets=self.ui.session.show_secrets, with_queue=several, cause_of=root_error
        )

    @property
    def empty(self) -> str:  # type: ignore[override]
        return "no dead job of this cause is left"

    def orders(self) -> Sequence[str]:
        return ()

    def opened(self, drawn: Callable[[], None], failed: Callable[[AdminError], None]) -> RowsInSight[Job]:
        flags, scope = self._flags(), scope_of(self.group)
        sort = "newest" if self.is_small(scope, self.job_state) else None

        def matching(session: Session) -> Iterator[Job]:
            return session.dlq.every(scope, session.filter_of(flags), sort=sort)

        return StreamedRows(self.ui.lanes.new(), matching, drawn, failed)

    def _flags(self) -> dict[str, str]:
        return {"group": self.group.id or "", **flags_of(self.text)}

    def search(self, verb: str) -> Callable[[Session], Search]:
        flags, scope, words = self._flags(), scope_of(self.group), self.search_words(verb)
        return lambda session: Search(scope, None, session.filter_of(flags), words)

    def search_words(self, verb: str = "") -> list[str]:
        return [*named(scope_of(self.group)), *option_words(self._flags())]

    @property
    def progress(self) -> str | None:
        rows = self.read_rows
        if not isinstance(rows, StreamedRows):
            return None
        return f"searching: {rows.searched:,} dead jobs read, {rows.found:,} of this cause"

    def command(self) -> list[str]:
        return ["dlq", "list", *self.search_words()]


class GroupPage(ListPage):
    """The page of one cause and its dead jobs."""

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
        shown = views.shown_text(self.ui.session.show_secrets)(self.group.cause)
        yield Static(Text(escape(shown), style=Style.parse("red")), id="cause", markup=False)
        yield self._pane


class FailuresPane(HeldPane["FailureGroup"]):
    """The list of root causes. It reads all dead jobs of all queues once, when the tab is opened."""

    noun, empty = "cause", "no dead jobs"
    deeds = ("retry", "remove")
    hint = "/ filter  t retry  D remove  : palette  ? keys  q quit"

    def plan(self, verb: str) -> Callable[[Session], Plan] | None:
        group = self.listing.current
        if group is None or group.id is None:
            return None
        words = self.deed(verb)[1][2:]
        found = Search(scope_of(group), None, JobFilter(group=group.id), words)
        return lambda session: plans.of_search(session, verb, found)

    def deed(self, verb: str) -> tuple[str, list[str]]:
        group = self.listing.current
        if group is None or group.id is None:
            return verb, []
        what = f"{verb} {counted(group.count, 'job')} of this cause"
        return what, ["dlq", verb, *named(scope_of(group)), "--group", group.id]

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._found: FailureGroups = NO_GROUPS
        self._lane: Lane | None = None

    @property
    def every_column(self) -> Sequence[Column[FailureGroup]]:
        out = self.ui.session.out
        return failure_groups.groups(
            self._found,
            show_secrets=self.ui.session.show_secrets,
            spark=_SPANS if out.has_blocks else 0,
            utc=out.utc,
        )

    @property
    def columns(self) -> Sequence[Column[FailureGroup]]:
        if self.fields:
            return super().columns
        spark = _SPANS if self.ui.session.out.has_blocks else 0
        return failure_groups.groups_for_people(self._found, self.every_column, spark=spark)

    def key(self, row: FailureGroup) -> Any:
        return row.id

    async def load(self) -> None:
        self.halt()
        lane = self._lane = self.ui.lanes.new()
        every = QueueScope(None, [row.name for row in self.ui.snapshot.stats or ()])
        try:
            found = await lane.call(lambda session: session.dlq.groups(every, JobFilter()))
        except Halted:
            self.owner.note = "reading was stopped; r reads again"
            return
        finally:
            # If another tab was chosen, nobody waits for the result any more.
            lane.halt()
            lane.close()
            if self._lane is lane:
                self._lane = None
        self._found = found
        self.put(found.groups, found.read_at)

    @property
    def state(self) -> str:
        found = self._found
        if not self.is_read or self.text:
            return super().state
        return f"{counted(found.scanned, 'dead job')}, {counted(len(found.groups), 'cause')}"

    @property
    def progress(self) -> str | None:
        if self._lane is None:
            return None
        dead = sum(row.dlq or 0 for row in self.ui.snapshot.stats or ())
        return f"reading dead jobs: {self._lane.jobs_read:,} of {dead:,}"

    def halt(self) -> bool:
        if self._lane is None:
            return False
        self._lane.halt()
        return True

    def close(self) -> None:
        self.halt()

    def open(self, row: FailureGroup) -> None:
        self.ui.open_group(row)

    def command(self) -> list[str]:
        return ["dlq", "groups"]
