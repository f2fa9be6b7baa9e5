"""Plans of changes of jobs: of named jobs, or of all jobs in a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from asyncmq_cli.cli import targets as parse
from asyncmq_cli.cli.changes import confirm
from asyncmq_cli.cli.changes.bulk import of_overflow
from asyncmq_cli.errors import UsageProblem
from asyncmq_cli.output.text import reports, times
from asyncmq_cli.services.changes.selection import BulkOptions, ChangeRequest, Selection, Share, select
from asyncmq_cli.ui.plans.plan import REASON, SHOWN, Given, Plan

if TYPE_CHECKING:
    from asyncmq_cli.cli.session import Session
    from asyncmq_cli.models.changes import ChangeReport
    from asyncmq_cli.models.jobs import JobFilter, QueueScope

Noun = Literal["job", "dlq"]


class Search(Struct, frozen=True):
    """The jobs of a list: all jobs in a state, or those that match its filter."""

    scope: QueueScope
    state: str | None
    """None for the dead-letter queue."""
    wanted: JobFilter
    words: Sequence[str]
    """The words of a command line that select these jobs, including the queue."""


_BACKUP = {"backup": "a new file that keeps a copy"}
_PACE = {
    "limit": "at most this many, oldest first",
    "rate": "at most this many a second or minute: 50/s, 300/m",
}
_ABORT = {"abort_above": "with a rate: stop once more than 20% failed again"}


def fields_of(verb: str, *, many: bool) -> dict[str, str]:
    """The fields of the dialog, each with its help."""
    pace = {**_PACE, **(_ABORT if verb == "retry" else {})} if many else {}
    return {**REASON, **(_BACKUP if verb == "remove" else {}), **pace}


def of_jobs(session: Session, verb: str, noun: Noun, by_queue: Mapping[str, Sequence[str]]) -> Plan:
    """The plan to change these jobs, made by a dry run. Raises AdminError."""
    chosen = Selection(by_queue)
    preview = _run(session, verb, noun, chosen, Given(dry_run=True))
    meant = confirm.of_preview(verb, preview, of_overflow(session, chosen.count))
    failed = [result for result in preview.results if result.error is not None]
    lines = _job_lines(session, meant)
    for result in failed[:SHOWN]:
        lines.append(f"  refused: {result.error.message if result.error else ''}")
    alone = len(by_queue) == 1
    queue = [*by_queue] if alone else []
    return Plan(
        f"{noun}.{verb}",
        _question(verb, meant),
        [*lines, *_consequences(session, verb, by_queue), *meant.remarks],
        fields_of(verb, many=chosen.count > 1),
        ["dlq" if noun == "dlq" else "jobs", verb, *queue, *chosen.job_ids],
        chosen.count,
        lambda own, given: _run(own, verb, noun, _limited(chosen, given), given),
        refused=not meant.count,
    )


def of_search(session: Session, verb: str, found: Search) -> Plan:
    """The plan to change all jobs of a list. Raises AdminError."""
    noun: Noun = "dlq" if found.state is None else "job"
    chosen = _selected(session, found, None)
    meant = confirm.Confirmation(
        verb,
        chosen.by_queue,
        chosen.states,
        chosen.total,
        remarks=[*meant_dates(session, found.wanted), *of_overflow(session, chosen.count)],
    )

    def run(own: Session, given: Given) -> ChangeReport:
        return _run(own, verb, noun, _selected(own, found, limit_of(given)), given)

    return Plan(
        f"{noun}.{verb}",
        _question(verb, meant),
        [*_job_lines(session, meant), *_consequences(session, verb, chosen.by_queue), *meant.remarks],
        fields_of(verb, many=True),
        ["dlq" if noun == "dlq" else "jobs", verb, *found.words],
        chosen.count,
        run,
        refused=not chosen.count,
    )


def _selected(session: Session, found: Search, limit: int | None) -> Selection:
    jobs = session.jobs.matching(found.scope, found.state or "dlq", found.wanted)
    return select(jobs, Share(limit=limit))


def _limited(chosen: Selection, given: Given) -> Selection:
    limit = limit_of(given)
    if limit is None:
        return chosen
    left, by_queue = limit, {}
    for queue, ids in chosen.by_queue.items():
        by_queue[queue] = ids[:left]
        left -= len(by_queue[queue])
    return replace(chosen, by_queue={queue: ids for queue, ids in by_queue.items() if ids})


def limit_of(given: Given) -> int | None:
    """The value of the field `limit`, or None. Raises UsageProblem."""
    text = given.fields.get("limit")
    if text is None:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise UsageProblem(f"limit must be a number above 0, not {text!r}")
    return int(text)


def _run(session: Session, verb: str, noun: Noun, chosen: Selection, given: Given) -> ChangeReport:
    """Make the change. Raises UsageProblem for an invalid field, and the errors of the guard."""
    pace = BulkOptions(
        rate=parse.rate_of(given.fields),
        abort_above=parse.abort_share_of(given.fields),
        progress=given.progress,
        stop=given.stop,
    )
    backup = given.backup()
    queues = list(chosen.by_queue)
    request = ChangeRequest(
        queues[0] if len(queues) == 1 else None, chosen, given.reason, given.dry_run, noun, pace, backup
    )
    changes = session.job_changes
    if verb == "retry":
        return changes.retry(request, reset=False)
    if verb == "requeue":
        return changes.requeue(request, force=False)
    if verb == "run-now":
        return changes.run_now(request)
    if verb == "remove":
        return changes.remove(request, force=False)
    return changes.cancel(request)


def _question(verb: str, meant: confirm.Confirmation) -> str:
    if not meant.count:
        return f"There is nothing to {verb.replace('-', ' ')}"
    return f"{verb.replace('-', ' ').capitalize()} {reports.kinds(meant.states)} in {meant.where[0]}"


def _job_lines(session: Session, meant: confirm.Confirmation) -> list[str]:
    if not meant.count:
        return []
    return reports.job_lines(
        session.job_details.heads(meant.first(SHOWN)),
        meant.notes,
        more=max(0, meant.count - SHOWN),
        with_state=len(meant.states) > 1,
        with_queue=len(meant.by_queue) > 1,
        width=100,
    )


def _consequences(session: Session, verb: str, by_queue: Mapping[str, Any]) -> list[str]:
    """Lines that matter for the confirmation: that the change cannot be undone, or why no worker will run the
    retried jobs."""
    if verb == "remove":
        return ["without a backup this cannot be undone"] if by_queue else []
    if verb != "retry":
        return []
    found = {queue: session.job_changes.why_idle(queue) for queue in list(by_queue)[:5]}
    return [f"queue {queue!r}: {why}, so the jobs stay waiting" for queue, why in found.items() if why]


def meant_dates(session: Session, wanted: JobFilter) -> list[str]:
    """The dates that the ages in a filter stand for, so that a wrong unit is noticed."""
    now = session.now()
    ages = (("older than", "from before", wanted.older_than), ("newer than", "since", wanted.newer_than))
    return [
        f"{name} {times.duration(span)}: {side} {times.moment(now - span, utc=session.out.utc)}"
        for name, side, span in ages
        if span is not None
    ]
