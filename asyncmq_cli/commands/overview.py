"""`asyncmq overview`."""

from __future__ import annotations

from asyncmq_cli.cli import watch
from asyncmq_cli.cli.around_typer import command, lone
from asyncmq_cli.cli.session import Session
from asyncmq_cli.output.formats import DOCUMENTS

app = lone()


@command(app, "overview", "watch", formats=(*DOCUMENTS, "tsv"))
def overview(session: Session) -> None:
    """Show what is wrong, why, and all queues on one screen.

    Problems come first, the worst on top, each with the command to run next. Below them are the most
    frequent causes of failure, taken from the latest 100 dead jobs of each of the 20 queues with most
    deaths in the last hour (dlq groups reads all), then the queues, those in trouble first, the workers and
    the latest jobs.

    \b
    Examples:
      asyncmq overview
      asyncmq overview --watch
      asyncmq overview --json | jq .jobdist
    """
    from asyncmq_cli.output.json import snapshots
    from asyncmq_cli.output.terminal import screens
    from asyncmq_cli.output.terminal.viewport import viewport_for
    from asyncmq_cli.services.monitoring.poller import SnapshotReader

    if watch.is_wanted(session):
        watch.watch(
            session, lambda snapshot: snapshot, screens.overview, workers=True, latest=True, trouble=True
        )
        return
    snapshot = SnapshotReader(session.store, workers=True, latest=True, trouble=True).read()
    if session.out.for_programs:
        session.out.lazy_document(snapshots.overview(snapshot))
    elif session.out.for_people:
        where = session.config.shown_url
        session.out.draw(*screens.whole(snapshot, viewport_for(session.out), where))
    else:
        for line in snapshots.overview_rows(snapshot):
            session.out.line(line)
