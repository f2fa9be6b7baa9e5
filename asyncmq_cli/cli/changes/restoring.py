"""Restore jobs from a backup: select, confirm, and report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from asyncmq_cli.cli import targets as parse
from asyncmq_cli.cli.changes import confirm
from asyncmq_cli.cli.changes.bulk import of_overflow, report_change
from asyncmq_cli.cli.options import argument, option, require_event_id
from asyncmq_cli.cli.session import Session
from asyncmq_cli.cli.targets import ChangeOptions, words
from asyncmq_cli.errors import UsageProblem
from asyncmq_cli.models.values import counted

if TYPE_CHECKING:
    from asyncmq_cli.services.backup.reader import Backup, Entry

FileArg = Annotated[
    str | None, argument("[FILE]", "A backup that --backup wrote; - reads it from standard input.")
]
FromAuditOption = Annotated[
    list[str] | None,
    option(
        "--from-audit",
        "EVENT",
        "Undo the edit of this audit event, given by its id; may be repeated.",
    ),
]


def restore_edits(
    session: Session, events: Sequence[str], file: str | None, options: ChangeOptions, *, force: bool
) -> None:
    """Undo the edits that these audit events recorded."""
    from asyncmq_cli.services.backup.restore import TakeBackRequest

    if file is not None or force:
        given = "--force" if file is None else "a backup"
        raise UsageProblem(f"--from-audit and {given} exclude each other", hint="an event names its job")
    for event in events:
        require_event_id(event, "--from-audit")
    report = session.restores.take_back(TakeBackRequest(events, options.reason, options.dry_run))
    report_change(session, report)


def restore_jobs(
    session: Session, file: str | None, job_ids: list[str] | None, options: ChangeOptions, *, force: bool
) -> None:
    from asyncmq_cli.output.terminal import progress
    from asyncmq_cli.services.backup.reader import STANDARD_INPUT, Backup

    if file is None:
        raise UsageProblem("name the backup to restore", hint="--from-audit EVENT undoes an edit without one")
    rate = parse.rate_of(session.flags)
    if file == STANDARD_INPUT and STANDARD_INPUT in (job_ids or ()):
        raise UsageProblem("the backup and the ids cannot both come from standard input")
    ids = words(session, job_ids) if job_ids else None
    with Backup(file) as backup:
        if ids is not None:
            known = {entry.id for entry in backup.entries.values()} | {edit.id for edit in backup.edits}
            ids = [job_id if job_id in known else job_id.strip() or job_id for job_id in ids]
        _warn(session, backup, whole=ids is None)
        chosen = session.restores.chosen(backup)
        if not (chosen or backup.parts or backup.edits):
            session.out.remark("note", "the backup is empty")
        overflow = of_overflow(session, len(chosen if ids is None else ids))
        if ids is None and not options.dry_run and not options.yes:
            _ask(session, backup, chosen, overflow)
        else:
            for line in overflow:
                session.out.remark("warning", line)
        with progress.of_changes(session.out, options.verb, len(chosen) if ids is None else 0) as advance:
            from asyncmq_cli.services.backup.restore import RestoreRequest
            from asyncmq_cli.services.changes.selection import BulkOptions

            request = RestoreRequest(
                backup,
                ids,
                force=force,
                reason=options.reason,
                dry_run=options.dry_run,
                options=BulkOptions(rate=rate, progress=advance),
            )
            report = session.restores.restore(request)
    report_change(session, report, brief=ids is None)


def _ask(session: Session, backup: Backup, chosen: Sequence[Entry], remarks: Sequence[str]) -> None:
    by_queue: dict[str, list[Entry]] = {}
    for entry in chosen:
        by_queue.setdefault(entry.queue, []).append(entry)
    beside = _beside_jobs(backup)
    confirmation = confirm.Confirmation(
        "restore",
        {queue: [entry.id for entry in entries] for queue, entries in by_queue.items()},
        Counter(entry.state for entry in chosen),
        remarks=[*([f"and {beside}"] if beside else []), *remarks],
    )
    if not chosen and beside:
        queues = ", ".join(sorted({part.queue for part in backup.parts} | {e.queue for e in backup.edits}))
        deed = f"restore {beside} in {queues}"
        confirm.ask_about(session, [], f"R{deed[1:]}?", deed, remarks=remarks)
        return
    in_order = [entry for entries in by_queue.values() for entry in entries]
    confirm.ask(session, confirmation, lambda some: session.restores.heads(backup, in_order[: len(some)]))


def _beside_jobs(backup: Backup) -> str:
    """The parts of queues that are not jobs, and the edits, as text; "" if there are none."""
    from asyncmq_cli.models.queues import names_of

    counts: Counter[str] = Counter()
    for part in backup.parts:
        counts[part.name] += part.count
    edits = counted(len(backup.edits), "edit") if backup.edits else None
    return ", ".join(filter(None, (names_of(counts), edits)))


def _warn(session: Session, backup: Backup, *, whole: bool) -> None:
    kept = sum(1 for entry in backup.entries.values() if entry.removed is False)
    if kept and whole:
        session.out.remark("warning", f"{counted(kept, 'job')} of the backup were not removed")
    if backup.cut_line is not None:
        session.out.remark(
            "warning",
            f"line {backup.cut_line:,}, the last of the backup, is incomplete and was skipped: a run that "
            "is killed while it writes a line has not removed that job",
        )
