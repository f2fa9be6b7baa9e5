"""Lists of jobs, and changes of many jobs: what was chosen, whether it is meant, and how it goes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from asyncmq_cli.commands import asking
from asyncmq_cli.commands import targets as parse
from asyncmq_cli.commands.named import ids_from
from asyncmq_cli.commands.paging import tell_of_none
from asyncmq_cli.commands.session import Session
from asyncmq_cli.commands.targets import Manner, Targets
from asyncmq_cli.errors import GroupNotFound, QueueNotFound, UsageProblem

if TYPE_CHECKING:
    from asyncmq_cli.models.changes import ChangeReport
    from asyncmq_cli.models.job_lists import JobPage
    from asyncmq_cli.models.jobs import Job
    from asyncmq_cli.services.job_changes import Order
    from asyncmq_cli.services.selection import Selection

Run = Callable[["Order"], "ChangeReport"]


def print_page(session: Session, page: JobPage) -> None:
    from asyncmq_cli.output import documents, views

    secrets = session.show_secrets
    for _ in session.warning_of_problems(page.jobs):
        pass
    if session.out.format == "json":
        session.out.document(documents.job_page(page, show_secrets=secrets))
    else:
        session.out.rows(page.jobs, views.jobs(page.state, show_secrets=secrets), now=session.now())
        session.out.footer(views.page_footer(page))


def print_every(session: Session, jobs: Iterable[Job], *, dead: bool = False) -> None:
    """One object or one id a line, as the jobs come."""
    from asyncmq_cli.output import documents, views

    secrets = session.show_secrets
    one = documents.dead_job if dead else documents.job
    session.listing(
        session.warning_of_problems(jobs),
        views.jobs(None if dead else "all", show_secrets=secrets),
        list,
        lambda job: one(job, show_secrets=secrets),
    )


def change_jobs(session: Session, targets: Targets, run: Run, manner: Manner) -> None:
    """Make a change of the jobs named, or of those that a filter finds once that is confirmed."""
    from asyncmq_cli.services.job_changes import Order
    from asyncmq_cli.services.selection import Selection

    if manner.backup is not None:
        from asyncmq_cli.services.backup_writer import require_new

        require_new(manner.backup)
    rate, abort_above = parse.rate_of(session.flags), parse.abort_share_of(session.flags)
    by_filter = parse.is_by_filter(targets, session.flags)
    named = [] if by_filter else ids_from(targets.job_ids or [])
    try:
        chosen = _found(session, targets) if by_filter else Selection(named)
    except (QueueNotFound, GroupNotFound) as exc:
        if not manner.dry_run:
            nothing = Order(targets.queue, Selection([]), manner.reason, noun=manner.noun)
            session.job_changes.refused(manner.verb, nothing, exc)
        raise
    if by_filter:
        tell_of_none(session, chosen.total or 0, targets.looked_at, targets.elsewhere)

    def order(progress: Callable[[int], None] | None = None, *, dry_run: bool) -> Order:
        from asyncmq_cli.services.job_changes import Control

        control = Control(rate=rate, abort_above=abort_above, progress=progress)
        return Order(targets.queue, chosen, manner.reason, dry_run, manner.noun, control, manner.backup)

    if not manner.dry_run and not manner.yes:
        remarks = _remarks(targets, manner, by_filter=by_filter)
        if by_filter:
            meant = asking.Meant(
                manner.verb, targets.queue, chosen.job_ids, chosen.states, chosen.total, remarks=remarks
            )
            _ask(session, meant)
        elif manner.destructive:
            _ask(session, asking.of_preview(manner.verb, run(order(dry_run=True)), remarks))
    with progress_of(session, manner.verb, len(chosen.job_ids) if by_filter else 0) as advance:
        report = run(order(advance, dry_run=manner.dry_run))
    try:
        session.report(report, brief=by_filter)
    finally:
        if manner.backup is not None and report.succeeded and not report.dry_run:
            asking.tell_of_backup(session, manner.backup)


def _ask(session: Session, meant: asking.Meant) -> None:
    asking.ask(session, meant, lambda job_ids: session.jobs.heads(meant.queue, job_ids))


def _remarks(targets: Targets, manner: Manner, *, by_filter: bool) -> list[str]:
    remarks = []
    if by_filter and targets.state is None and not targets.dead:
        remarks.append(f"only {targets.default_state} jobs; --state names others, or all")
    if manner.verb == "remove":
        remarks.append(asking.NO_BACKUP if manner.backup is None else f"backup: {manner.backup}")
    return remarks


def _found(session: Session, targets: Targets) -> Selection:
    from asyncmq_cli.services.selection import Share, select

    wanted = session.filter
    if targets.dead:
        jobs = session.dlq.matching(targets.queue, wanted)
    else:
        jobs = session.jobs.matching(targets.queue, targets.state or targets.default_state, wanted)
    limit, percent = session.flags.get("limit"), parse.percent_of(session.flags, "percent", "--percent")
    if limit is not None and percent is not None:
        raise UsageProblem("--limit and --percent exclude each other")
    return select(jobs, Share(limit=limit, percent=percent))


@contextmanager
def progress_of(session: Session, verb: str, total: int) -> Iterator[Callable[[int], None] | None]:
    """A bar on stderr with the rate and the time left, where somebody sees it and it is worth it."""
    if total < 100 or not session.out.stderr_is_terminal:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    speed = TextColumn("{task.fields[speed]}")
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        speed,
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(verb, total=total, speed="")

        def advance(count: int) -> None:
            done = bar.tasks[0]
            bar.update(task, advance=count, speed=f"{done.speed:,.0f}/s" if done.speed else "")

        yield advance
