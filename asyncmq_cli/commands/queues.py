"""`asyncmq queues`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from asyncmq_cli.cli import listing, watch
from asyncmq_cli.cli.around_typer import command, noun
from asyncmq_cli.cli.changes.bulk import change_jobs, obliterate_queue, report_change
from asyncmq_cli.cli.options import argument, literal, option
from asyncmq_cli.cli.params import BackupOption, DryRunOption, QueueArg, QueuesArg, ReasonOption, YesOption
from asyncmq_cli.cli.session import Session
from asyncmq_cli.cli.targets import ChangeOptions, Targets, queue_names
from asyncmq_cli.commands import NOUNS
from asyncmq_cli.durations import interval
from asyncmq_cli.errors import command_line
from asyncmq_cli.models.queues import ALL_FIELDS
from asyncmq_cli.models.values import JOB_STATES

if TYPE_CHECKING:
    from asyncmq_cli.models.monitoring.snapshots import Snapshot
    from asyncmq_cli.models.queues import QueueStats
    from asyncmq_cli.output.tables.columns import Column

_RESUMED = "workers that have seen the pause notice its end "
_UNKNOWN_INTERVAL = "up to 60 s later, unless the application changed stalled_check_interval"

app = noun(NOUNS["queues"])


GlobsArg = Annotated[
    list[str] | None,
    argument("[GLOB...]", "Only queues with these names; wildcards work: 'tenant:*'."),
]
SortOption = Annotated[
    str | None,
    option("--sort", "COLUMN", "Sort by this column of --fields; -COLUMN: largest first."),
]


PauseOption = Annotated[
    str | None, option("--for", "DURATION", "Resume automatically after this time: 30m, 2h.")
]
CleanedStateOption = Annotated[
    str,
    option(
        "--state",
        "STATE",
        "Jobs in this state (see 'jobs list'); active is refused.",
        choices=JOB_STATES,
    ),
]


@command(app, "list", "list", "watch")
def list_(session: Session, globs: GlobsArg = None, sort: SortOption = None) -> None:
    """List queues with their counts.

    \b
    Examples:
      asyncmq queues list
      asyncmq queues list 'tenant:*' --sort -failed
      asyncmq queues list --watch 5
      asyncmq queues list --jq '.queues[] | select(.failed > 0).name'
    """
    globs = [literal(glob) for glob in globs or ()]
    from asyncmq_cli.output.json import documents
    from asyncmq_cli.output.tables import views
    from asyncmq_cli.output.tables.columns import in_order_of

    if sort is not None:
        # Refuse an unknown column before reading anything.
        in_order_of([], views.QUEUES, sort)
    if watch.is_wanted(session):
        _watch(session, globs, sort)
        return
    columns = views.queues_columns(session.out.for_people and not session.out.is_wide, session.out.fields)
    fields = _fields(session, columns, sort)
    notes = _Notes()
    rows: Iterable[QueueStats] = listing.warning_of_queues(session, session.queues.list(fields, globs))
    rows = notes.noting(rows)
    if sort is not None:
        rows = in_order_of(rows, views.QUEUES, sort)
    if session.out.format == "json":
        session.out.document_of("queues", map(documents.queue, rows))
    else:
        hidden = 0 if session.out.fields else len(views.QUEUES) - len(columns)
        session.listing(rows, columns, documents.queues, documents.queue, hidden=hidden, empty="")
    if not notes.found:
        listing.note_no_queue(session, globs)
    if notes.empty and session.out.for_people:
        one_is = "1 queue is empty" if len(notes.empty) == 1 else f"{len(notes.empty):,} queues are empty"
        session.out.footer(f"{one_is}: {command_line('queues', 'forget', notes.empty[0])}")


def _fields(session: Session, columns: Sequence[Column[QueueStats]], sort: str | None) -> frozenset[str]:
    """The fields of QueueStats that the output needs."""
    from asyncmq_cli.output.tables import views
    from asyncmq_cli.output.tables.columns import chosen

    if session.out.for_programs:
        return ALL_FIELDS
    by = [] if sort is None else chosen(views.QUEUES, [sort.removeprefix("-")])
    return views.fields_of(by if session.out.format == "names" else [*columns, *by])


def _watch(session: Session, globs: Sequence[str], sort: str | None) -> None:
    from asyncmq_cli.output.tables import views
    from asyncmq_cli.output.tables.columns import in_order_of
    from asyncmq_cli.output.terminal import screens
    from asyncmq_cli.services.jobs.lookup import matches

    def rows(snapshot: Snapshot) -> Sequence[QueueStats]:
        found = [row for row in snapshot.stats or () if not globs or matches(row.name, globs)]
        return found if sort is None else in_order_of(found, views.QUEUES, sort)

    columns = watch.columns_of(session, views.on_screen(views.QUEUES))
    watch.watch(
        session,
        lambda snapshot: snapshot,
        lambda snapshot, viewport: screens.queues(rows(snapshot), columns, snapshot.now, viewport),
    )


class _Notes:
    """The notes below a list of queues."""

    def __init__(self) -> None:
        self.found = 0
        self.empty: list[str] = []

    def noting(self, rows: Iterable[QueueStats]) -> Iterator[QueueStats]:
        for row in rows:
            self.found += 1
            if row.empty:
                self.empty.append(row.name)
            yield row


@command(app, "show", "fields", "header")
def show(session: Session, queue: QueueArg) -> None:
    """Show one queue.

    \b
    Examples:
      asyncmq queues show emails
      asyncmq queues show emails --fields waiting,active
    """
    from asyncmq_cli.output.json import documents
    from asyncmq_cli.output.tables import views
    from asyncmq_cli.output.text import job_detail

    columns = views.queues_columns(False, session.out.fields)
    fields = views.fields_of(columns) if session.out.fields else ALL_FIELDS
    (stats,) = listing.warning_of_queues(session, [session.queues.show(queue, fields)])
    names = [column.key for column in columns] if session.out.fields else list(documents.QUEUE_KEYS)

    def lines(now: float) -> Iterator[str]:
        yield from job_detail.queue_lines(stats, now, columns)
        if stats.paused and not session.out.fields:
            yield job_detail.pause_line(session.audit.pause_of(queue), now)
            if stats.pause_seconds_left is not None:
                yield job_detail.pause_end_line(stats.pause_seconds_left, now)

    session.detail(lambda: documents.queue(stats, names), lines)


@command(app, "pause")
def pause(
    session: Session,
    queues: QueuesArg,
    span: PauseOption = None,
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Pause queues: workers finish the jobs that they run and take no new ones.

    With --for, the pause expires in Redis: no process has to keep running. An existing pause stays as it
    is.

    \b
    Examples:
      asyncmq queues pause emails reports --reason "mail server is down"
      asyncmq queues pause emails --for 30m
    """
    from asyncmq_cli.output.text.times import duration

    seconds = None if span is None else interval("--for", span, 1.0)
    names = queue_names(session, queues)
    report = session.queues.pause(names, reason=reason, dry_run=dry_run, seconds=seconds)
    report_change(session, report)
    paused = any(result.error is None and result.note is None for result in report.results)
    if paused and seconds is not None and not dry_run and not session.out.for_programs:
        end = f"the pause ends automatically in {duration(seconds)}"
        session.out.remark("note", f"{end}; {_when_noticed(session)}")


