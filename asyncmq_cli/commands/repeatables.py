"""`asyncmq repeatables`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asyncmq_cli.cli import listing
from asyncmq_cli.cli.around_typer import command, noun
from asyncmq_cli.cli.changes import confirm
from asyncmq_cli.cli.changes.bulk import report_change
from asyncmq_cli.cli.changes.definitions import (
    ArgsOption,
    BackoffOption,
    CronOption,
    EveryOption,
    KwargsOption,
    PriorityOption,
    RetriesOption,
    TaskOption,
    TtlOption,
    definition_of,
)
from asyncmq_cli.cli.options import STDIN_HELP, argument, literal, option, whole_number
from asyncmq_cli.cli.params import DryRunOption, GlobsOption, QueueArg, ReasonOption, YesOption
from asyncmq_cli.cli.session import Session
from asyncmq_cli.cli.targets import words
from asyncmq_cli.commands import NOUNS
from asyncmq_cli.errors import UsageProblem
from asyncmq_cli.models.values import counted

if TYPE_CHECKING:
    from asyncmq_cli.models.repeatables import Repeatable, RepeatableChange
    from asyncmq_cli.services.repeatables.plans import Address

Change = Callable[["Address"], "RepeatableChange"]

app = noun(NOUNS["repeatables"])

AnyQueueArg = Annotated[str | None, argument("[QUEUE]", "Name of a queue; all by default.", callback=literal)]
IdsArg = Annotated[
    list[str] | None,
    argument("[ID...]", f"Ids, or unique beginnings of ids; {STDIN_HELP}."),
]
OneIdArg = Annotated[str | None, argument("[ID]", "Id, or the unique beginning of an id.", callback=literal)]
CountArg = Annotated[
    str, argument("[N]", "How many runs, 1 to 1000. [default: 10]", callback=whole_number(1, 1000))
]
_RUNS_SHOWN = 5
ReplaceOption = Annotated[
    str | None, option("--replace", "ID", "Remove the definition with this id in the same step.")
]
ByTaskOption = Annotated[
    str | None, option("--task", "NAME", "The task of the definition, if only one has it.")
]


@command(app, "list", "list", "secrets")
def list_(session: Session, queue: AnyQueueArg = None) -> None:
    """List repeatable definitions, next run first.

    Overdue: not paused, and over a minute late. Stuck: not paused, and the schedule has no later run.

    \b
    Examples:
      asyncmq repeatables list emails
      asyncmq repeatables list --json | jq '.repeatables[] | select(.overdue)'
    """
    from asyncmq_cli.output.tables import repeatables

    secrets = session.show_secrets
    columns = repeatables.definitions(show_secrets=secrets)
    rows: Iterable[Repeatable] = listing.warning_of_problems(
        session, session.repeatables.list(queue), "repeatable"
    )
    if session.out.for_people:
        rows = list(rows)
    session.listing(
        rows,
        columns,
        lambda rows: repeatables.list_document(rows, show_secrets=secrets),
        lambda row: repeatables.document(row, show_secrets=secrets),
        empty="no repeatable definition" + ("" if queue is None else f" in queue {queue!r}"),
    )
    if session.out.for_people and any(row.get("cron") is not None for row in rows):
        session.out.footer("cron expressions are read in UTC")


@command(app, "show", "secrets", "full")
def show(
    session: Session, queue: QueueArg, repeatable_id: OneIdArg = None, task: ByTaskOption = None
) -> None:
    """Show one repeatable definition: its schedule, its arguments and its next runs.

    \b
    Examples:
      asyncmq repeatables show emails 3f9c21d0
      asyncmq repeatables show emails --task app.digest --json | jq .next_runs
    """
    from asyncmq_cli.output.tables import repeatables

    ids = None if repeatable_id is None else [repeatable_id]
    (address,) = _addresses(session, queue, ids, task)
    found, runs = session.repeatables.show(address, _RUNS_SHOWN)
    listing.warn_of_problems(session, [found], "repeatable")
    secrets, utc = session.show_secrets, session.out.utc
    session.detail(
        lambda: repeatables.detail_document(found, runs, show_secrets=secrets),
        lambda now: repeatables.detail(
            found, runs, now=now, utc=utc, show_secrets=secrets, full=session.full
        ),
    )


@command(app, "next", "ndjson", "fields")
def next_(
    session: Session,
    count: CountArg = "10",
    queue: GlobsOption = None,
) -> None:
    """Show the next runs of all definitions that are not paused, in the order in which they come.

    The first run of each definition is the stored one; later runs are computed from its schedule.

    \b
    Examples:
      asyncmq repeatables next
      asyncmq repeatables next 50 --queue emails
    """
    from asyncmq_cli.output.tables import repeatables

    runs = session.repeatables.coming(session.globs(queue), int(count))
    columns = repeatables.coming_runs(session.now(), utc=session.out.utc, show_secrets=False)
    session.listing(runs, columns, repeatables.coming_document, repeatables.run_document, empty="")
    if session.out.for_people:
        zone = "UTC" if session.out.utc else "local time"
        session.out.footer(f"in {zone}; cron expressions are read in UTC" if runs else "no coming runs")


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
    paused: Annotated[bool, typer.Option("--paused", help="Add it paused.")] = False,
    replace: ReplaceOption = None,
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask if the queue is new.")] = False,
) -> None:
    """Add a repeatable definition. If it exists, its next run is computed again from now.

    \b
    Examples:
      asyncmq repeatables add emails --task app.digest --cron "0 7 * * mon-fri"
      asyncmq repeatables add emails --task app.poll --every 90s --args '["inbox"]'
    """
    definition = definition_of(
        task=task,
        every=every,
        cron=cron,
        args=args,
        kwargs=kwargs,
        retries=retries,
        ttl=ttl,
        priority=priority,
        backoff=backoff,
    )

    def run(dry: bool) -> RepeatableChange:
        return session.repeatables.add(
            queue, definition, paused=paused, reason=reason, dry_run=dry, replaced=replace
        )

    # A script is not asked about a new queue; it only gets a warning.
    if not dry_run and not yes and confirm.can_ask():
        _ask_of_new(session, queue, run)
        _ask_of_seconds(session, definition, run)
    report = run(dry_run)
    report_change(session, report)
    _note_next_runs(session, report)


def _note_next_runs(session: Session, report: RepeatableChange) -> None:
    """In a pipe, print the next runs as a note, because the row has no column for them."""
    if not session.out.for_people and not session.out.for_programs and report.next_runs:
        from asyncmq_cli.output.text.times import rfc3339

        runs = ", ".join(str(rfc3339(run)) for run in report.next_runs)
        session.out.remark("note", f"next runs: {runs}")


def _ask_of_seconds(
    session: Session, definition: Mapping[str, Any], run: Callable[[bool], RepeatableChange]
) -> None:
    """Ask for confirmation of a cron expression with six fields: most people expect the seconds first."""
    from asyncmq_cli.output.text.times import rfc3339
    from asyncmq_cli.services.repeatables.plans import seconds_last

    if seconds_last(definition):
        runs = [f"  {rfc3339(moment)}" for moment in run(True).next_runs]
        confirm.ask_about(
            session,
            ["The sixth field is the seconds, not the first as elsewhere. Next runs:", *runs],
            "Add the repeatable?",
            "add a repeatable with a field for seconds",
        )


def _ask_of_new(session: Session, queue: str, run: Callable[[bool], RepeatableChange]) -> None:
    """Ask for confirmation if the queue is new and another has a similar name."""
    near = session.queues.near_new(queue)
    if near is None:
        return
    # Refuse a definition that cannot be added before asking anything.
    run(True)
    text = confirm.of_new_queue(queue, near)
    confirm.ask_about(session, [text], "Add to it anyway?", f"add to the new queue {queue!r}")


@command(app, "pause")
def pause(
    session: Session,
    queue: QueueArg,
    repeatable_ids: IdsArg = None,
    task: ByTaskOption = None,
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Pause definitions: they stay, but enqueue no jobs.

    \b
    Examples:
      asyncmq repeatables pause emails 3f9c21d0
      asyncmq repeatables pause emails --task app.digest --reason "wrong recipients"
    """
    addresses = _addresses(session, queue, repeatable_ids, task)
    _change(session, "pause", queue, addresses, reason, dry_run=dry_run)


