"""`asyncmq dlq`."""

from __future__ import annotations

from asyncmq_cli.cli import paging
from asyncmq_cli.cli.around_typer import noun
from asyncmq_cli.cli.bulk import change_jobs
from asyncmq_cli.cli.decorators import command
from asyncmq_cli.cli.paging import PageOption, Paging, SizeOption
from asyncmq_cli.cli.params import BackupOption, DryRunOption, JobsArg, QueueArg, ReasonOption, YesOption
from asyncmq_cli.cli.session import Session
from asyncmq_cli.cli.targets import ChangeOptions, Targets
from asyncmq_cli.commands import NOUNS
from asyncmq_cli.commands.jobs import DeadSortOption, ResetOption

app = noun(NOUNS["dlq"])


@command(app, "list", "filters", "list", "secrets")
def list_(
    session: Session,
    queue: QueueArg,
    sort: DeadSortOption = None,
    page: PageOption = None,
    size: SizeOption = None,
) -> None:
    """List dead jobs, failed and expired, by time of death.

    \b
    Examples:
      asyncmq dlq list emails --newer-than 1h
      asyncmq dlq list emails --group 3f9c21 --json
    """

    if session.out.for_streams:
        paging.print_every(session, session.dlq.every(queue, session.filter, sort=sort), dead=True)
        return
    asked = Paging(page, size)
    found = session.dlq.page(queue, session.filter, sort=sort or "newest", page=asked.page, size=asked.size)
    paging.print_page(session, found)
    asked.note_more(session, len(found.jobs), found.total)


@command(app, "groups", "filters", "list", "secrets")
def groups(session: Session, queue: QueueArg) -> None:
    """Group dead jobs by cause: the type of the error, and its message without the parts that vary.

    \b
    Examples:
      asyncmq dlq groups emails
      asyncmq dlq retry emails --group 3f9c21 --limit 10
    """
    from asyncmq_cli.output.json import documents
    from asyncmq_cli.output.tables import views

    secrets = session.show_secrets
    columns = views.groups(show_secrets=secrets)
    found = session.dlq.groups(queue, session.filter)
    session.listing(
        found.groups,
        columns,
        lambda rows: documents.groups(found, show_secrets=secrets),
        lambda group: documents.group(group, show_secrets=secrets),
    )


@command(app, "retry", "filters", "bulk", "abort")
def retry(
    session: Session,
    queue: QueueArg,
    job_ids: JobsArg = None,
    reset: ResetOption = False,
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> None:
    """Put dead jobs back into the queue: those named, or all that a filter finds.

    A filter takes failed and expired jobs alike; 'jobs retry' takes one of the two, by --state.

    \b
    Examples:
      asyncmq dlq retry emails --group 3f9c21 --limit 10
      asyncmq dlq retry emails --group 3f9c21 --percent 10 --rate 50/s --abort-above 20%
    """
    change_jobs(
        session,
        Targets(queue, job_ids, dead=True),
        lambda request: session.job_changes.retry(request, reset=reset),
        ChangeOptions("retry", noun="dlq", reason=reason, dry_run=dry_run, yes=yes, destructive=False),
    )


@command(app, "remove", "filters", "bulk")
def remove(
    session: Session,
    queue: QueueArg,
    job_ids: JobsArg = None,
    backup: BackupOption = None,
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> None:
    """Remove dead jobs and all that belongs to them. Without a backup this cannot be undone.

    \b
    Example:
      asyncmq dlq remove emails --older-than 30d --backup emails.ndjson
    """
    change_jobs(
        session,
        Targets(queue, job_ids, dead=True),
        lambda request: session.job_changes.remove(request, force=False),
        ChangeOptions("remove", noun="dlq", reason=reason, dry_run=dry_run, yes=yes, backup=backup),
    )