def _when_noticed(session: Session) -> str:
    """How long workers may take to notice the end of a pause, as text for a note."""
    every = session.config.stalled_check_interval
    return _RESUMED + (f"up to {every:g} s later" if every else _UNKNOWN_INTERVAL)


@command(app, "resume")
def resume(
    session: Session, queues: QueuesArg, reason: ReasonOption = None, dry_run: DryRunOption = False
) -> None:
    """Resume paused queues. Workers check for a pause every 60 s, so this may take that long.

    \b
    Example:
      asyncmq queues resume emails
    """
    report = session.queues.resume(queue_names(session, queues), reason=reason, dry_run=dry_run)
    report_change(session, report)
    resumed = any(result.error is None and result.note is None for result in report.results)
    if resumed and not dry_run and not session.out.for_programs:
        session.out.remark("note", _when_noticed(session))


@command(app, "drain", "pace")
def drain(
    session: Session,
    queue: QueueArg,
    include_delayed: Annotated[
        bool, typer.Option("--include-delayed", help="Also remove the delayed jobs.")
    ] = False,
    backup: BackupOption = None,
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> None:
    """Remove all waiting jobs of a queue. Without a backup this cannot be undone.

    A job that a worker takes in the meantime is not removed, and is reported. Jobs that are enqueued after
    the start stay.

    \b
    Examples:
      asyncmq queues drain emails --dry-run
      asyncmq queues drain emails --include-delayed --backup emails.ndjson
    """
    more = ("delayed",) if include_delayed else ()
    change_jobs(
        session,
        Targets(queue, None, "waiting", more_states=more),
        lambda request: session.job_changes.remove(request, force=False),
        ChangeOptions("drain", "queue", reason=reason, dry_run=dry_run, yes=yes, backup=backup),
    )


@command(app, "clean", "aged")
def clean(
    session: Session,
    queue: QueueArg,
    state: CleanedStateOption,
    backup: BackupOption = None,
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> None:
    """Remove the old jobs of one state from a queue. Without a backup this cannot be undone.

    Suited to cron: AsyncMQ keeps completed jobs in Redis until somebody removes them.

    \b
    Examples:
      asyncmq queues clean emails --state completed --older-than 30d --dry-run
      asyncmq queues clean emails --state failed --older-than 90d --limit 10000 --yes
    """
    change_jobs(
        session,
        Targets(queue, None, state),
        lambda request: session.job_changes.remove(request, force=False),
        ChangeOptions("clean", "queue", reason=reason, dry_run=dry_run, yes=yes, backup=backup),
    )


@command(app, "obliterate", "pace")
def obliterate(
    session: Session,
    queue: QueueArg,
    force: Annotated[bool, typer.Option("--force", help="Remove it even while jobs are active.")] = False,
    backup: BackupOption = None,
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> None:
    """Remove a queue with its jobs, definitions, marks and counter.

    Refused while jobs are active. On a terminal, type the name of the queue to confirm. If a run ends early,
    run it again to remove the rest. A producer or worker that is still running will create the queue again.

    \b
    Examples:
      asyncmq queues obliterate imports-2025 --dry-run
      asyncmq queues obliterate imports-2025 --backup imports-2025.ndjson
    """
    options = ChangeOptions("obliterate", "queue", reason=reason, dry_run=dry_run, yes=yes, backup=backup)
    obliterate_queue(session, queue, options, force=force)


@command(app, "forget")
def forget(
    session: Session,
    queues: QueuesArg,
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", hidden=True)] = False,
) -> None:
    """Remove empty queues from all lists. A queue that holds more than its counter is refused.

    AsyncMQ never deletes the counter of a queue, so an empty queue stays listed until it is forgotten. Once
    it is used again, it is listed again.

    \b
    Example:
      asyncmq queues forget imports-2025
    """
    del yes  # Accepted without effect, because scripts pass it to every command that removes something.
    names = queue_names(session, queues)
    report_change(session, session.queues.forget(names, reason=reason, dry_run=dry_run))
