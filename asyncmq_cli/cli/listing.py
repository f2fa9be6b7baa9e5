"""Print lists: one page or every match, with notes about what is not shown, and warnings about what could
not be read."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from asyncmq_cli.cli.options import option, whole_number
from asyncmq_cli.cli.session import FILTERS
from asyncmq_cli.errors import command_line
from asyncmq_cli.models.jobs import whole_page
from asyncmq_cli.models.values import chunked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from asyncmq_cli.cli.session import Session
    from asyncmq_cli.models.jobs import Job, JobPage, QueueScope
    from asyncmq_cli.models.queues import QueueStats
    from asyncmq_cli.models.repeatables import Repeatable
    from asyncmq_cli.output.tables.columns import Column

_USUAL_SIZE, _LARGEST = 20, 1000
_PROBLEMS_NAMED = 5
_ENCODED_AT_ONCE = 4 * 1024 * 1024
"""Bytes. An encoded piece is not much larger, so that large jobs do not add up."""
_EVERYWHERE = "--state all searches every state"

Listed = TypeVar("Listed", "Job", "Repeatable")
T = TypeVar("T")

PageOption = Annotated[
    int | None, option("--page", "N", "Page number. [default: 1]", callback=whole_number(1))
]


def size_option(things: str) -> Any:
    text = f"{things} per page, 1 to {_LARGEST}. [default: {_USUAL_SIZE}]"
    return option("--size", "N", text, callback=whole_number(1, _LARGEST))


SizeOption = Annotated[int | None, size_option("Jobs")]


class Paging(Struct, frozen=True):
    """The values of --page and --size, or None."""

    asked_page: int | None
    asked_size: int | None

    def is_of_all(self, session: Session) -> bool:
        """Whether to print every match instead of a page: always for NDJSON, and for ids and CSV unless
        --page or --size is given."""
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
        """In a pipe, which has no footer, note that only one page was printed, unless a page was asked
        for."""
        unasked = self.asked_page is None and self.asked_size is None
        if unasked and shown < total and session.out.format == "tabs":
            of = f"{total:,}" if is_exact else f"at most {total:,}"
            session.out.remark(
                "note", f"{shown:,} of {of} {things}; --ndjson gives all, --size up to {_LARGEST}"
            )


def warning_of_problems(session: Session, jobs: Iterable[Listed], noun: str = "job") -> Iterator[Listed]:
    """Yield the same jobs. For the first few that could not be read in full, print a warning that names
    them."""
    return _warning(
        session,
        jobs,
        lambda job: job.problem and f"{noun} {job.id!r} in {job.queue!r}: {job.problem}",
        lambda more: f"{more:,} more {noun}s could not be read whole",
    )


def warn_of_problems(session: Session, jobs: Iterable[Listed], noun: str = "job") -> None:
    for _ in warning_of_problems(session, jobs, noun):
        pass


def warning_of_queues(session: Session, rows: Iterable[QueueStats]) -> Iterator[QueueStats]:
    """Yield the same rows. For the first few whose states contradict their sizes, print a warning that names
    them."""

    def text(row: QueueStats) -> str | None:
        if row.problem is None:
            return None
        finds = command_line("doctor", row.name)
        return f"queue {row.name!r}: {row.problem}; {finds} finds the cause"

    return _warning(
        session, rows, text, lambda more: f"the states of {more:,} more queues contradict their sizes"
    )


def _warning(
    session: Session, rows: Iterable[T], text: Callable[[T], str | None], of_more: Callable[[int], str]
) -> Iterator[T]:
    problems = 0
    for row in rows:
        if problem := text(row):
            problems += 1
            if problems <= _PROBLEMS_NAMED:
                session.out.remark("warning", problem)
        yield row
    if problems > _PROBLEMS_NAMED:
        session.out.remark("warning", of_more(problems - _PROBLEMS_NAMED))


def note_no_queue(session: Session, globs: Sequence[str] = ()) -> None:
    """Note that no queue was found, and on which Redis: an empty list may mean the wrong database."""
    if session.out.for_programs and not globs:
        return
    where = session.config.shown_url
    named = f"no queue matches {' or '.join(map(repr, globs))} on {where}"
    session.out.remark("note", named if globs else f"no queues on {where}: is it the right database?")


def note_no_queue_in(session: Session, scope: QueueScope) -> None:
    """Note that the list is empty because there are no queues, or none that matches --queue."""
    if scope.queue is None and not scope.names:
        note_no_queue(session, scope.globs)


def print_jobs(
    session: Session,
    queue: str | None,
    state: str | None,
    sort: str | None,
    asked: Paging,
    usual: str = "newest",
) -> None:
    """Print the jobs in a state, or the dead ones if `state` is None: one page or every match."""
    wanted, scope = session.filter, session.scope(queue)
    if asked.is_of_all(session):
        order = order_of_all(session, sort, usual)
        if order is None and session.out.prints_lines:
            print_shared(session, state, partial(session.jobs.shared, scope, state or "dlq", wanted))
            return
        if state is None:
            jobs = session.dlq.every(scope, wanted, sort=order)
        else:
            jobs = session.jobs.every(scope, state, wanted, sort=order)
        print_every(session, scope, state, noting_no_match(session, scope, jobs, state))
        return
    order, page, size = sort or usual, asked.page, asked.size
    if state is None:
        found = session.dlq.page(scope, wanted, sort=order, page=page, size=size)
    else:
        exact = session.out.format == "json"
        found = session.jobs.page(scope, state, wanted, sort=order, page=page, size=size, exact=exact)
    print_page(session, found)
    note_no_queue_in(session, scope)
    if wanted.narrows and not found.total and not session.out.for_programs:
        note_where_it_matches(session, scope, state)
    elif state is not None and queue is not None and not found.total and session.out.for_people:
        say_where_jobs_are(session, queue)
    asked.note_more(session, len(found.jobs), found.total, is_exact=found.is_exact)


def print_page(session: Session, page: JobPage) -> None:
    from asyncmq_cli.output.json import documents
    from asyncmq_cli.output.tables import views

    secrets = session.show_secrets
    if session.out.format == "json":
        page = replace(page, jobs=whole_page(page.jobs, session.config.max_decoded))
    warn_of_problems(session, page.jobs)
    if session.out.format == "json":
        session.out.long_document(*documents.job_page(page, show_secrets=secrets))
    else:
        jobs, columns = _rows(session, page.queue, page.state, page.jobs)
        session.out.rows(jobs, columns, now=session.now(), empty="")
        session.out.footer(views.page_footer(page))
        if not session.out.for_people and page.page > page.total_pages:
            session.out.remark("note", views.page_footer(page))


def _rows(
    session: Session, queue: str | None, state: str | None, jobs: Iterable[Job]
) -> tuple[Iterable[Job], tuple[Column[Job], ...]]:
    """The jobs, and the columns for their state. Whatever a column needs besides the jobs is read while they
    are printed."""
    from asyncmq_cli.output.tables import views
    from asyncmq_cli.services.jobs.causes import root_error

    fields = session.out.fields
    beats: dict[tuple[str, str], float | None] | None = None
    if state == "active" and session.out.format != "names" and (not fields or "heartbeat" in fields):
        beats = {}
        jobs = _reading_heartbeats(session, jobs, beats)
    columns = views.jobs(
        state,
        show_secrets=session.show_secrets,
        # --fields can ask for this column too.
        with_queue=queue is None or bool(fields),
        cause_of=root_error,
        heartbeats=beats,
    )
    return jobs, columns


def _reading_heartbeats(
    session: Session, jobs: Iterable[Job], beats: dict[tuple[str, str], float | None]
) -> Iterator[Job]:
    for piece in chunked(jobs):
        if session.out.format == "csv":
            # Earlier jobs have been printed, so their heartbeats are not needed any more.
            beats.clear()
        beats.update(session.jobs.heartbeats(piece))
        yield from piece


def order_of_all(session: Session, sort: str | None, usual: str = "newest") -> str | None:
    """The order of a list with every match: --sort, else `usual`. NDJSON is printed as found by default,
    because that takes constant memory; None means as found."""
    return sort if session.out.format == "ndjson" else sort or usual


def print_every(session: Session, scope: QueueScope, state: str | None, jobs: Iterable[Job]) -> None:
    """Print every job as it is read: an object, a row or an id per line."""
    if session.out.format == "ndjson":
        jobs = (job.whole() for job in jobs)
    rows, columns = _rows(session, scope.queue, state, warning_of_problems(session, jobs))
    session.listing(rows, columns, list, _document(session, state))


class Encoded(Struct):
    """The first of some jobs as NDJSON, and those of them that could not be read in full, without their
    records."""

    lines: bytes
    total: int
    problems: list[Job]


def print_shared(
    session: Session,
    state: str | None,
    shared: Callable[[Callable[[Iterator[Job]], Encoded]], Iterable[tuple[Encoded | None, Iterator[Job]]]],
) -> None:
    """Print every job as NDJSON, with the help of other processes. `shared` is `JobService.shared` for these
    jobs. What `print_every` prints in the order found is the same."""
    from asyncmq_cli.output.json.text import encode

    document = _document(session, state)

    def encoded(jobs: Iterator[Job]) -> Encoded:
        lines: list[bytes] = []
        problems: list[Job] = []
        size = 0
        for job in jobs:
            whole = job.whole()
            lines.append(encode(document(whole)) + b"\n")
            size += len(lines[-1])
            if whole.problem is not None:
                problems.append(replace(whole, record=None, text=None))
            if size >= _ENCODED_AT_ONCE:
                break
        return Encoded(b"".join(lines), len(lines), problems)

    def problems() -> Iterator[Job]:
        for done, rest in shared(encoded):
            piece = encoded(rest) if done is None else done
            while piece.total:
                session.out.encoded(piece.lines)
                yield from piece.problems
                piece = encoded(rest)

    warn_of_problems(session, problems())


def _document(session: Session, state: str | None) -> Callable[[Job], Any]:
    from asyncmq_cli.output.json import documents

    one = documents.dead_job_line if state is None else documents.job_line
    return partial(one, show_secrets=session.show_secrets)


def note_no_match(session: Session, state: str, others: str | None = _EVERYWHERE) -> None:
    """Note that no job was found, with the state and the filter that were searched, and in `others` the
    option that searches more."""
    if state == "all" or session.out.for_programs:
        return
    what = f"there is no {state} job"
    if session.filter.narrows:
        what = f"no {state} job matches {' '.join(given_filter(session))}"
    session.out.remark("note", "; ".join(filter(None, (what, others))))


def given_filter(session: Session, names: Sequence[str] = FILTERS) -> list[str]:
    """The filter options that are set, as text: `--q marta`, `--task send`."""
    given = [(name, session.flags[name]) for name in names if session.flags.get(name)]
    values = [
        (name, each) for name, value in given for each in (value if isinstance(value, list) else [value])
    ]
    return [f"--{name.replace('_', '-')} {value}" for name, value in values]


def note_where_it_matches(session: Session, scope: QueueScope, state: str | None) -> None:
    """Note that the filter matches no job in this state. On a terminal, for a small queue, also name the
    states in which it matches."""
    wanted, queue = " ".join(given_filter(session)), scope.queue
    within = "" if queue is None else f" in {queue}"
    if state == "all":
        more = None if queue is None else "leave the queue out to search all queues"
        session.out.remark("note", "; ".join(filter(None, (f"no job{within} matches {wanted}", more))))
        return
    what = f"no {state or 'dead'} job{within} matches {wanted}"

    def searched_by(option: str) -> str:
        # The dead-letter queue is one list, without states.
        line = command_line("jobs", "list", *filter(None, [queue]), "--state", option)
        return f"--state {option}" if state else line

    found = None
    if queue is not None and session.out.for_people and session.out.stdout_is_terminal:
        found = session.jobs.elsewhere(scope, state, session.filter)
    if found:
        counts = " and ".join(f"{count:,} {other}" for other, count in found.items())
        verb = "does" if sum(found.values()) == 1 else "do"
        what += f", but {counts} {verb}: {searched_by(next(iter(found)) if len(found) == 1 else 'all')}"
    elif found is not None:
        what += ", and no waiting, active, delayed or dead job does"
        what += f"; {searched_by('all')} also searches the completed ones"
    else:
        what += f"; {searched_by('all')} searches every state"
    session.out.remark("note", what)


def say_where_jobs_are(session: Session, queue: str) -> None:
    """Print how many jobs the queue has in other states, after an empty list."""
    stats = session.queues.show(queue, {"waiting", "active", "delayed", "dlq"})
    places = {"waiting": stats.waiting, "active": stats.active, "delayed": stats.delayed, "dead": stats.dlq}
    found = [f"{count:,} {place}" for place, count in places.items() if count]
    if found:
        session.out.footer(f"in {queue}: {', '.join(found)}; --state lists them")


def noting_no_match(
    session: Session, scope: QueueScope, jobs: Iterable[Job], state: str | None
) -> Iterator[Job]:
    """Yield the same jobs; if there are none, note that none matches."""
    total = 0
    for job in jobs:
        total += 1
        yield job
    if session.filter.narrows and not total and not session.out.for_programs:
        note_where_it_matches(session, scope, state)
