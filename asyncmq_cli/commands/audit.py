"""`asyncmq audit`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from asyncmq_cli.cli.ages import age
from asyncmq_cli.cli.around_typer import lone
from asyncmq_cli.cli.decorators import command
from asyncmq_cli.cli.params import FILTERS, SinceOption, argument, completed_by, option, whole_number
from asyncmq_cli.cli.session import Session
from asyncmq_cli.models.actions import ACTIONS

if TYPE_CHECKING:
    from asyncmq_cli.models.changes import AuditEvent
    from asyncmq_cli.services.audit import AuditFilter

app = lone()

STATUSES = ("success", "failed")


def _only_list(ctx: typer.Context, word: str | None) -> str | None:
    """Any other word may be a queue, which goes behind --queue."""
    if word not in (None, "list"):
        from asyncmq_cli.cli import suggestions

        raise suggestions.extra_argument(ctx, word)
    return word


ListArg = Annotated[
    str | None, argument("[list]", hidden=True, callback=_only_list, **completed_by(("list",)))
]
ActionOption = Annotated[
    str | None,
    option(
        "--action",
        "NAME",
        "Only this action, such as job.retry.",
        choices=[action.name for action in ACTIONS],
        title=FILTERS,
    ),
]
StatusOption = Annotated[
    str | None,
    option("--status", "STATUS", "success or failed.", choices=STATUSES, title=FILTERS),
]
QueueOption = Annotated[str | None, option("--queue", "QUEUE", "Only this queue.", title=FILTERS)]
JobOption = Annotated[str | None, option("--job-id", "ID", "Only this job.", title=FILTERS)]
ByOption = Annotated[str | None, option("--by", "NAME", "Only what this actor did.", title=FILTERS)]
TextOption = Annotated[str, option("--q", "TEXT", "Only events with this text anywhere.", title=FILTERS)]
LimitOption = Annotated[
    int | None,
    option(
        "--limit",
        "N",
        "At most N events, 1 to 500. [default: 200; with --since or --ndjson: all]",
        callback=whole_number(),
    ),
]


# Without --actor: nothing is changed here, and --by filters by actor.
@command(app, "audit", "list", without=("actor",))
def audit(
    session: Session,
    verb: ListArg = None,
    action: ActionOption = None,
    status: StatusOption = None,
    queue: QueueOption = None,
    job_id: JobOption = None,
    by: ByOption = None,
    since: SinceOption = None,
    q: TextOption = "",
    limit: LimitOption = None,
    unfolded: Annotated[
        bool, typer.Option("--all", help="On a terminal, a row for each event, not one for each run of them.")
    ] = False,
) -> None:
    """List what was done to queues and jobs, by whom and why, newest first.

    On a terminal, events that differ only in their job are one row. Pipes and JSON have each event.

    \b
    Examples:
      asyncmq audit --queue emails --status failed --since 1h
      asyncmq audit --action job.remove --ndjson | jq -r '[.time, .actor, .job_id] | @tsv'
    """
    from asyncmq_cli.output.json import documents
    from asyncmq_cli.output.tables import views
    from asyncmq_cli.services.audit import AuditFilter

    chosen = AuditFilter(action=action, status=status, queue=queue, job_id=job_id, actor=by, q=q)
    age_limit = None if since is None else age(since, session.now)
    if queue is not None:
        session.audit.require_queue(queue)
    if session.out.for_people and not session.out.for_streams and not unfolded:
        _print_runs(session, chosen, age_limit, limit)
        return
    if limit is None and (since is not None or session.out.for_streams):
        every = session.audit.matching(chosen, since=age_limit, limit=None)
        session.listing(every, views.AUDIT, documents.audit, documents.audit_event)
        return
    found, more = _newest(session, chosen, age_limit, limit)
    session.listing(found, views.AUDIT, documents.audit, documents.audit_event)
    note = f"the newest {len(found):,}; --limit shows up to 500, --ndjson all"
    if more and session.out.for_people:
        session.out.footer(note)
    elif more:
        session.out.remark("note", note)


def _print_runs(session: Session, chosen: AuditFilter, since: float | None, limit: int | None) -> None:
    from asyncmq_cli.output.tables import views
    from asyncmq_cli.services.audit import MOST_FOLDED, folded

    most = MOST_FOLDED if limit is None and since is None else None
    most = session.audit.clamped(limit) if limit is not None else most
    matching = session.audit.matching(chosen, since=since, limit=None)
    runs = folded(islice(matching, most))
    session.out.rows(runs, views.audit_runs(utc=session.out.utc), now=session.now())
    events = sum(run.count for run in runs)
    notes = [f"{events:,} events; --all has a row for each"] if events > len(runs) else []
    if most is not None and next(matching, None) is not None:
        notes.append(f"the newest {events:,}; --limit shows up to 500, --ndjson all")
    for note in notes:
        session.out.footer(note)


def _newest(
    session: Session, chosen: AuditFilter, since: float | None, limit: int | None
) -> tuple[Sequence[AuditEvent], bool]:
    """The events to show, and whether to say that there are more. A pipe that asked for a number gets no
    note."""
    from asyncmq_cli.services.audit import DEFAULT_LIMIT

    shown = session.audit.clamped(DEFAULT_LIMIT if limit is None else limit)
    if limit != shown:
        return session.audit.newest(chosen, since=since, limit=shown)
    found = list(session.audit.matching(chosen, since=since, limit=shown))
    return found, session.out.for_people and len(found) == shown
