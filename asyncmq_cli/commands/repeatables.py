"""`asyncmq repeatables`."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asyncmq_cli.commands import asking
from asyncmq_cli.commands.declare import argument, option
from asyncmq_cli.commands.durations import seconds
from asyncmq_cli.commands.named import ids_from
from asyncmq_cli.commands.options import DryRunOption, QueueArg, ReasonOption, YesOption
from asyncmq_cli.commands.registration import command
from asyncmq_cli.commands.session import Session
from asyncmq_cli.commands.tree import noun
from asyncmq_cli.errors import UsageProblem

if TYPE_CHECKING:
    from asyncmq_cli.models.repeatables import RepeatableChange
    from asyncmq_cli.services.repeatables import Address

app = noun("See what is scheduled, add definitions, pause, resume and remove them.")

_MOST_LEVELS = 100
"""Arguments nested deeper could not be read back by everything that must."""
_MOST_PRIORITY = 9000
"""AsyncMQ orders a queue by priority * 10^12 + sequence, which is no longer exact beyond it."""

AnyQueueArg = Annotated[str | None, argument("[QUEUE]", "Name of a queue; without it, all.")]
IdsArg = Annotated[
    list[str] | None,
    argument(
        "[ID...]", "Ids, or as much of each as is unique; - reads them from standard input, one a line."
    ),
]
ByTaskOption = Annotated[str | None, option("--task", "NAME", "Its task, where that is unique.")]
TaskOption = Annotated[str, option("--task", "NAME", "Id of the task to run.")]
EveryOption = Annotated[str | None, option("--every", "DURATION", "As 90s, 5m, 2h, 1h30m.")]
CronOption = Annotated[str | None, option("--cron", "EXPRESSION", 'In UTC, as "*/5 * * * *".')]
ArgsOption = Annotated[str | None, option("--args", "JSON", "Positional arguments, an array.")]
KwargsOption = Annotated[str | None, option("--kwargs", "JSON", "Keyword arguments, an object.")]
RetriesOption = Annotated[int, option("--retries", "N", "How often a failed job is tried again.", min=0)]
TtlOption = Annotated[str | None, option("--ttl", "DURATION", "Age at which a job expires.")]
PriorityOption = Annotated[
    int,
    option(
        "--priority",
        "N",
        f"{-_MOST_PRIORITY} to {_MOST_PRIORITY}; lower runs first.",
        min=-_MOST_PRIORITY,
        max=_MOST_PRIORITY,
        show_default=True,
    ),
]
BackoffOption = Annotated[
    float | None, option("--backoff", "BASE", "Seconds before the n-th retry: BASE to the power of n.")
]


@command(app, "list", "list", "secrets")
def list_(session: Session, queue: AnyQueueArg = None) -> None:
    """List definitions, the next to run first. Overdue: not paused, and late by over a minute.

    \b
    Examples:
      asyncmq repeatables list emails
      asyncmq repeatables list --json | jq '.repeatables[] | select(.overdue)'
    """
    from asyncmq_cli.output import documents, views

    secrets = session.show_secrets
    columns = views.repeatables(show_secrets=secrets)
    session.offer(columns)
    session.listing(
        session.warning_of_problems(session.repeatables.list(queue), "repeatable"),
        columns,
        lambda rows: documents.repeatables(rows, show_secrets=secrets),
        lambda row: documents.repeatable(row, show_secrets=secrets),
    )


@command(app, "add")
def add(
    session: Session,
    queue: QueueArg,
    task: TaskOption,
    every: EveryOption = None,
    cron: CronOption = None,
    args: ArgsOption = None,
    kwargs: KwargsOption = None,
    retries: RetriesOption = 0,
    ttl: TtlOption = None,
    priority: PriorityOption = 5,
    backoff: BackoffOption = None,
    paused: Annotated[bool, typer.Option("--paused", help="Store it paused.")] = False,
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask where the queue is a new one.")
    ] = False,
) -> None:
    """Add a definition, or count the next run anew of one that is there already.

    \b
    Examples:
      asyncmq repeatables add emails --task app.digest --cron "0 7 * * mon-fri"
      asyncmq repeatables add emails --task app.poll --every 90s --args '["inbox"]'
    """
    # The order of the keys is that in which AsyncMQ's own `Queue.upsert_repeatable` stores them.
    definition = {
        "task_id": _name(task),
        "args": _json("--args", args, list, "an array"),
        "kwargs": _json("--kwargs", kwargs, dict, "an object"),
        "retries": retries,
        "ttl": None if ttl is None else _duration("--ttl", ttl),
        "priority": priority,
        "backoff": None if backoff is None else _base(backoff),
        **_schedule(every, cron),
    }

    def run(dry: bool) -> RepeatableChange:
        return session.repeatables.add(queue, definition, paused=paused, reason=reason, dry_run=dry)

    # A script that names a new queue means it, and is warned.
    if not dry_run and not yes and asking.can_ask():
        _ask_of_new(session, queue, run)
    session.report(run(dry_run))


def _ask_of_new(session: Session, queue: str, run: Callable[[bool], RepeatableChange]) -> None:
    """A name that was mistyped would be a queue of its own, which no worker looks at."""
    near = session.repeatables.near_new(queue)
    if near is None:
        return
    # What cannot be added is wrong usage, whoever is there to ask.
    run(True)
    meant = f"did you mean {', '.join(near)}?" if near else None
    asking.ask_about(
        session,
        [f"There is no queue named {queue!r} yet; {meant or 'this would be its first definition'}"],
        "Add the repeatable all the same?",
        f"add a repeatable to {queue!r}, a queue that is new",
    )


@command(app, "pause")
def pause(
    session: Session,
    queue: QueueArg,
    repeatable_ids: IdsArg = None,
    task: ByTaskOption = None,
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Pause definitions: they stay, and nothing is enqueued from them.

    \b
    Examples:
      asyncmq repeatables pause emails 3f9c21d0
      asyncmq repeatables pause emails --task app.digest --reason "wrong recipients"
    """
    addresses = _addresses(queue, repeatable_ids, task)
    reports = _each(addresses, lambda one: session.repeatables.pause(one, reason=reason, dry_run=dry_run))
    session.report(_together("repeatable.pause", queue, reports, dry_run=dry_run))


