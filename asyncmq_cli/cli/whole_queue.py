"""Obliterating a queue: what it holds, having its name typed, and reporting."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from asyncmq_cli.cli import confirm
from asyncmq_cli.cli import targets as parse
from asyncmq_cli.cli.session import Session
from asyncmq_cli.cli.targets import ChangeOptions
from asyncmq_cli.errors import QueueNotFound

if TYPE_CHECKING:
    from asyncmq_cli.services.changes.jobs import ChangeRequest
    from asyncmq_cli.services.changes.selection import Selection


def obliterate_queue(session: Session, queue: str, options: ChangeOptions, *, force: bool) -> None:
    from asyncmq_cli.output.terminal import progress
    from asyncmq_cli.services.changes.jobs import BulkOptions, ChangeRequest

    if options.backup is not None:
        from asyncmq_cli.services.backup.writer import require_new

        require_new(options.backup)
    rate = parse.rate_of(session.flags)
    chosen = _every_job(session, queue, options)

    def request(advance: Callable[[int], None] | None = None) -> ChangeRequest:
        pace = BulkOptions(rate=rate, progress=advance)
        return ChangeRequest(
            queue, chosen, options.reason, options.dry_run, "queue", pace, options.backup, "obliterate"
        )

    overflow = confirm.of_overflow(session, chosen.count)
    # A queue with active jobs is refused without a question.
    is_refused = bool(chosen.states.get("active")) and not force
    if not (options.dry_run or options.yes or is_refused):
        _ask(session, queue, chosen, options, overflow)
    else:
        for line in overflow:
            session.out.remark("warning", line)
    with progress.of_changes(session.out, "obliterate", chosen.count, rate) as advance:
        report = session.job_changes.obliterate(request(advance), force=force)
    try:
        is_refused = len(report.results) == 1 and not report.succeeded
        session.report(report, brief=not is_refused)
    finally:
        if options.backup is not None and report.succeeded and not report.dry_run:
            confirm.note_backup(session, options.backup)


def _every_job(session: Session, queue: str, options: ChangeOptions) -> Selection:
    """All jobs of the queue. An unknown one is recorded as a failed attempt."""
    from asyncmq_cli.services.changes.jobs import ChangeRequest
    from asyncmq_cli.services.changes.selection import Selection, Share, select

    try:
        return select(session.jobs.matching(session.scope(queue), "all", session.filter), Share())
    except QueueNotFound as exc:
        if not options.dry_run:
            nothing = ChangeRequest(queue, Selection({}), options.reason, noun="queue")
            session.job_changes.refused("obliterate", nothing, exc)
        raise


def _ask(
    session: Session, queue: str, chosen: Selection, options: ChangeOptions, overflow: list[str]
) -> None:
    from asyncmq_cli.output.text import reports

    session.guard.require_few(chosen.count + 1)
    jobs = reports.kinds(chosen.states) if chosen.count else "no job"
    parts = session.job_changes.parts_of(queue)
    what = f"{jobs}, {parts}" if parts else jobs
    live = session.job_changes.live_workers(queue)
    serve = "1 live worker serves" if live == 1 else f"{live:,} live workers serve"
    workers = [f"{serve} it, so it stays listed until they end"] if live else []
    backup = confirm.NO_BACKUP if options.backup is None else f"backup: {options.backup}"
    confirm.ask_for_name(
        session,
        queue,
        f"Obliterate queue {queue}: {what}",
        f"obliterate queue {queue!r}: {what}",
        remarks=[*workers, *overflow, backup],
    )
