"""What a key would change, before it does: the same plan as on the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from asyncmq_cli.cli import targets as parse
from asyncmq_cli.cli.changes import confirm
from asyncmq_cli.cli.changes.definitions import definition_of
from asyncmq_cli.errors import UsageProblem
from asyncmq_cli.models.actions import BY_NAME
from asyncmq_cli.nearest import did_you_mean
from asyncmq_cli.output.text import reports
from asyncmq_cli.services.changes.jobs import BulkOptions, ChangeRequest
from asyncmq_cli.services.changes.selection import Selection, Share, select
from asyncmq_cli.services.repeatables.plans import seconds_last

if TYPE_CHECKING:
    from asyncmq_cli.cli.session import Session
    from asyncmq_cli.models.changes import ChangeReport
    from asyncmq_cli.models.jobs import JobFilter
    from asyncmq_cli.models.queues import QueueScope
    from asyncmq_cli.services.changes.runner import Stop

Noun = Literal["job", "dlq"]

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Given:
    """What was typed into the dialog; a field that was left empty is absent."""

    fields: Mapping[str, str] = field(default_factory=dict)
    dry_run: bool = False
    stop: Stop | None = None
    progress: Callable[[int], None] | None = None

    @property
    def reason(self) -> str | None:
        return self.fields.get("reason")

    @property
    def options(self) -> list[str]:
        """The same as options of the command line."""
        words = [word for name, text in self.fields.items() for word in (f"--{name.replace('_', '-')}", text)]
        return [*words, *(["--dry-run"] if self.dry_run else [])]


@dataclass(frozen=True, slots=True)
class Plan:
    """A change that waits for its yes. `fields` are what the dialog asks for, each with its help; `command`
    the words of the command line without those. `count` targets are known beforehand. `run` is called in a
    lane of its own."""

    action: str
    question: str
    lines: Sequence[str]
    fields: Mapping[str, str]
    command: Sequence[str]
    count: int
    run: Callable[[Session, Given], ChangeReport]
    refused: bool = False
    """Whether nothing of it can be done, which `lines` explain."""
    values: Mapping[str, str] = field(default_factory=dict)
    """What stands in the fields at first."""
    line: Callable[[Given], Sequence[str]] | None = None
    """The words of the command line, where they are not `command` and the fields as options."""

    def words(self, given: Given) -> list[str]:
        """The words of the command line that does the same."""
        return [*self.command, *given.options] if self.line is None else list(self.line(given))

    @property
    def verb(self) -> str:
        """What the button says."""
        return self.action.partition(".")[2]

    @property
    def is_guarded(self) -> bool:
        """Whether a context that wants its name confirmed wants it for this."""
        return self.count > 1 or BY_NAME[self.action].guarded


@dataclass(frozen=True, slots=True)
class Search:
    """The jobs that a list shows: all of a state, or those that its filter finds."""

    scope: QueueScope
    state: str | None
    """None for the dead-letter queue."""
    wanted: JobFilter
    words: Sequence[str]
    """The words of the command line that select them, its queue with them."""


REASON = {"reason": "goes into the audit trail"}
_BACKUP = {"backup": "a new file that keeps a copy"}
_PACE = {
    "limit": "at most so many, the oldest first",
    "rate": "at most so many a second or minute: 50/s, 300/m",
}
_ABORT = {"abort_above": "with a rate: stop once more than 20% failed again"}


def fields_of(verb: str, *, many: bool) -> dict[str, str]:
    """What the dialog asks for."""
    pace = {**_PACE, **(_ABORT if verb == "retry" else {})} if many else {}
    return {**REASON, **(_BACKUP if verb == "remove" else {}), **pace}


def of_jobs(session: Session, verb: str, noun: Noun, by_queue: Mapping[str, Sequence[str]]) -> Plan:
    """The change of these jobs, as a dry run finds it. Raises AdminError."""
    chosen = Selection(by_queue)
    preview = _run(session, verb, noun, chosen, Given(dry_run=True))
    meant = confirm.of_preview(verb, preview, confirm.of_overflow(session, chosen.count))
    failed = [result for result in preview.results if result.error is not None]
    lines = _job_lines(session, meant)
    for result in failed[:_SHOWN]:
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
    """The change of all jobs that a list finds. Raises AdminError."""
    noun: Noun = "dlq" if found.state is None else "job"
    chosen = _selected(session, found, None)
    meant = confirm.Confirmation(
        verb,
        chosen.by_queue,
        chosen.states,
        chosen.total,
        remarks=[*meant_dates(session, found.wanted), *confirm.of_overflow(session, chosen.count)],
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
    if found.state is None:
        jobs = session.dlq.matching(found.scope, found.wanted)
    else:
        jobs = session.jobs.matching(found.scope, found.state, found.wanted)
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
    """How many jobs at most. Raises UsageProblem."""
    text = given.fields.get("limit")
    if text is None:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise UsageProblem(f"limit must be a number above 0, not {text!r}")
    return int(text)


def _run(session: Session, verb: str, noun: Noun, chosen: Selection, given: Given) -> ChangeReport:
    """Raises UsageProblem for a field that cannot be read, and what the guard raises."""
    pace = BulkOptions(
        rate=parse.rate_of(given.fields),
        abort_above=parse.abort_share_of(given.fields),
        progress=given.progress,
        stop=given.stop,
    )
    backup = given.fields.get("backup")
    if backup is not None:
        from asyncmq_cli.services.backup.writer import require_new

        require_new(backup)
    queues = list(chosen.by_queue)
    request = ChangeRequest(
        queues[0] if len(queues) == 1 else None, chosen, given.reason, given.dry_run, noun, pace, backup
    )
    changes = session.job_changes
    if verb == "retry":
        return changes.retry(request, reset=False)
    if verb == "requeue":
        return changes.requeue(request, force=False)
    if verb == "remove":
        return changes.remove(request, force=False)
    return changes.cancel(request)


def _question(verb: str, meant: confirm.Confirmation) -> str:
    if not meant.count:
        return f"There is nothing to {verb}"
    return f"{verb.capitalize()} {reports.kinds(meant.states)} in {meant.where[0]}"


def _job_lines(session: Session, meant: confirm.Confirmation) -> list[str]:
    if not meant.count:
        return []
    return reports.job_lines(
        session.jobs.heads(meant.first(_SHOWN)),
        meant.notes,
        more=max(0, meant.count - _SHOWN),
        with_state=len(meant.states) > 1,
        with_queue=len(meant.by_queue) > 1,
        width=100,
    )


def _consequences(session: Session, verb: str, by_queue: Mapping[str, Any]) -> list[str]:
    """What to know before a yes: that it cannot be undone, or why retried jobs will only wait."""
    if verb == "remove":
        return ["without a backup this cannot be undone"] if by_queue else []
    if verb != "retry":
        return []
    found = {queue: session.job_changes.why_idle(queue) for queue in list(by_queue)[:5]}
    return [f"queue {queue!r}: {why}, so the jobs stay waiting" for queue, why in found.items() if why]


def meant_dates(session: Session, wanted: JobFilter) -> list[str]:
    """The dates that the ages in a filter mean, so that a wrong unit is noticed."""
    from asyncmq_cli.output.text import times

    now = session.now()
    ages = (("older than", "from before", wanted.older_than), ("newer than", "since", wanted.newer_than))
    return [
        f"{name} {times.duration(span)}: {side} {times.moment(now - span, utc=session.out.utc)}"
        for name, side, span in ages
        if span is not None
    ]


def of_queues(session: Session, verb: Literal["pause", "resume"], names: Sequence[str]) -> Plan:
    """Pausing or resuming these queues. Raises AdminError."""

    def run(own: Session, given: Given) -> ChangeReport:
        change = own.queues.pause if verb == "pause" else own.queues.resume
        return change(names, reason=given.reason, dry_run=given.dry_run)

    preview = run(session, Given(dry_run=True))
    notes = [
        f"  {one.queue}: {one.note if one.error is None else one.error.message}"
        for one in preview.results
        if one.note or one.error
    ]
    after = {
        "pause": "workers finish the jobs that they run and take no new ones",
        "resume": "workers check for a pause every 60 s, so this may take that long",
    }
    what = names[0] if len(names) == 1 else f"{len(names):,} queues"
    return Plan(
        f"queue.{verb}",
        f"{verb.capitalize()} {what}",
        [*notes, after[verb]],
        REASON,
        ["queues", verb, *names],
        len(names),
        run,
        refused=not preview.succeeded,
    )


def of_schedules(
    session: Session, verb: Literal["pause", "resume", "remove"], which: Sequence[tuple[str, str, str]]
) -> Plan:
    """A change of these definitions, given as queue, id and what people know them by. Raises AdminError."""
    from asyncmq_cli.services.repeatables.plans import each, together
    from asyncmq_cli.services.repeatables.service import Address

    def run(own: Session, given: Given) -> ChangeReport:
        service = own.repeatables
        change: Any = {"pause": service.pause, "resume": service.resume, "remove": service.remove}[verb]
        done = each(
            [Address(queue, id=one) for queue, one, _ in which],
            lambda address: change(address, reason=given.reason, dry_run=given.dry_run),
        )
        queues = {queue for queue, _, _ in which}
        alone = queues.pop() if len(queues) == 1 else ""
        return together(f"repeatable.{verb}", alone, done, dry_run=given.dry_run)

    preview = run(session, Given(dry_run=True))
    refusals = [f"  refused: {one.error.message}" for one in preview.results if one.error is not None]
    after = {
        "pause": "they stay, but enqueue no jobs",
        "resume": "their next runs are computed from now",
        "remove": "jobs that they enqueued stay; this cannot be undone",
    }
    what = which[0][2] if len(which) == 1 else f"{len(which):,} schedules"
    return Plan(
        f"repeatable.{verb}",
        f"{verb.capitalize()} {what}",
        [*(f"  {name} in {queue}" for queue, _, name in which[:_SHOWN]), *refusals, after[verb]],
        REASON,
        ["repeatables", verb, which[0][0], *(one for queue, one, _ in which if queue == which[0][0])],
        len(which),
        run,
        refused=not preview.succeeded,
    )


_NEW_SCHEDULE = {
    "queue": "the queue's name",
    "task": "the id of the task to run",
    "every": "90s, 5m, 2h or 1h30m",
    "cron": "or when, in UTC: */5 * * * *",
    "args": """positional arguments, an array: ["inbox", 1]""",
    "kwargs": """keyword arguments, an object: {"to": "ana"}""",
    "sure": "yes, where this is asked for",
}


def of_new_schedule(queue: str) -> Plan:
    """Adding a definition to this queue or another one; what it is, the dialog asks for."""

    def run(own: Session, given: Given) -> ChangeReport:
        fields = given.fields
        name = fields.get("queue", "")
        if not name:
            raise UsageProblem("which queue?", hint="type its name")
        definition = definition_of(
            task=fields.get("task", ""),
            **{key: fields.get(key) for key in ("every", "cron", "args", "kwargs")},
            retries=0,
            ttl=None,
            priority=5,
            backoff=None,
        )
        if not given.dry_run and fields.get("sure") != "yes":
            _require_meant(own, name, definition)
        return own.repeatables.add(name, definition, paused=False, reason=given.reason, dry_run=given.dry_run)

    def line(given: Given) -> list[str]:
        options = {key: text for key, text in given.fields.items() if key not in ("queue", "sure")}
        return ["repeatables", "add", given.fields.get("queue", "QUEUE"), *Given(options).options]

    return Plan(
        "repeatable.create",
        "Add a schedule",
        ["Dry run shows its next runs."],
        {**_NEW_SCHEDULE, **REASON},
        [],
        1,
        run,
        values={"queue": queue},
        line=line,
    )


def _require_meant(session: Session, queue: str, definition: Mapping[str, Any]) -> None:
    """What the command line asks about. Raises UsageProblem."""
    near = session.repeatables.near_new(queue)
    if near is not None:
        raise UsageProblem(
            f"there is no queue named {queue!r} yet",
            hint=did_you_mean(near) or "if it is to be new, type yes into 'sure'",
        )
    if seconds_last(definition):
        raise UsageProblem(
            "the sixth field is the seconds, not the first as elsewhere",
            hint="Dry run shows the next runs; if they are right, type yes into 'sure'",
        )