@command(app, "resume")
def resume(
    session: Session,
    queue: QueueArg,
    repeatable_ids: IdsArg = None,
    task: ByTaskOption = None,
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Resume paused definitions. Their next runs are counted from now.

    \b
    Example:
      asyncmq repeatables resume emails 3f9c21d0
    """
    addresses = _addresses(queue, repeatable_ids, task)
    reports = _each(addresses, lambda one: session.repeatables.resume(one, reason=reason, dry_run=dry_run))
    session.report(_together("repeatable.resume", queue, reports, dry_run=dry_run))


@command(app, "remove")
def remove(
    session: Session,
    queue: QueueArg,
    repeatable_ids: IdsArg = None,
    task: ByTaskOption = None,
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> None:
    """Remove definitions. Jobs that were enqueued from them stay.

    \b
    Example:
      asyncmq repeatables remove emails 3f9c21d0 --reason "replaced by app.weekly"
    """
    addresses = _addresses(queue, repeatable_ids, task)

    def run(dry: bool) -> list[RepeatableChange]:
        return _each(addresses, lambda one: session.repeatables.remove(one, reason=reason, dry_run=dry))

    if not dry_run and not yes:
        _ask(session, queue, run(True))
    session.report(_together("repeatable.remove", queue, run(dry_run), dry_run=dry_run))


def _ask(session: Session, queue: str, previews: Sequence[RepeatableChange]) -> None:
    """What would not be removed anyway is not asked about; the attempt itself reports it."""
    from asyncmq_cli.output import redact, reports

    for preview in previews:
        if preview.interrupted is not None:
            raise preview.interrupted
    names = [reports.repeatable_name(preview) for preview in previews if preview.succeeded]
    if names:
        these = f"{len(names)} repeatable{'' if len(names) == 1 else 's'} in"
        asking.ask_about(
            session,
            [f"  {redact.redact_text(name)}" for name in names],
            f"Remove {these} {queue}?",
            f"remove {these} {queue!r}",
        )


def _addresses(queue: str, repeatable_ids: list[str] | None, task: str | None) -> list[Address]:
    from asyncmq_cli.services.repeatables import Address

    if repeatable_ids and task is not None:
        raise UsageProblem("an id and --task exclude each other", hint="give one of the two")
    if task is not None:
        return [Address(queue, task=task)]
    if not repeatable_ids:
        raise UsageProblem(
            "which repeatable? give its id, or its --task",
            hint=f"'asyncmq repeatables list {queue}' shows both",
        )
    return [Address(queue, id=one) for one in ids_from(repeatable_ids)]


def _each(
    addresses: Sequence[Address], change: Callable[[Address], RepeatableChange]
) -> list[RepeatableChange]:
    from asyncmq_cli.services.repeatable_batches import each

    return each(addresses, change)


def _together(
    action: str, queue: str, made: Sequence[RepeatableChange], *, dry_run: bool
) -> RepeatableChange:
    from asyncmq_cli.services.repeatable_batches import together

    return together(action, queue, made, dry_run=dry_run)


def _schedule(every: str | None, cron: str | None) -> dict[str, Any]:
    if (every is None) == (cron is None):
        raise UsageProblem("give exactly one schedule: --every or --cron")
    return {"cron": cron} if every is None else {"every": _duration("--every", every)}


def _name(task: str) -> str:
    if not task.strip():
        raise UsageProblem("--task must name a task")
    return task


def _duration(option: str, text: str) -> int | float:
    duration = seconds(text)
    if not 0 < duration < math.inf:
        raise UsageProblem(f"{option} must be above 0, not {text!r}")
    return _whole(duration)


def _base(backoff: float) -> int | float:
    if not 0 <= backoff < math.inf:
        raise UsageProblem(f"--backoff must be a number from 0, not {backoff}")
    return _whole(backoff)


def _whole(number: float) -> int | float:
    return int(number) if number.is_integer() else number


def _json(option: str, text: str | None, kind: type[Any], name: str) -> Any:
    """What Python's `json` reads, as AsyncMQ will read it: NaN and large integers too."""
    if text is None:
        return kind()
    example = """'["inbox", 1]'""" if kind is list else """'{"to": "ana"}'"""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as exc:
        where = f": it ends or goes wrong at character {exc.pos + 1}" if hasattr(exc, "pos") else ""
        raise UsageProblem(
            f"{option} is not JSON{where}", hint=f"{name} in single quotes: {example}"
        ) from exc
    if not isinstance(value, kind):
        raise UsageProblem(f"{option} must be {name}", hint=f"such as {example}")
    if _is_deeper(value, _MOST_LEVELS):
        raise UsageProblem(f"{option} is nested deeper than {_MOST_LEVELS} levels")
    return value


def _is_deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, list | dict):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(each, levels - 1) for each in inner)
