"""`asyncmq workers`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from asyncmq_cli.cli import listing, watch
from asyncmq_cli.cli.around_typer import command, noun
from asyncmq_cli.cli.changes import confirm
from asyncmq_cli.cli.changes.bulk import report_change
from asyncmq_cli.cli.listing import PageOption, Paging
from asyncmq_cli.cli.options import STDIN_HELP, argument, option
from asyncmq_cli.cli.params import FILTERS, DryRunOption, GlobsOption, ReasonOption, YesOption
from asyncmq_cli.cli.session import Session
from asyncmq_cli.cli.targets import words
from asyncmq_cli.commands import NOUNS
from asyncmq_cli.durations import seconds
from asyncmq_cli.errors import UsageProblem

if TYPE_CHECKING:
    from asyncmq_cli.models.workers import Worker, WorkerPage
    from asyncmq_cli.services.monitoring.workers import WorkerScan

app = noun(NOUNS["workers"])

HEALTHS = ("healthy", "aging", "stale")
_NAMED = 10
SORTS = ("queue", "id", "heartbeat", "concurrency")

TtlOption = Annotated[
    str | None,
    option(
        "--ttl",
        "DURATION",
        "Heartbeat TTL to judge the workers by. [default: their own, if Redis shows it, else "
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
        choices=SORTS,
    ),
]
HealthOption = Annotated[
    str | None,
    option(
        "--health",
        "HEALTH",
        "Only healthy, aging or stale workers. On a terminal, stale ones are hidden without this.",
        choices=HEALTHS,
        title=FILTERS,
    ),
]
SizeOption = Annotated[int | None, listing.size_option("Workers")]


@command(app, "list", "list", "watch")
def list_(
    session: Session,
    queue: GlobsOption = None,
    health: HealthOption = None,
    ttl: TtlOption = None,
    sort: SortOption = None,
    page: PageOption = None,
    size: SizeOption = None,
) -> None:
    """List workers with their health (healthy, aging or stale), judged by the age of their heartbeat.

    A worker is aging after two thirds of the heartbeat TTL, and stale after the TTL. Ages are measured by
    the clock of Redis where possible; a warning names workers whose clock differs.

    \b
    Examples:
      asyncmq workers list --sort heartbeat
      asyncmq workers list --queue emails --json | jq .summary
    """
    from asyncmq_cli.output.json import documents
    from asyncmq_cli.output.tables import views

    asked = Paging(page, size)

    def scan() -> WorkerScan:
        return session.workers.scan(session.globs(queue), _ttl(ttl))

    def one_page() -> WorkerPage:
        fold = health is None and session.out.for_people
        return session.workers.page(
            scan(), sort=sort or "queue", page=asked.page, size=asked.size, health=health, fold=fold
        )

    if watch.is_wanted(session):
        _watch(session, one_page)
    elif asked.is_of_all(session):
        found = scan()
        order = listing.order_of_all(session, sort, "queue")
        workers: Iterable[Worker] = found if order is None else session.workers.in_order(found, order)
        if health is not None:
            workers = (worker for worker in workers if worker.health == health)
        session.listing(workers, views.WORKERS, list, documents.worker)
        _warn_of(session, found.unattended)
    else:
        _print(session, one_page(), asked)


@command(app, "forget")
def forget(
    session: Session,
    workers: Annotated[list[str] | None, argument("[WORKER...]", f"Ids of workers; {STDIN_HELP}.")] = None,
    stale: Annotated[bool, typer.Option("--stale", help="All stale workers, instead of ids.")] = False,
    queue: GlobsOption = None,
    force: Annotated[bool, typer.Option("--force", help="Also remove live workers from the list.")] = False,
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> None:
    """Remove dead workers from the list. AsyncMQ's workers do not always deregister themselves.

    Their jobs stay as they are. A live worker is listed again at its next heartbeat.

    \b
    Examples:
      asyncmq workers forget --stale
      asyncmq workers forget 0b1e4d7c-9a53-4f6f-8e8d-4b11c2a96d10 --reason "host is gone"
    """
    if stale is bool(workers):
        raise UsageProblem("give ids of workers, or --stale for all that are stale")
    if stale:
        chosen = session.workers.silent(session.globs(queue))
    else:
        chosen = session.workers.named(words(session, workers or []), session.globs(queue))
    if any(name for name, _ in chosen) and not dry_run and not yes:
        what = f"{len(chosen):,} stale worker{'s' if len(chosen) > 1 else ''}" if stale else "these workers"
        lines = [f"  {worker} in {name or '?'}" for name, worker in chosen[:_NAMED]]
        if len(chosen) > _NAMED:
            lines.append(f"  … and {len(chosen) - _NAMED:,} more")
        confirm.ask_about(session, lines, f"Forget {what}?", f"forget {what}")
    report = session.workers.forget(chosen, force=force, reason=reason, dry_run=dry_run)
    report_change(session, report, brief=stale)


def _watch(session: Session, one_page: Callable[[], WorkerPage]) -> None:
    from asyncmq_cli.output.tables import views
    from asyncmq_cli.output.terminal import screens

    columns = watch.columns_of(session, views.on_screen(views.WORKERS))
    watch.watch(
        session,
        lambda snapshot: (snapshot.now, one_page()),
        lambda found, viewport: screens.workers(found[1], columns, found[0], viewport),
    )


def _print(session: Session, found: WorkerPage, asked: Paging) -> None:
    from asyncmq_cli.output.json import documents
    from asyncmq_cli.output.tables import views

    if session.out.format == "json":
        session.out.document(documents.workers(found))
        return
    # If there is no worker at all, the footer says so.
    empty = "no worker matches" if found.summary.total else ""
    session.out.rows(found.workers, views.WORKERS, now=session.now(), empty=empty)
    if found.folded:
        session.out.footer(views.folded_workers(found))
    session.out.footer(views.worker_footer(found))
    asked.note_more(session, len(found.workers), found.listed, "workers")
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
