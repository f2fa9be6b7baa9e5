"""Lists of jobs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from asyncmq_cli.cli.targets import filter_of
from asyncmq_cli.errors import UsageProblem
from asyncmq_cli.models.jobs import JobFilter
from asyncmq_cli.models.queues import QueueScope
from asyncmq_cli.output.tables import views
from asyncmq_cli.output.tables.tables import counted
from asyncmq_cli.services.jobs.causes import root_error
from asyncmq_cli.ui.jobs.filters import DEAD, ORDERED, ORDERS, flags_of, words_of
from asyncmq_cli.ui.jobs.job import as_json
from asyncmq_cli.ui.lists.panes import RowsPane
from asyncmq_cli.ui.lists.rows import Fetched, PagedRows, RowsInSight, StreamedRows
from asyncmq_cli.ui.plans import jobs as plans
from asyncmq_cli.ui.plans.jobs import Search

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asyncmq_cli.cli.session import Session
    from asyncmq_cli.errors import AdminError
    from asyncmq_cli.models.jobs import Job
    from asyncmq_cli.output.tables.columns import Column
    from asyncmq_cli.ui.plans.plan import Plan


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

    def search(self) -> Callable[[Session], Search]:
        """What selects the whole list. Raises UsageProblem."""
        raise NotImplementedError

    def plan(self, verb: str) -> Callable[[Session], Plan] | None:
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
        return views.jobs(state, show_secrets=self.ui.session.show_secrets, cause_of=root_error)

    @property
    def empty(self) -> str:  # type: ignore[override]
        return f"no {self.job_state} job"

    def orders(self) -> Sequence[str]:
        return ORDERS

    @property
    def is_dead(self) -> bool:
        return self.job_state == DEAD

    def search(self) -> Callable[[Session], Search]:
        flags, state = flags_of(self.text), self.job_state
        scope, in_state, words = (
            QueueScope.of(self.queue),
            None if self.is_dead else state,
            self.search_words(),
        )
        return lambda session: Search(scope, in_state, filter_of(flags, session.now), words)

    def search_words(self) -> list[str]:
        chosen = [] if self.is_dead else ["--state", self.job_state]
        return [self.queue, *([*chosen, *words_of(flags_of(self.text))] or ["--all"])]

    def wanted(self, session: Session) -> JobFilter:
        """The filter that was typed. Raises UsageProblem."""
        return filter_of(flags_of(self.text), session.now)

    def opened(self, drawn: Callable[[], None], failed: Callable[[AdminError], None]) -> RowsInSight[Job]:
        flags_of(self.text)
        is_sorted = self.order not in (None, "queue")
        if self.job_state in ORDERED and not self.text and not is_sorted:
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
