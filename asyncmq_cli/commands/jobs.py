"""`asyncmq jobs`."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from asyncmq_cli.commands.options import (
    DryRunOption,
    JobArg,
    JobsArg,
    QueueArg,
    ReasonOption,
    YesOption,
    command,
    ids_from,
    noun,
    one_of,
)
from asyncmq_cli.commands.session import Session
from asyncmq_cli.models import LISTED_STATES, JobFilter

app = noun("Find jobs, read why they failed, retry, remove and cancel them.")

SORTS = ("newest", "oldest")

StateOption = Annotated[
    str,
    typer.Option(
        "--state", metavar="STATE", callback=one_of(LISTED_STATES), help=", ".join(LISTED_STATES) + "."
    ),
]
QOption = Annotated[
    str, typer.Option("--q", metavar="TEXT", help="Text anywhere in the job's JSON.", show_default=False)
]
TaskOption = Annotated[
    str, typer.Option("--task", metavar="TEXT", help="A part of the task's name.", show_default=False)
]
JobIdOption = Annotated[
    str, typer.Option("--job-id", metavar="TEXT", help="A part of the job's id.", show_default=False)
]
PageOption = Annotated[int, typer.Option("--page", metavar="N", min=1, help="Which page, from 1.")]
SizeOption = Annotated[
    int, typer.Option("--size", metavar="N", min=1, max=1000, help="Jobs a page, 1 to 1000.")
]
SortOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        "--sort",
        metavar="ORDER",
        callback=one_of(SORTS),
        help="newest or oldest first, by run and creation times. "
        "[default: newest; with --ndjson: as found, in constant memory]",
        show_default=False,
    ),
]


@command(app, "list", "ndjson", "show_secrets")
def list_(
    session: Session,
    queue: QueueArg,
    state: StateOption = "waiting",
    q: QOption = "",
    task: TaskOption = "",
    job_id: JobIdOption = "",
    sort: SortOption = None,
    page: PageOption = 1,
    size: SizeOption = 20,
) -> None:
    """List the jobs of a queue that are in one state.

    \b
    Examples:
      asyncmq jobs list emails --state failed --task send --q customer-123
      asyncmq jobs list emails --state failed --ndjson | jq -r .id
    """
    from asyncmq_cli.output import documents, views

    wanted = JobFilter(q=q, task=task, job_id=job_id)
    secrets = session.show_secrets
    if session.out.format == "ndjson":
        jobs = session.warning_of_problems(session.jobs.every(queue, state, wanted, sort=sort))
        session.out.documents(documents.job(job, show_secrets=secrets) for job in jobs)
        return
    found = session.jobs.page(queue, state, wanted, sort=sort or "newest", page=page, size=size)
    for _ in session.warning_of_problems(found.jobs):
        pass
    if session.out.format == "json":
        session.out.document(documents.job_page(found, show_secrets=secrets))
    else:
        session.out.rows(found.jobs, views.jobs(state, show_secrets=secrets), now=session.now())
        session.out.footer(views.page_footer(found))


@command(app, "show", "show_secrets")
def show(session: Session, queue: QueueArg, job_id: JobArg) -> None:
    """Show one job: its state, why it failed, and what it was given.

    \b
    Example:
      asyncmq jobs show emails 7f3a9c52-0b1e-4d7c-9a53-2f6f0e8d4b11
    """
    from asyncmq_cli.output import detail, documents

    found = session.jobs.show(queue, job_id)
    for _ in session.warning_of_problems([found.job]):
        pass
    secrets = session.show_secrets
    session.detail(
        lambda: documents.job_detail(found, show_secrets=secrets),
        lambda now: detail.job_lines(found, now=now, show_secrets=secrets),
    )


@command(app, "retry")
def retry(
    session: Session,
    queue: QueueArg,
    job_ids: JobsArg,
    reset: Annotated[
        bool, typer.Option("--reset", help="Start fresh: created now, no retries used, so it cannot expire.")
    ] = False,
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Put dead jobs back into the queue.

    \b
    Examples:
      asyncmq jobs retry emails 7f3a9c52-0b1e-4d7c-9a53-2f6f0e8d4b11
      asyncmq jobs list emails --state failed --ndjson | jq -r .id | asyncmq jobs retry emails -
    """
    session.report(session.jobs.retry(queue, ids_from(job_ids), reset=reset, reason=reason, dry_run=dry_run))


@command(app, "remove")
def remove(
    session: Session,
    queue: QueueArg,
    job_ids: JobsArg,
    force: Annotated[bool, typer.Option("--force", help="Remove active jobs too.")] = False,
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> None:
    """Remove jobs and all that belongs to them. This cannot be undone.

    \b
    Example:
      asyncmq jobs remove emails 7f3a9c52-0b1e-4d7c-9a53-2f6f0e8d4b11 --dry-run
    """
    ids = ids_from(job_ids)
    session.change(
        lambda dry: session.jobs.remove(queue, ids, force=force, reason=reason, dry_run=dry),
        verb="remove",
        dry_run=dry_run,
        yes=yes,
    )


@command(app, "cancel")
def cancel(
    session: Session,
    queue: QueueArg,
    job_ids: JobsArg,
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> None:
    """Cancel jobs that have not ended. A worker that runs one already is not stopped.

    \b
    Example:
      asyncmq jobs cancel emails 7f3a9c52-0b1e-4d7c-9a53-2f6f0e8d4b11 --yes
    """
    ids = ids_from(job_ids)
    session.change(
        lambda dry: session.jobs.cancel(queue, ids, reason=reason, dry_run=dry),
        verb="cancel",
        dry_run=dry_run,
        yes=yes,
    )
