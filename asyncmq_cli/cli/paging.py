"""Lists of jobs: one page or every match, with notes about what is not shown."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

from asyncmq_cli.cli.params import option, whole_number
from asyncmq_cli.models.jobs import whole_page

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from asyncmq_cli.cli.session import Session
    from asyncmq_cli.models.job_lists import JobPage
    from asyncmq_cli.models.jobs import Job
    from asyncmq_cli.models.queues import QueueScope

_USUAL_SIZE, _LARGEST = 20, 1000
_EVERYWHERE = "--state all searches every state"

PageOption = Annotated[
    int | None, option("--page", "N", "Page number. [default: 1]", callback=whole_number(1))
]


def size_option(things: str) -> Any:
    text = f"{things} per page, 1 to {_LARGEST}. [default: {_USUAL_SIZE}]"
    return option("--size", "N", text, callback=whole_number(1, _LARGEST))


SizeOption = Annotated[int | None, size_option("Jobs")]


@dataclass(frozen=True, slots=True)
class Paging:
    """The page and the size that were asked for, None where they were not."""

    asked_page: int | None
    asked_size: int | None

    def is_of_all(self, session: Session) -> bool:
        """Whether every match is printed: NDJSON always has all, ids and CSV if nobody asked for a page."""
        unasked = self.asked_page is None and self.asked_size is None
        return session.out.for_streams and (unasked or session.out.format == "ndjson")

    @property
    def page(self) -> int:
        return self.asked_page or 1

    @property
    def size(self) -> int:
        return self.asked_size or _USUAL_SIZE

    def note_more(
        self, session: Session, shown: int, total: int, things: str = "jobs", *, is_exact: bool = True
    ) -> None:
        """Note in a pipe that this is one page: there is no footer that says so, and nobody asked for a
        page."""
        unasked = self.asked_page is None and self.asked_size is None
        if unasked and shown < total and session.out.format == "tabs":
            of = f"{total:,}" if is_exact else f"at most {total:,}"
            session.out.remark(
                "note", f"{shown:,} of {of} {things}; --ndjson gives all, --size up to {_LARGEST}"
            )


def print_page(session: Session, page: JobPage) -> None:
    from asyncmq_cli.output.json import documents
    from asyncmq_cli.output.tables import views

    secrets = session.show_secrets
    if session.out.format == "json":
        page = replace(page, jobs=whole_page(page.jobs, session.config.max_decoded))
    session.warn_of_problems(page.jobs)
    if session.out.format == "json":
        session.out.document(documents.job_page(page, show_secrets=secrets))
    else:
        session.out.rows(page.jobs, _columns(session, page.state, page.queue), now=session.now())
        session.out.footer(views.page_footer(page))


def order_of_all(session: Session, sort: str | None, usual: str = "newest") -> str | None:
    """The order of a list that is printed whole: that of the table, but for NDJSON as found, which takes
    constant memory."""
    return sort if session.out.format == "ndjson" else sort or usual


def _columns(session: Session, state: str | None, queue: str | None) -> Any:
    from asyncmq_cli.output.tables import views

    # Whoever names columns may name this one too.
    with_queue = queue is None or "fields" in session.flags
    return views.jobs(state, show_secrets=session.show_secrets, with_queue=with_queue)


def print_every(session: Session, scope: QueueScope, jobs: Iterable[Job], *, dead: bool = False) -> None:
    """Print every job as it is read: one object or one id per line."""
    from asyncmq_cli.output.json import documents

    secrets = session.show_secrets
    one = documents.dead_job_line if dead else documents.job_line
    if session.out.format == "ndjson":
        jobs = (job.whole() for job in jobs)
    session.listing(
        session.warning_of_problems(jobs),
        _columns(session, None if dead else "all", scope.queue),
        list,
        lambda job: one(job, show_secrets=secrets),
    )


def note_no_match(session: Session, total: int, state: str, others: str | None = _EVERYWHERE) -> None:
    """Note which state was searched when a filter finds nothing there, and the option that searches the
    `others`."""
    if total or state == "all" or session.out.for_programs:
        return
    what = f"no {state} job matches" if session.filter.narrows else f"there is no {state} job"
    session.out.remark("note", "; ".join(filter(None, (what, others))))


def noting_no_match(session: Session, jobs: Iterable[Job], state: str) -> Iterator[Job]:
    """The same jobs, as they come."""
    total = 0
    for job in jobs:
        total += 1
        yield job
    if session.filter.narrows:
        note_no_match(session, total, state)
