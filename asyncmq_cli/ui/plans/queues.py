"""Plans of changes of queues and schedules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from asyncmq_cli.cli.changes.definitions import definition_of
from asyncmq_cli.errors import UsageProblem, did_you_mean
from asyncmq_cli.services.repeatables.plans import Address, each, seconds_last, together
from asyncmq_cli.ui.plans.plan import REASON, SHOWN, Given, Plan

if TYPE_CHECKING:
    from asyncmq_cli.cli.session import Session
    from asyncmq_cli.models.changes import ChangeReport


def of_queues(session: Session, verb: Literal["pause", "resume"], names: Sequence[str]) -> Plan:
    """The plan to pause or resume these queues. Raises AdminError."""

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
    """The plan to change these definitions, each given as its queue, its id and its name for people. Raises
    AdminError."""

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
        [*(f"  {name} in {queue}" for queue, _, name in which[:SHOWN]), *refusals, after[verb]],
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
    "sure": "yes, if this is asked for",
}


def of_new_schedule(queue: str) -> Plan:
    """The plan to add a definition to this or another queue. The dialog asks for its values."""

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
    """Raises UsageProblem if the command line would ask for confirmation of this definition."""
    near = session.queues.near_new(queue)
    if near is not None:
        raise UsageProblem(
            f"there is no queue named {queue!r} yet",
            hint=did_you_mean(near) or "to create it, type yes into 'sure'",
        )
    if seconds_last(definition):
        raise UsageProblem(
            "the sixth field is the seconds, not the first as elsewhere",
            hint="Dry run shows the next runs; if they are right, type yes into 'sure'",
        )
