"""`asyncmq audit`."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from asyncmq_cli.commands.durations import age
from asyncmq_cli.commands.options import command, offering, one_of
from asyncmq_cli.commands.session import Session

STATUSES = ("success", "failed")
ACTIONS = (
    *("queue.pause", "queue.resume"),
    *("job.retry", "job.remove", "job.cancel", "job.restore"),
    *("dlq.retry", "dlq.remove"),
    *("repeatable.create", "repeatable.pause", "repeatable.resume", "repeatable.remove"),
    "doctor.repair",
)


def register(app: typer.Typer) -> None:
    command(app, "audit", "list")(audit)


def audit(
    session: Session,
    verb: Annotated[
        Optional[str],  # noqa: UP045
        typer.Argument(metavar="[list]", callback=one_of(("list",)), show_default=False, hidden=True),
    ] = None,
    action: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--action",
            metavar="NAME",
            callback=offering(ACTIONS),
            help="Exactly this action, such as job.retry.",
            show_default=False,
        ),
    ] = None,
    status: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--status", metavar="STATUS", callback=one_of(STATUSES), help="success or failed."),
    ] = None,
    queue: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--queue", metavar="QUEUE", help="Only this queue.", show_default=False),
    ] = None,
    job_id: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--job-id", metavar="ID", help="Only this job.", show_default=False),
    ] = None,
    by: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--by", metavar="NAME", help="Only what this actor did.", show_default=False),
    ] = None,
    since: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--since",
            metavar="AGE",
            help="At most that old: 90s, 2h, 7d, or from that date on.",
            show_default=False,
        ),
    ] = None,
    q: Annotated[
        str, typer.Option("--q", metavar="TEXT", help="Text anywhere in an event.", show_default=False)
    ] = "",
    limit: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(
            "--limit",
            metavar="N",
            help="At most so many events, 1 to 500. [default: 200; with --ndjson: all]",
            show_default=False,
        ),
    ] = None,
) -> None:
    """List what was done to queues and jobs, by whom and why, newest first.

    \b
    Examples:
      asyncmq audit --queue emails --status failed --since 1h
      asyncmq audit --action job.remove --ndjson | jq -r '[.time, .actor, .job_id] | @tsv'
    """
    from asyncmq_cli.output import documents, views
    from asyncmq_cli.services.audit import AuditFilter

    session.offer(views.AUDIT)
    if limit is None and not session.out.for_streams:
        limit = 200
    wanted = AuditFilter(action=action, status=status, queue=queue, job_id=job_id, actor=by, q=q)
    age_limit = None if since is None else age(since, session.now)
    events = session.audit.matching(wanted, since=age_limit, limit=limit)
    if session.out.for_people:
        found = list(events)
        session.out.rows(found, views.AUDIT, now=session.now())
        if limit is not None and len(found) >= session.audit.clamped(limit):
            session.out.footer(f"the newest {len(found):,}; --limit shows up to 500, --ndjson all")
        return
    session.listing(events, views.AUDIT, documents.audit, documents.audit_event)
