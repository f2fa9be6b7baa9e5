"""`asyncmq workers`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

from asyncmq_cli.commands import paging, watching
from asyncmq_cli.commands.declare import FILTERS, one_of, option
from asyncmq_cli.commands.durations import seconds
from asyncmq_cli.commands.paging import PageOption, Paging
from asyncmq_cli.commands.registration import command
from asyncmq_cli.commands.session import Session
from asyncmq_cli.commands.tree import noun
from asyncmq_cli.errors import UsageProblem

if TYPE_CHECKING:
    from asyncmq_cli.models.workers import WorkerPage
    from asyncmq_cli.services.workers import Fleet

app = noun("See which workers are there, how they are, and which queues have none.")

SORTS = ("queue", "id", "heartbeat", "concurrency")

QueueOption = Annotated[
    str | None, option("--queue", "QUEUE", "Only the workers of this queue.", title=FILTERS)
]
TtlOption = Annotated[
    str | None,
    option(
        "--ttl",
        "DURATION",
        "Judge workers by this heartbeat TTL. [default: their own, as far as Redis tells, else "
        "ASYNCMQ_HEARTBEAT_TTL, else 30s]",
    ),
]
SortOption = Annotated[
    str | None,
    option(
        "--sort",
        "ORDER",
        "queue, id, heartbeat (the oldest first) or concurrency (the largest first). "
        "[default: queue; with --ndjson: as found]",
        callback=one_of(SORTS),
    ),
]
SizeOption = Annotated[int | None, paging.size_option("Workers")]


@command(app, "list", "list", "watch")
def list_(
    session: Session,
    queue: QueueOption = None,
    ttl: TtlOption = None,
    sort: SortOption = None,
    page: PageOption = None,
    size: SizeOption = None,
) -> None:
    """List workers by their heartbeats: healthy, aging past two thirds of the TTL, stale past it.

    Ages are by the server's clock as far as Redis tells; a worker whose clock differs is named.

    \b
    Examples:
      asyncmq workers list --sort heartbeat
      asyncmq workers list --queue emails --json | jq .summary
    """
    from asyncmq_cli.output import documents, views

    session.offer(views.WORKERS)
    asked = Paging(page, size)

    def fleet() -> Fleet:
        return session.workers.fleet(queue, _ttl(ttl))

    def one_page() -> WorkerPage:
        return session.workers.page(fleet(), sort=sort or "queue", page=asked.page, size=asked.size)

    if watching.is_wanted(session):
        _watch(session, one_page)
    elif session.out.for_streams:
        found = fleet()
        workers = found if sort is None else session.workers.in_order(found, sort)
        session.listing(workers, views.WORKERS, list, documents.worker)
        _warn_of(session, found.unattended)
    else:
        _print(session, one_page(), asked)


def _watch(session: Session, one_page: Callable[[], WorkerPage]) -> None:
    from asyncmq_cli.output import screens, views

    columns = watching.columns_of(session, views.on_screen(views.WORKERS))
    watching.watch(
        session,
        lambda picture: (picture.now, one_page()),
        lambda found, canvas: screens.workers(found[1], columns, found[0], canvas),
    )


def _print(session: Session, found: WorkerPage, asked: Paging) -> None:
    from asyncmq_cli.output import documents, views

    if session.out.format == "json":
        session.out.document(documents.workers(found))
        return
    session.out.rows(found.workers, views.WORKERS, now=session.now())
    session.out.footer(views.worker_footer(found))
    asked.tell_of_more(session, len(found.workers), found.summary.total, "workers")
    _warn_of(session, found.unattended)


def _warn_of(session: Session, unattended: Sequence[str]) -> None:
    for queue in unattended:
        session.out.remark("warning", f"jobs wait in queue {queue!r}, and it has no live worker")


def _ttl(text: str | None) -> float | None:
    if text is None:
        return None
    ttl = seconds(text)
    if not 0 < ttl < 1e9:
        raise UsageProblem(f"--ttl must be above 0, not {text!r}")
    return ttl
