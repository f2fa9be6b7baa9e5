"""`asyncmq events`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from asyncmq_cli.cli import ages
from asyncmq_cli.cli.around_typer import noun
from asyncmq_cli.cli.decorators import command
from asyncmq_cli.cli.params import option, whole_number
from asyncmq_cli.cli.session import Session
from asyncmq_cli.commands import NOUNS
from asyncmq_cli.commands.metrics import NoRecordOption
from asyncmq_cli.errors import UsageProblem
from asyncmq_cli.models.snapshots import EVENTS, RUNTIME

if TYPE_CHECKING:
    from asyncmq_cli.services.monitoring.events import Event

app = noun(NOUNS["events"])

LEAST_INTERVAL = 0.1

EventOption = Annotated[
    list[str] | None,
    option(
        "--event",
        "NAME",
        f"Only this event, the others are not read; may be repeated. {', '.join((*EVENTS, RUNTIME))}.",
        choices=(*EVENTS, RUNTIME),
    ),
]
IntervalOption = Annotated[str, option("--interval", "DURATION", "Time between two rounds.")]
CountOption = Annotated[int | None, option("--count", "N", "Stop after N rounds.", callback=whole_number(1))]
RuntimeOption = Annotated[
    bool, typer.Option("--runtime", help="Also print what AsyncMQ publishes, as event runtime.")
]


@command(app, "tail", "secrets", "full", formats=("table", "json", "jsonl"))
def tail(
    session: Session,
    event: EventOption = None,
    interval: IntervalOption = "5s",
    count: CountOption = None,
    once: Annotated[bool, typer.Option("--once", help="One round, like --count 1.")] = False,
    sse: Annotated[bool, typer.Option("--sse", help="Print server-sent events like the dashboard.")] = False,
    runtime: RuntimeOption = False,
    no_retry: Annotated[
        bool, typer.Option("--no-retry", help="Exit with 3 when the connection to Redis is lost.")
    ] = False,
    no_record: NoRecordOption = False,
) -> None:
    """Follow the events of the dashboard: one JSON object per line, or readable lines on a terminal.

    Each round prints overview, jobdist, metrics, queues, workers, latest_jobs and latest_queues.

    \b
    Examples:
      asyncmq events tail --event metrics | jq --unbuffered .data.failures
      asyncmq events tail --event runtime
      asyncmq events tail --sse --interval 1s
    """
    from asyncmq_cli.services.monitoring.events import Event, TailOptions

    every = ages.interval("--interval", interval, LEAST_INTERVAL)
    if sse and session.out.for_programs:
        raise UsageProblem("--sse and --json exclude each other")
    wanted = [*(event or EVENTS), *([RUNTIME] if runtime else [])]
    if once and count is not None:
        raise UsageProblem("--once and --count exclude each other")
    rounds = 1 if once else count
    options = TailOptions(wanted, every, rounds, retry=not no_retry, record=not no_record)
    for found in session.events.tail(options, session.out.rest):
        if isinstance(found, Event):
            _print(session, found, sse=sse)
        else:
            again = f"trying again in {found.pause:g} s" if found.pause else "trying again"
            session.out.remark("warning", f"{found.error.message}; {again}")


def _print(session: Session, event: Event, *, sse: bool) -> None:
    from asyncmq_cli.models.snapshots import RuntimeEvent
    from asyncmq_cli.output.json import snapshots
    from asyncmq_cli.output.text import events

    if isinstance(event.of, RuntimeEvent):
        data = snapshots.runtime(event.of, show_secrets=session.show_secrets)
    else:
        data = snapshots.EVENTS[event.name](event.of)
    if sse:
        session.out.at_once(events.sse(event.name, data))
    elif session.out.for_people:
        width, utc = session.out.width, session.out.utc
        for line in events.readable(
            event.name, event.timestamp, data, width=width, utc=utc, full=session.full
        ):
            session.out.line(line)
        session.out.flush()
    else:
        session.out.at_once(events.line(event.name, event.timestamp, data))
