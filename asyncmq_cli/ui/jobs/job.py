"""The page of one job: why it failed, and its arguments."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.widgets import Static

from asyncmq_cli.output.json import documents
from asyncmq_cli.output.json.text import encode
from asyncmq_cli.output.text import job_detail
from asyncmq_cli.ui.dialogs.palette import Entry
from asyncmq_cli.ui.pages.page import DEEDS, Page
from asyncmq_cli.ui.plans import jobs as plans

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from asyncmq_cli.models.jobs import JobDetail

_OF_LISTS = ("pause", "add")


class JobPage(Page):
    """The page of one job, with the same content as `jobs show`."""

    keys: ClassVar[str] = "↑/↓ scroll  o tree  t retry  e edit  C cancel  D remove  Esc back  ? keys"
    help: ClassVar[str] = """\
Up, Down     scroll
o            the job as a tree that folds and can be searched
t, u, n      retry; requeue; run now what is delayed
e            edit in $EDITOR; a dead job is retried with it
C, D         cancel; remove
y, Y         copy the id; everything as JSON
r            read the job again
Esc          back"""

    BINDINGS: ClassVar = [
        Binding("o", "whole", "as a tree", show=False),
        Binding("y", "copy", "copy the id", show=False),
        Binding("Y", "copy_whole", "copy as JSON", show=False),
        *(Binding(key, f"deed('{verb}')", verb, show=False) for key, verb in DEEDS.items()),
    ]

    def __init__(self, queue: str, job_id: str) -> None:
        super().__init__()
        self.queue = queue
        self.job_id = job_id
        self.detail: JobDetail | None = None

    @property
    def path(self) -> tuple[str, ...]:
        return (self.queue, self.job_id)

    def body(self) -> ComposeResult:
        with VerticalScroll(id="detail"):
            yield Static(id="job", markup=False)

    async def load(self) -> None:
        """Read the job. Raises AdminError, which is JobNotFound if the job is gone."""
        found, now = await self.ui.lanes.call(
            lambda session: (session.job_details.show(self.queue, self.job_id), session.now())
        )
        self.detail = found
        session = self.ui.session
        lines = job_detail.job_lines(found, now=now, show_secrets=session.show_secrets, full=session.full)
        self.query_one("#job", Static).update(job_detail.coloured(lines))

    def action_whole(self) -> None:
        if self.detail is not None:
            self.ui.open_tree(self.detail)

    def entries(self) -> list[Entry]:
        where = [self.queue, self.job_id]
        shows = ["jobs", "show", *where]
        deeds = [
            Entry(
                f"{verb.replace('-', ' ')} this job ({key})",
                partial(self.action_deed, verb),
                ["jobs", verb, *where],
            )
            for key, verb in DEEDS.items()
            if verb not in _OF_LISTS
        ]
        return [
            *deeds,
            Entry("this job: copy its command line", partial(self.copy_line, shows), shows),
            Entry("open it as a tree (o)", self.action_whole),
            Entry("copy the id (y)", self.action_copy),
            Entry("copy as JSON (Y)", self.action_copy_whole, ["jobs", "show", *where, "--json"]),
            *super().entries(),
        ]

    def action_deed(self, verb: str) -> None:
        """Open the dialog of a change of this job."""
        if verb in _OF_LISTS:
            return
        if verb == "edit":
            self.edit(self.queue, self.job_id)
            return
        by_queue = {self.queue: [self.job_id]}
        self.ask_about(lambda session: plans.of_jobs(session, verb, "job", by_queue))

    def action_copy(self) -> None:
        self.copy(self.job_id)

    def action_copy_whole(self) -> None:
        if self.detail is not None:
            self.copy(as_json(self.detail, show_secrets=self.ui.session.show_secrets))


def as_json(detail: JobDetail, *, show_secrets: bool) -> str:
    """The job as in `jobs show --json`."""
    return encode(documents.job_detail(detail, show_secrets=show_secrets)).decode()
