"""`asyncmq queues`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from asyncmq_cli.cli import watch
from asyncmq_cli.cli.around_typer import noun
from asyncmq_cli.cli.decorators import command
from asyncmq_cli.cli.ids_from_stdin import queue_names
from asyncmq_cli.cli.params import DryRunOption, QueueArg, QueuesArg, ReasonOption
from asyncmq_cli.cli.session import Session
from asyncmq_cli.commands import NOUNS
from asyncmq_cli.errors import command_line
from asyncmq_cli.models.queues import ALL_FIELDS

if TYPE_CHECKING:
    from asyncmq_cli.models.queues import QueueStats

_RESUMED = (
    "workers that saw the pause check again after their stalled_check_interval: up to 60 s, unless the "
    "application changed it"
)

app = noun(NOUNS["queues"])


@command(app, "list", "list", "watch")
def list_(session: Session) -> None:
    """List all queues with their counts.

    \b
    Examples:
      asyncmq queues list
      asyncmq queues list --watch 5
      asyncmq queues list --json | jq '.queues[] | select(.failed > 0).name'
    """
    from asyncmq_cli.output.json import documents
    from asyncmq_cli.output.tables import views

    if watch.is_wanted(session):
        from asyncmq_cli.output.terminal import screens

        columns = watch.columns_of(session, views.on_screen(views.QUEUES))
        watch.watch(
            session,
            lambda snapshot: snapshot,
            lambda snapshot, viewport: screens.queues(snapshot.stats or (), columns, snapshot.now, viewport),
        )
        return
    columns = views.queues_columns(session.out.for_people, session.out.fields)
    fields = views.fields_of(columns)
    if session.out.for_programs:
        fields = ALL_FIELDS
    if session.out.format == "names":
        fields = frozenset()
    emptied: list[str] = []
    rows = session.warning_of_queues(session.queues.list(fields))
    if session.out.for_people:
        rows = _noting_empty(rows, emptied)
    hidden = 0 if session.out.fields else len(views.QUEUES) - len(columns)
    if session.out.format == "json":
        session.out.document_of("queues", map(documents.queue, rows))
        return
    session.listing(rows, columns, documents.queues, documents.queue, hidden=hidden)
    if emptied:
        one_is = "1 queue is empty" if len(emptied) == 1 else f"{len(emptied):,} queues are empty"
        session.out.footer(f"{one_is}: {command_line('queues', 'forget', emptied[0])}")


def _noting_empty(rows: Iterable[QueueStats], emptied: list[str]) -> Iterator[QueueStats]:
    for row in rows:
        if row.empty:
            emptied.append(row.name)
        yield row


@command(app, "show", "fields")
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
    (stats,) = session.warning_of_queues([session.queues.show(queue, fields)])
    names = [column.key for column in columns] if session.out.fields else list(documents.QUEUE_KEYS)

    def lines(now: float) -> Iterator[str]:
        yield from job_detail.queue_lines(stats, now, columns)
        if stats.paused and not session.out.fields:
            yield job_detail.pause_line(session.audit.pause_of(queue), now)

    session.detail(lambda: documents.queue(stats, names), lines)


@command(app, "pause")
def pause(
    session: Session, queues: QueuesArg, reason: ReasonOption = None, dry_run: DryRunOption = False
) -> None:
    """Pause queues: workers finish the jobs that they run and take no new ones.

    \b
    Example:
      asyncmq queues pause emails reports --reason "mail server is down"
    """
    session.report(session.queues.pause(queue_names(session, queues), reason=reason, dry_run=dry_run))


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
    session.report(report)
    resumed = any(result.error is None and result.note is None for result in report.results)
    if resumed and not dry_run and not session.out.for_programs:
        session.out.remark("note", _RESUMED)


@command(app, "forget")
def forget(
    session: Session, queues: QueuesArg, reason: ReasonOption = None, dry_run: DryRunOption = False
) -> None:
    """Take emptied queues out of every list. Nothing but the counter of the waiting set may be left of one.

    AsyncMQ never deletes that counter. A queue that is used again is there again.

    \b
    Example:
      asyncmq queues forget imports-2025
    """
    names = queue_names(session, queues)
    session.report(session.queues.forget(names, reason=reason, dry_run=dry_run))
