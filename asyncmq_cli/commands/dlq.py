"""`asyncmq dlq`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from asyncmq_cli.cli import listing
from asyncmq_cli.cli.around_typer import command, noun
from asyncmq_cli.cli.changes.bulk import change_jobs
from asyncmq_cli.cli.listing import PageOption, Paging, SizeOption
from asyncmq_cli.cli.options import completed_by, option
from asyncmq_cli.cli.params import (
    AnyQueueArg,
    AnyQueuesArg,
    BackupOption,
    DryRunOption,
    JobsArg,
    QueueOrJobArg,
    ReasonOption,
    WaitOption,
    YesOption,
)
from asyncmq_cli.cli.session import Session
from asyncmq_cli.cli.targets import ChangeOptions, Targets, queue_names, wait_limit
from asyncmq_cli.commands import NOUNS
from asyncmq_cli.commands.jobs.changes import ResetOption
from asyncmq_cli.commands.jobs.reading import DeadSortOption
from asyncmq_cli.errors import UsageProblem, did_you_mean, nearest

if TYPE_CHECKING:
    from asyncmq_cli.models.failures import FailureGroup
    from asyncmq_cli.output.tables.columns import Column

app = noun(NOUNS["dlq"])


@command(app, "list", "queues", "filters", "list", "secrets")
def list_(
    session: Session,
    queue: AnyQueueArg = None,
    sort: DeadSortOption = None,
    page: PageOption = None,
    size: SizeOption = None,
) -> None:
    """List dead jobs (failed and expired) of one queue or all queues, by time of death.

    \b
    Examples:
      asyncmq dlq list --newer-than 1h
      asyncmq dlq list emails --group 3f9c21 --json
    """
    listing.print_jobs(session, queue, None, sort, Paging(page, size))


_BY = ("cause", "error", "task", "queue")
_SPARK = 12
"""The width in characters of the graph of deaths over time."""

ByOption = Annotated[
    str | None,
    option(
        "--by",
        "WHAT",
        "cause (the root cause), error (what the worker caught), task, queue, or an argument: kwargs.tenant, "
        "args.0. [default: cause]",
        **completed_by(_BY),
    ),
]


@command(app, "groups", "queues", "filters", "list", "secrets")
def groups(session: Session, queues: AnyQueuesArg = None, by: ByOption = None) -> None:
    """Group dead jobs by root cause: the innermost error, and its message without the parts that vary.

    \b
    Examples:
      asyncmq dlq groups
      asyncmq dlq groups emails --by kwargs.tenant
      asyncmq dlq retry emails --group 3f9c21 --limit 10
    """
    from asyncmq_cli.output.tables import failure_groups

    secrets, out = session.show_secrets, session.out
    scope = session.scope_of_several(queue_names(session, queues) if queues else [])
    found = session.dlq.groups(scope, session.filter, _by(by))
    spark = _SPARK if out.for_people and out.has_blocks else 0
    columns: Sequence[Column[FailureGroup]] = failure_groups.groups(
        found, show_secrets=secrets, spark=spark, utc=out.utc
    )
    every = len(columns)
    if out.for_people and not (out.fields or out.is_wide):
        columns = failure_groups.groups_for_people(found, columns, spark=spark)
    session.listing(
        found.groups,
        columns,
        lambda rows: failure_groups.groups_document(found, show_secrets=secrets),
        lambda group: failure_groups.group_document(group, found, show_secrets=secrets),
        hidden=every - len(columns),
        empty="" if session.filter.narrows else f"no dead job {scope.where}",
    )
    listing.note_no_queue_in(session, scope)
    if session.filter.narrows and not found.groups and not out.for_programs:
        listing.note_where_it_matches(session, scope, None)


def _by(asked: str | None) -> str:
    """The value to group by; `cause` if none was given. Raises UsageProblem if dead jobs cannot be grouped by
    it."""
    from asyncmq_cli.services.jobs.failure_groups import is_argument

    if asked is None or asked in _BY or is_argument(asked):
        return asked or "cause"
    raise UsageProblem(
        f"--by must be {', '.join(_BY)} or an argument such as kwargs.tenant, not {asked!r}",
        hint=did_you_mean(nearest(asked, _BY, most=1)),
    )


@command(app, "retry", "queues", "filters", "bulk", "abort")
def retry(
    session: Session,
    queue: QueueOrJobArg = None,
    job_ids: JobsArg = None,
    reset: ResetOption = False,
    wait: WaitOption = None,
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> None:
    """Put dead jobs back into the queue, by id or by filter.

    A filter selects both failed and expired jobs; 'jobs retry' selects only one of the two states, by
    --state.

    \b
    Examples:
      asyncmq dlq retry --group 3f9c21 --limit 10
      asyncmq dlq retry emails --group 3f9c21 --percent 10 --rate 50/s --abort-above 20%
      asyncmq dlq retry emails --group 3f9c21 --limit 5 --wait 2m
    """
    change_jobs(
        session,
        Targets(queue, job_ids, dead=True),
        lambda request: session.job_changes.retry(request, reset=reset),
        ChangeOptions(
            "retry",
            noun="dlq",
            reason=reason,
            dry_run=dry_run,
            yes=yes,
            destructive=False,
            wait=wait_limit(wait, dry_run=dry_run),
        ),
    )


@command(app, "remove", "queues", "filters", "bulk")
def remove(
    session: Session,
    queue: QueueOrJobArg = None,
    job_ids: JobsArg = None,
    backup: BackupOption = None,
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> None:
    """Remove dead jobs with everything stored about them. Without a backup this cannot be undone.

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
