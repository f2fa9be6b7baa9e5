"""`asyncmq queues`."""

from __future__ import annotations

from asyncmq_cli.commands import watching
from asyncmq_cli.commands.named import queue_names
from asyncmq_cli.commands.options import DryRunOption, QueueArg, QueuesArg, ReasonOption
from asyncmq_cli.commands.registration import command
from asyncmq_cli.commands.session import Session
from asyncmq_cli.commands.tree import noun

app = noun("Find queues, see how they stand, pause and resume them.")


@command(app, "list", "list", "watch")
def list_(session: Session) -> None:
    """List all queues with their counts.

    \b
    Examples:
      asyncmq queues list
      asyncmq queues list --watch 5
      asyncmq queues list --json | jq '.queues[] | select(.failed > 0).name'
    """
    from asyncmq_cli.output import documents, views

    session.offer(views.QUEUES)
    if watching.is_wanted(session):
        from asyncmq_cli.output import screens

        columns = watching.columns_of(session, views.on_screen(views.QUEUES))
        watching.watch(
            session,
            lambda picture: picture,
            lambda picture, canvas: screens.queues(picture.stats or (), columns, picture.now, canvas),
        )
        return
    session.listing(session.queues.list(), views.QUEUES, documents.queues, documents.queue)


@command(app, "show")
def show(session: Session, queue: QueueArg) -> None:
    """Show one queue.

    \b
    Example:
      asyncmq queues show emails
    """
    from asyncmq_cli.output import detail, documents

    stats = session.queues.show(queue)
    session.detail(lambda: documents.queue(stats), lambda now: detail.queue_lines(stats, now))


@command(app, "pause")
def pause(
    session: Session, queues: QueuesArg, reason: ReasonOption = None, dry_run: DryRunOption = False
) -> None:
    """Pause queues: workers finish what they run and take nothing new.

    \b
    Example:
      asyncmq queues pause emails reports --reason "mail server is down"
    """
    session.report(session.queues.pause(queue_names(session, queues), reason=reason, dry_run=dry_run))


@command(app, "resume")
def resume(
    session: Session, queues: QueuesArg, reason: ReasonOption = None, dry_run: DryRunOption = False
) -> None:
    """Resume paused queues.

    \b
    Example:
      asyncmq queues resume emails
    """
    session.report(session.queues.resume(queue_names(session, queues), reason=reason, dry_run=dry_run))
