"""Changes of many jobs, or of a whole queue: select, confirm, and report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from msgspec.structs import replace

from asyncmq_cli.cli import targets as parse
from asyncmq_cli.cli.changes import confirm
from asyncmq_cli.cli.listing import given_filter, note_no_match
from asyncmq_cli.cli.session import Session
from asyncmq_cli.cli.targets import ChangeOptions, Targets, named_jobs
from asyncmq_cli.errors import (
    AmbiguousGroup,
    GroupNotFound,
    OutputFailed,
    QueueNotFound,
    TargetsFailed,
    UsageProblem,
    WaitFailed,
    WaitTimeout,
    command_line,
)
from asyncmq_cli.models.values import counted
from asyncmq_cli.system import process

if TYPE_CHECKING:
    from asyncmq_cli.models.changes import ChangeReport, RetryOutcome
    from asyncmq_cli.services.changes.selection import ChangeRequest, Selection


_IDLE_NAMED = 5
_REMOVALS = ("remove", "drain", "clean", "obliterate")
Run = Callable[["ChangeRequest"], "ChangeReport"]


def change_jobs(session: Session, targets: Targets, run: Run, options: ChangeOptions) -> None:
    """Change the jobs that are named or that a filter selects, after confirmation."""
    from asyncmq_cli.output.terminal import progress
    from asyncmq_cli.services.changes.selection import BulkOptions, ChangeRequest

    if options.backup is not None:
        from asyncmq_cli.services.backup.writer import require_new

        require_new(options.backup)
    rate, abort_above = parse.rate_of(session.flags), parse.abort_share_of(session.flags)
    by_filter = parse.is_by_filter(targets, session.flags)
    cut_offs = _cut_offs(session)
    if options.dry_run:
        for line in cut_offs:
            session.out.remark("note", line)
    if by_filter:
        queue, chosen = targets.queue, _found(session, targets, options)
        if options.dry_run and session.out.for_people and chosen.count:
            _note_targets(session, options, chosen)
    else:
        queue, chosen = named_jobs(session, targets.queue, targets.job_ids or [])

    def request(advance: Callable[[int], None] | None = None, *, dry_run: bool) -> ChangeRequest:
        pace = BulkOptions(rate=rate, abort_above=abort_above, progress=advance)
        verb = options.verb if options.noun == "queue" else None
        return ChangeRequest(queue, chosen, options.reason, dry_run, options.noun, pace, options.backup, verb)

    overflow = of_overflow(session, chosen.count)
    if not options.dry_run and not options.yes:
        if by_filter:
            remarks = [*_of_filter(session), *cut_offs, *_span(session, chosen), *overflow]
            _ask(session, _confirmation(targets, options, chosen, remarks))
        elif options.destructive or overflow:
            preview = run(request(dry_run=True))
            _ask(session, confirm.of_preview(options.verb, preview, [*overflow, *_of_backup(options)]))
    else:
        for line in overflow:
            session.out.remark("warning", line)
    # Do this before the change: an error after it would report a change that was made as a failure.
    is_waited_for = abort_above is not None or options.wait is not None
    idle = [] if is_waited_for else _idleness(session, chosen, options)
    with progress.of_changes(session.out, options.verb, chosen.count if by_filter else 0, rate) as advance:
        report = run(request(advance, dry_run=options.dry_run))
    if options.wait is not None and report.interrupted is None and report.succeeded:
        report = _with_outcome(session, report, options.wait)
    _report(session, report, options, idle, brief=by_filter)


def _report(
    session: Session, report: ChangeReport, options: ChangeOptions, idle: Sequence[str] = (), *, brief: bool
) -> None:
    try:
        report_change(session, report, brief=brief)
        for why in idle if report.succeeded else ():
            session.out.remark("note", f"{why}, so the jobs stay waiting")
    finally:
        if options.backup is not None and report.succeeded and not report.dry_run:
            confirm.note_backup(session, options.backup)
        elif options.edits and report.succeeded and not report.dry_run and session.out.for_people:
            _note_undo(session, report)


def _note_undo(session: Session, report: ChangeReport) -> None:
    """Print how to undo the edit."""
    first = next(result for result in report.results if result.error is None)
    events = session.audit.of_job(first.queue or "", first.job_id or "", most=1)
    if not events or "was" not in events[0].details:
        return
    line = command_line("jobs", "restore", "--from-audit", events[0].id)
    others = (
        "" if report.succeeded == 1 else f" of {first.job_id}; 'asyncmq audit list --json' has the other ids"
    )
    session.out.remark("note", f"{line} undoes the edit{others}, unless the job changes first")


def _with_outcome(session: Session, report: ChangeReport, limit: float) -> ChangeReport:
    """The report with the outcome of the retried jobs after at most `limit` seconds."""
    from asyncmq_cli.output.terminal import progress

    retried: dict[str, list[str]] = {}
    for result in report.results:
        if result.error is None:
            retried.setdefault(result.queue or "", []).append(result.job_id or "")
    with progress.of_waiting(session.out, "retried") as watch:
        return replace(report, outcome=session.outcomes.wait(retried, limit, watch))


def _idleness(session: Session, chosen: Selection, options: ChangeOptions) -> list[str]:
    """For the first few queues in which no worker will run the retried jobs, the reason. Only for people;
    programs use `check`."""
    if options.verb != "retry" or options.dry_run or not session.out.for_people:
        return []
    queues = list(chosen.by_queue)[:_IDLE_NAMED]
    found = {queue: session.job_changes.why_idle(queue) for queue in queues}
    if len(queues) == 1:
        return [why for why in found.values() if why is not None]
    return [f"queue {queue!r}: {why}" for queue, why in found.items() if why is not None]


def _found(session: Session, targets: Targets, options: ChangeOptions) -> Selection:
    """The jobs that the filter selects. An unknown queue or group is recorded as a failed attempt."""
    from asyncmq_cli.services.changes.selection import ChangeRequest, Selection

    try:
        chosen = _selection(session, targets)
    except (QueueNotFound, GroupNotFound, AmbiguousGroup) as exc:
        if not options.dry_run:
            nothing = ChangeRequest(targets.queue, Selection({}), options.reason, noun=options.noun)
            session.job_changes.refused(options.verb, nothing, exc)
        raise
    if chosen.nameless:
        left = counted(chosen.nameless, "job")
        session.out.remark("warning", f"{left} without an id left out; use '' as the id of such a job")
    elif not chosen.total:
        note_no_match(session, targets.searched, targets.other_states)
    return chosen


def chosen_jobs(session: Session, targets: Targets) -> Selection:
    """The jobs that are named or that a filter selects, for a command that changes nothing."""
    if parse.is_by_filter(targets, session.flags):
        return _selection(session, targets)
    return named_jobs(session, targets.queue, targets.job_ids or [])[1]


def _selection(session: Session, targets: Targets) -> Selection:
    from asyncmq_cli.services.changes.selection import Share, keys_of, select_shared

    wanted, scope = session.filter, session.scope(targets.queue)
    states = ("dlq",) if targets.dead else (targets.state or targets.default_state, *targets.more_states)
    pieces = chain.from_iterable(session.jobs.shared(scope, state, wanted, keys_of) for state in states)
    limit, percent = session.flags.get("limit"), parse.percent_of(session.flags, "percent", "--percent")
    if limit is not None and percent is not None:
        raise UsageProblem("--limit and --percent exclude each other")
    return select_shared(pieces, Share(limit=limit, percent=percent))


def _ask(session: Session, confirmation: confirm.Confirmation) -> None:
    confirm.ask(session, confirmation, session.job_details.heads)


def _cut_offs(session: Session) -> list[str]:
    """The dates that the ages in the filter stand for, so that a wrong unit is noticed."""
    from asyncmq_cli.output.text import times

    if not {"older_than", "newer_than"}.intersection(session.flags):
        return []
    wanted, now = session.filter, session.now()
    return [
        f"{name}: {side} {times.moment(now - span, utc=bool(session.flags.get('utc')))} "
        f"({times.duration(span)} ago)"
        for name, side, span in (
            ("--older-than", "from before", wanted.older_than),
            ("--newer-than", "since", wanted.newer_than),
        )
        if span is not None
    ]


def _note_targets(session: Session, options: ChangeOptions, chosen: Selection) -> None:
    """Before the rows of a dry run, print the remarks that the confirmation would show."""
    where = session.config.context or session.config.shown_url
    for line in (f"dry run on {where}", *_of_filter(session), *_span(session, chosen), *_of_backup(options)):
        session.out.remark("note", line)


def _of_filter(session: Session) -> list[str]:
    """The filter as it was parsed; ages are on separate lines."""
    texts = given_filter(session, ("q", "task", "job_id", "where", "group", "state"))
    return [f"filter: {', '.join(texts)}"] if texts else []


def _span(session: Session, chosen: Selection) -> list[str]:
    """One line with the times of the oldest and the newest selected job."""
    from asyncmq_cli.output.text import times

    if chosen.oldest is None or chosen.newest is None:
        return []
    utc = bool(session.flags.get("utc"))
    ends = (chosen.oldest, chosen.newest)
    oldest, newest = (times.moment(end, utc=utc or None) if end > 0 else "unknown" for end in ends)
    return [f"oldest job: {oldest}; newest job: {newest}"]


def _confirmation(
    targets: Targets, options: ChangeOptions, chosen: Selection, cut_offs: Sequence[str]
) -> confirm.Confirmation:
    remarks = [*cut_offs, *_of_backup(options)]
    if targets.state is None and not targets.dead:
        remarks.insert(
            0, f"only {targets.default_state} jobs; {targets.other_states or '--state sets another'}"
        )
    return confirm.Confirmation(options.verb, chosen.by_queue, chosen.states, chosen.total, remarks=remarks)


def _of_backup(options: ChangeOptions) -> list[str]:
    if options.verb not in _REMOVALS:
        return []
    return [confirm.NO_BACKUP if options.backup is None else f"backup: {options.backup}"]


def report_change(session: Session, report: ChangeReport, *, brief: bool = False) -> None:
    """Print the result of each target. Raises AdminError if any failed.

    With `brief`, people do not see the targets that succeeded: for targets that a filter selected.
    """
    from asyncmq_cli.output.text import reports

    try:
        made = "" if report.dry_run else "done anyway: "
        with session.out.outcome(lambda: f"{made}{reports.summary(report)}"):
            _print(session, report, brief=brief)
            _print_outcome(session, report)
    except OutputFailed as exc:
        if report.interrupted is None and not any(result.error for result in report.results):
            raise
        # Only warn here: the exit status is the one of the change, which raises its own error.
        session.out.remark("warning", exc.message)
    process.reported()
    _raise_failures(report)


def _print_outcome(session: Session, report: ChangeReport) -> None:
    from asyncmq_cli.output.text import reports

    if report.outcome is None or session.out.for_programs:
        return
    text = reports.outcome(report.outcome)
    if session.out.for_people:
        session.out.footer(text)
    else:
        session.out.remark("note", text)


def _print(session: Session, report: ChangeReport, *, brief: bool) -> None:
    from asyncmq_cli.output.json import documents
    from asyncmq_cli.output.tables import views
    from asyncmq_cli.output.text import reports

    if session.out.for_programs and brief:
        head = documents.change_head(report)
        lines = (documents.change_result(each, dry_run=report.dry_run) for each in report.results)
        session.out.long_document(head, "results", lines)
    elif session.out.for_programs:
        session.out.document(documents.change(report))
    elif session.out.for_people and len(report.results) == 1 and not brief:
        for kind, text in reports.single(report):
            if kind == "done":
                session.out.line(text)
            else:
                session.out.remark(kind, text)
    else:
        rows = reports.worth_a_row(report) if brief and session.out.for_people else report.results
        if rows:
            session.out.rows(rows, views.changes(dry_run=report.dry_run), now=0.0)
        if len(rows) < len(report.results) and report.dry_run:
            session.out.footer(f"… and {len(report.results) - len(rows):,} more")
        # If the outcome covers all matching jobs, it already says how many they were.
        is_summed_up = report.outcome is not None and report.outcome.total == report.matched
        if (report.results or brief) and not is_summed_up:
            session.out.footer(reports.summary(report))


def _raise_failures(report: ChangeReport) -> None:
    if report.interrupted is not None:
        raise report.interrupted
    errors = [result.error for result in report.results if result.error is not None]
    if not errors:
        _raise_outcome(report.outcome)
        return
    alone = len(report.results) == 1
    has_no_queue = not report.succeeded and all(isinstance(error, QueueNotFound) for error in errors)
    if alone or (has_no_queue and report.queue is not None):
        raise errors[0]
    raise TargetsFailed(
        f"{len(errors)} of {len(report.results)} failed",
        hint=f"the first: {errors[0].message}",
        details={"failed": len(errors), "matched": len(report.results)},
    )


def _raise_outcome(outcome: RetryOutcome | None) -> None:
    """Raises WaitFailed or WaitTimeout unless all retried jobs have completed."""
    if outcome is None:
        return
    if outcome.error is not None:
        raise outcome.error
    if outcome.failed or outcome.gone or outcome.cancelled:
        bad = outcome.failed + outcome.gone + outcome.cancelled
        raise WaitFailed("jobs_failed", f"{bad:,} of {outcome.total:,} retried jobs did not complete")
    if outcome.stopped == "timeout":
        raise WaitTimeout(f"{outcome.left:,} of {outcome.total:,} retried jobs have not ended yet")
    if outcome.left:
        unattended = f"no worker will run {outcome.left:,} of the retried jobs: {outcome.stopped}"
        raise WaitFailed("no_live_worker", unattended)


def of_overflow(session: Session, count: int) -> list[str]:
    """A remark if a change of `count` jobs would push all older events out of the audit trail; else none."""
    kept = session.config.audit_maxlen
    if count <= kept:
        return []
    return [
        f"the audit trail keeps about {kept:,} events (ASYNCMQ_AUDIT_MAXLEN): these {count:,} push out "
        "every earlier one; save them first with 'asyncmq audit export'"
    ]


def obliterate_queue(session: Session, queue: str, options: ChangeOptions, *, force: bool) -> None:
    from asyncmq_cli.output.terminal import progress
    from asyncmq_cli.services.changes.selection import BulkOptions, ChangeRequest

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

    overflow = of_overflow(session, chosen.count)
    # A queue with active jobs is refused, so there is nothing to confirm.
    is_refused = bool(chosen.states.get("active")) and not force
    if not (options.dry_run or options.yes or is_refused):
        _ask_for_name(session, queue, chosen, options, overflow)
    else:
        for line in overflow:
            session.out.remark("warning", line)
    with progress.of_changes(session.out, "obliterate", chosen.count, rate) as advance:
        report = session.job_changes.obliterate(request(advance), force=force)
    is_refused = len(report.results) == 1 and not report.succeeded
    _report(session, report, options, brief=not is_refused)


def _every_job(session: Session, queue: str, options: ChangeOptions) -> Selection:
    """All jobs of the queue. An unknown queue is recorded as a failed attempt."""
    from asyncmq_cli.services.changes.selection import ChangeRequest, Selection, Share, keys_of, select_shared

    try:
        pieces = session.jobs.shared(session.scope(queue), "all", session.filter, keys_of)
        return select_shared(pieces, Share())
    except QueueNotFound as exc:
        if not options.dry_run:
            nothing = ChangeRequest(queue, Selection({}), options.reason, noun="queue")
            session.job_changes.refused("obliterate", nothing, exc)
        raise


def _ask_for_name(
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
    confirm.ask_for_name(
        session,
        queue,
        f"Obliterate queue {queue}: {what}",
        f"obliterate queue {queue!r}: {what}",
        remarks=[*workers, *overflow, *_of_backup(options)],
    )