@command(app, "resume")
def resume(
    session: Session,
    queue: QueueArg,
    repeatable_ids: IdsArg = None,
    task: ByTaskOption = None,
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Resume paused definitions. Their next runs are computed from now.

    \b
    Example:
      asyncmq repeatables resume emails 3f9c21d0
    """
    addresses = _addresses(session, queue, repeatable_ids, task)
    _change(session, "resume", queue, addresses, reason, dry_run=dry_run)


@command(app, "run")
def run(
    session: Session,
    queue: QueueArg,
    repeatable_ids: IdsArg = None,
    task: ByTaskOption = None,
    reason: ReasonOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Run definitions once, now: add the job that the scheduler would add. The schedule stays as it is.

    \b
    Examples:
      asyncmq repeatables run emails 3f9c21d0
      asyncmq repeatables run emails --task app.digest --reason "last night's failed"
    """
    addresses = _addresses(session, queue, repeatable_ids, task)
    _change(session, "run", queue, addresses, reason, dry_run=dry_run)


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
    """Remove definitions. Jobs that they enqueued stay.

    \b
    Example:
      asyncmq repeatables remove emails 3f9c21d0 --reason "replaced by app.weekly"
    """
    addresses = _addresses(session, queue, repeatable_ids, task)
    if not dry_run and not yes:
        _ask(
            session,
            queue,
            addresses,
            lambda one: session.repeatables.remove(one, reason=reason, dry_run=True),
        )
    _change(session, "remove", queue, addresses, reason, dry_run=dry_run)


def _ask(session: Session, queue: str, addresses: Sequence[Address], would: Change) -> None:
    """Ask for confirmation to remove these definitions. Those that cannot be removed are reported by the
    removal itself."""
    from asyncmq_cli.output.redaction import redact
    from asyncmq_cli.output.text import reports
    from asyncmq_cli.services.repeatables.plans import each

    previews = each(addresses, would)
    for preview in previews:
        if preview.interrupted is not None:
            raise preview.interrupted
    names = [reports.repeatable_name(preview) for preview in previews if preview.succeeded]
    if names:
        these = f"{counted(len(names), 'repeatable')} in"
        confirm.ask_about(
            session,
            [f"  {redact.redact_text(name)}" for name in names],
            f"Remove {these} {queue}?",
            f"remove {these} {queue!r}",
        )


def _addresses(
    session: Session, queue: str, repeatable_ids: list[str] | None, task: str | None
) -> list[Address]:
    from asyncmq_cli.services.repeatables.plans import Address

    if repeatable_ids and task is not None:
        raise UsageProblem("an id and --task exclude each other", hint="give one of the two")
    if task is not None:
        return [Address(queue, task=task)]
    if not repeatable_ids:
        raise UsageProblem(
            "no repeatable given: give its id, or --task",
            hint=f"'asyncmq repeatables list {queue}' shows both",
        )
    return [Address(queue, id=one.strip()) for one in words(session, repeatable_ids)]


def _change(
    session: Session,
    verb: str,
    queue: str,
    addresses: Sequence[Address],
    reason: str | None,
    *,
    dry_run: bool,
) -> None:
    """Make the change at each address, and print the results."""
    from asyncmq_cli.services.repeatables.plans import each, together

    make = getattr(session.repeatables, verb)
    results = each(addresses, lambda one: make(one, reason=reason, dry_run=dry_run))
    report_change(session, together(f"repeatable.{verb}", queue, results, dry_run=dry_run))
