"""`asyncmq audit`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from asyncmq_cli.cli.around_typer import VerbsOrList, command, noun
from asyncmq_cli.cli.options import argument, completed_by, option, require_event_id, whole_number
from asyncmq_cli.cli.params import FILTERS, GlobsOption, SinceOption
from asyncmq_cli.cli.session import Session
from asyncmq_cli.commands import NOUNS
from asyncmq_cli.durations import age
from asyncmq_cli.durations import interval as interval_of
from asyncmq_cli.errors import UsageProblem
from asyncmq_cli.models.audit.actions import ACTIONS
from asyncmq_cli.models.changes import AuditEvent

if TYPE_CHECKING:
    from asyncmq_cli.services.audit import AuditFilter
    from asyncmq_cli.services.monitoring.poller import Outage

app = noun(NOUNS["audit"], cls=VerbsOrList)

LEAST_INTERVAL = 0.1
STATUSES = ("success", "failed")


def _only_list(ctx: typer.Context, word: str | None) -> str | None:
    """The word, if it is 'list' or None. Raises UsageProblem for any other: it may be a queue, and that needs
    --queue."""
    if word not in (None, "list"):
        from asyncmq_cli.cli.help import suggestions

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
JobOption = Annotated[str | None, option("--job-id", "ID", "Only this job.", title=FILTERS)]
ByOption = Annotated[str | None, option("--by", "NAME", "Only what this actor did.", title=FILTERS)]
TextOption = Annotated[
    str, option("--q", "TEXT", "Only events that contain this text anywhere.", title=FILTERS)
]
LimitOption = Annotated[
    int | None,
    option(
        "--limit",
        "N",
        "At most N events, 1 to 500. [default: 200; with --since or --ndjson: all]",
        callback=whole_number(),
    ),
]


# Without --actor, which names who makes a change: this command changes nothing, and --by filters by actor.
@command(app, "list", "list", without=("actor",))
def list_(
    session: Session,
    verb: ListArg = None,
    action: ActionOption = None,
    status: StatusOption = None,
    queue: GlobsOption = None,
    job_id: JobOption = None,
    by: ByOption = None,
    since: SinceOption = None,
    q: TextOption = "",
    limit: LimitOption = None,
    unfolded: Annotated[
        bool,
        typer.Option("--all", help="On a terminal, one row per event, not one per run of similar events."),
    ] = False,
) -> None:
    """List who changed which queues and jobs, and why, newest first; 'audit' alone does the same.

    On a terminal, consecutive events that differ only in their job share a row. Pipes and JSON get every
    event.

    \b
    Examples:
      asyncmq audit list --queue emails --status failed --since 1h
      asyncmq audit list --action job.remove --ndjson | jq -r '[.time, .actor, .job_id] | @tsv'
    """
    from asyncmq_cli.output.tables import audit
    from asyncmq_cli.services.audit import AuditFilter

    globs = tuple(session.globs(queue))
    chosen = AuditFilter(action=action, status=status, queues=globs, job_id=job_id, actor=by, q=q)
    age_limit = None if since is None else age(since, session.now)
    for glob in globs:
        session.audit.require_queue(glob)
    if session.out.for_people and not session.out.for_streams and not unfolded:
        _print_runs(session, chosen, age_limit, limit)
        return
    if limit is None and (since is not None or session.out.for_streams):
        every = session.audit.matching(chosen, since=age_limit)
        session.listing(every, audit.EVENTS, audit.document, audit.event_document)
        return
    found, more = _newest(session, chosen, age_limit, limit)
    session.listing(found, audit.EVENTS, audit.document, audit.event_document)
    note = f"the newest {len(found):,}; --limit shows up to 500, --ndjson all"
    if more and session.out.for_people:
        session.out.footer(note)
    elif more:
        session.out.remark("note", note)


AfterOption = Annotated[
    str | None,
    option("--after", "ID", "Only events after the one with this id."),
]


@command(app, "tail", formats=("table", "tsv", "jsonl"), without=("actor",))
def tail(
    session: Session,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Keep printing new events as they are written.")
    ] = False,
    lines: Annotated[
        int | None,
        option("--lines", "N", "The last N events, 0 to 500. [default: 10]", callback=whole_number(0)),
    ] = None,
    after: AfterOption = None,
    interval: Annotated[str, option("--interval", "DURATION", "Time between two reads.")] = "1s",
) -> None:
    """Print the newest events, oldest first, and with --follow each new one.

    While Redis is unreachable, --follow prints a warning, keeps trying, and continues after the last event.

    \b
    Examples:
      asyncmq audit tail -f
      asyncmq audit tail -f --lines 0 -o jsonl | logger -t asyncmq-audit
    """
    from asyncmq_cli.services.audit import MAX_LIMIT

    require_event_id(after)
    every = interval_of("--interval", interval, LEAST_INTERVAL)
    if after is not None and lines is not None:
        raise UsageProblem("--after and --lines exclude each other")
    most = min(10 if lines is None else lines, MAX_LIMIT)
    for found in session.audit.follow(
        lines=most, after=after, interval=every, once=not follow, sleep=session.out.rest
    ):
        _print_one(session, found)


def _print_one(session: Session, found: AuditEvent | Outage) -> None:
    from asyncmq_cli.output.tables import audit

    if not isinstance(found, AuditEvent):
        session.out.remark("warning", f"{found.error.message}; trying again in {found.pause:g} s")
    elif session.out.for_programs:
        session.out.documents([audit.event_document(found)])
    elif session.out.for_people:
        session.out.line(audit.line(found, utc=session.out.utc))
    else:
        session.out.rows([found], audit.EVENTS, now=0.0)
    session.out.flush()


@command(app, "export", formats=("jsonl", "csv"), without=("actor",))
def export(session: Session, since: SinceOption = None, after: AfterOption = None) -> None:
    """Print every event in full, oldest first, for an archive.

    To continue later, pass the id of the last event to --after. A warning says if events were trimmed in
    between.

    \b
    Examples:
      asyncmq audit export --since 30d > audit.jsonl
      asyncmq audit export --after "$(tail -n 1 audit.jsonl | jq -r .id)" >> audit.jsonl
    """
    from asyncmq_cli.output.tables import audit

    require_event_id(after)
    age_limit = None if since is None else age(since, session.now)
    events = session.audit.export(since=age_limit, after=after)
    if session.out.format == "csv":
        session.out.rows(events, audit.EXPORT, now=0.0)
    else:
        session.out.documents(map(audit.event_document, events))


HeadOption = Annotated[
    str | None,
    option(
        "--head", "ID:HASH", "Also check that this event, which you noted earlier, is still in the chain."
    ),
]


@command(app, "verify", formats=("table", "tsv", "json", "yaml"))
def verify(session: Session, head: HeadOption = None) -> int:
    """Check that no event of the audit trail was edited, removed or inserted.

    Each event holds the hash of the event before it. The exit status is 0 if this chain is intact, else 1;
    trimmed events do not break it. Anyone who can write to Redis can build a new chain, so store the head
    outside Redis and check it with --head.

    \b
    Examples:
      asyncmq audit verify
      asyncmq audit verify --json | jq -r '.head | .id + ":" + .hash'
      asyncmq audit verify --head 1795908272470-14:d6ff1f6c3a6173453a0eb83c338b059f04829ac4
    """
    from asyncmq_cli.models.audit.chain import Head
    from asyncmq_cli.output.tables import audit

    noted = None if head is None else Head.noted(head)
    if head is not None and noted is None:
        raise UsageProblem(
            f"--head is not ID:HASH: {head!r}", hint="the last line of 'asyncmq audit verify' prints it"
        )
    report = session.audit.verified(noted)
    with session.out.outcome(lambda: audit.chain_summary(report)):
        session.detail(
            lambda: audit.chain_document(report),
            lambda now: audit.chain_lines(report, utc=session.out.utc),
        )
    return 1 if report.breaks else 0


def _print_runs(session: Session, chosen: AuditFilter, since: float | None, limit: int | None) -> None:
    from asyncmq_cli.output.tables import audit
    from asyncmq_cli.services.audit import MOST_FOLDED, folded

    most = MOST_FOLDED if limit is None and since is None else None
    most = session.audit.clamped(limit) if limit is not None else most
    matching = session.audit.matching(chosen, since=since)
    runs = folded(islice(matching, most))
    columns = audit.runs(session.now(), utc=session.out.utc)
    empty = "no event matches" if chosen.narrows or since is not None else "no event yet"
    session.out.rows(runs, columns, now=session.now(), empty=empty)
    events = sum(run.count for run in runs)
    notes = [f"{events:,} events; --all has a row for each"] if events > len(runs) else []
    if most is not None and next(matching, None) is not None:
        notes.append(f"the newest {events:,}; --limit shows up to 500, --ndjson all")
    for note in notes:
        session.out.footer(note)


def _newest(
    session: Session, chosen: AuditFilter, since: float | None, limit: int | None
) -> tuple[Sequence[AuditEvent], bool]:
    """The events to show, and whether to print a note that there are more. No note is printed in a pipe if
    --limit was given."""
    from asyncmq_cli.services.audit import DEFAULT_LIMIT

    shown = session.audit.clamped(DEFAULT_LIMIT if limit is None else limit)
    matching = session.audit.matching(chosen, since=since)
    found = list(islice(matching, shown))
    if limit == shown:
        # Do not search for one more.
        return found, session.out.for_people and len(found) == shown
    return found, next(matching, None) is not None
