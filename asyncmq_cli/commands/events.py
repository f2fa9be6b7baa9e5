"""`asyncmq events`."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer
from msgspec.structs import replace

from asyncmq_cli import durations
from asyncmq_cli.cli.around_typer import command, noun
from asyncmq_cli.cli.options import option, whole_number
from asyncmq_cli.cli.session import Session
from asyncmq_cli.commands import NOUNS
from asyncmq_cli.commands.metrics import NoRecordOption
from asyncmq_cli.errors import UsageProblem
from asyncmq_cli.models.monitoring.snapshots import EVENTS, RUNTIME, RuntimeEvent, Snapshot

if TYPE_CHECKING:
    from asyncmq_cli.services.monitoring.events import Event, TailOptions

app = noun(NOUNS["events"])

LEAST_INTERVAL = 0.1

EventOption = Annotated[
    list[str] | None,
    option(
        "--event",
        "NAME",
        f"Read and print only this event; may be repeated. {', '.join((*EVENTS, RUNTIME))}.",
        choices=(*EVENTS, RUNTIME),
    ),
]
IntervalOption = Annotated[str, option("--interval", "DURATION", "Time between two reads.")]
CountOption = Annotated[int | None, option("--count", "N", "Stop after N reads.", callback=whole_number(1))]
RuntimeOption = Annotated[
    bool, typer.Option("--runtime", help="Also print the events that AsyncMQ publishes, as event runtime.")
]


@command(app, "tail", "secrets", "full", formats=("table", "json", "jsonl"), several=False)
def tail(
    session: Session,
    event: EventOption = None,
    interval: IntervalOption = "5s",
    count: CountOption = None,
    once: Annotated[bool, typer.Option("--once", help="Read once, like --count 1.")] = False,
    sse: Annotated[bool, typer.Option("--sse", help="Print server-sent events like the dashboard.")] = False,
    runtime: RuntimeOption = False,
    no_retry: Annotated[
        bool, typer.Option("--no-retry", help="Exit with 3 when the connection to Redis is lost.")
    ] = False,
    no_record: NoRecordOption = False,
) -> None:
    """Follow the queues: print what changed, or in a pipe the dashboard's events.

    In a pipe, each read of the queues prints the events overview, jobdist, metrics, queues, workers,
    latest_jobs and latest_queues, one JSON object per line. On a terminal, --event or --once prints them too.

    \b
    Examples:
      asyncmq events tail
      asyncmq events tail --event metrics | jq --unbuffered .data.failures
      asyncmq events tail --event runtime
      asyncmq events tail --sse --interval 1s
    """
    from asyncmq_cli.services.monitoring.events import TailOptions

    every = durations.interval("--interval", interval, LEAST_INTERVAL)
    if sse and session.out.for_programs:
        raise UsageProblem("--sse and --json exclude each other")
    wanted = [*(event or EVENTS), *([RUNTIME] if runtime else [])]
    if once and count is not None:
        raise UsageProblem("--once and --count exclude each other")
    rounds = 1 if once else count
    rest = session.out.rest
    options = TailOptions(wanted, every, rounds, retry=not no_retry, record=not no_record)
    if session.out.for_people and not sse and event is None and rounds != 1:
        options = replace(options, wanted=[name for name in wanted if name in _WATCHED])
        show: Callable[[Event], None] = _Watch(session).show
    elif sse:
        stream = _ServerSent(session)
        show, rest = stream.show, stream.rest
    else:
        show = partial(_print, session)
    _follow(session, options, show, rest)


_WATCHED = ("metrics", "queues", "workers", RUNTIME)
"""The events that a terminal needs to print changes; `metrics` are also added to the history."""
_HEARTBEAT_SECONDS = 15.0
_RECONNECT_SECONDS = 3.0


def _follow(
    session: Session,
    options: TailOptions,
    show: Callable[[Event], None],
    rest: Callable[[float], None],
) -> None:
    """Show each event, and print a warning when Redis goes away and a note when it is back."""
    from asyncmq_cli.output.text.times import duration
    from asyncmq_cli.services.monitoring.events import Event

    away: float | None = None
    for found in session.events.tail(options, rest):
        if isinstance(found, Event):
            if away is not None:
                session.out.remark("note", f"Redis is back after {duration(time.monotonic() - away)}")
                away = None
            show(found)
            continue
        away = time.monotonic() if away is None else away
        again = f"trying again in {found.pause:g} s" if found.pause else "trying again"
        session.out.remark("warning", f"{found.error.message}; {again}")


class _Watch:
    """Prints what changed since the previous read, for people."""

    def __init__(self, session: Session) -> None:
        from asyncmq_cli.services.monitoring.events import Happenings, causes_of

        self._session = session
        self._happenings = Happenings(causes_of(session.store))

    def show(self, event: Event) -> None:
        from asyncmq_cli.output.text import events

        out = self._session.out
        if not isinstance(event.of, Snapshot):
            _print(self._session, event)
        elif event.name == "queues":
            found = self._happenings.since_last(event.of)
            if found is None:
                out.line(events.first(event.of, utc=out.utc))
            for line in events.lines(found or [], event.timestamp, utc=out.utc):
                out.line(line)
            out.flush()


class _ServerSent:
    """Prints server-sent events. Their ids increase, also from one run to the next."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._started, self._count = int(time.time() * 1000), 0
        self._last = time.monotonic()

    def show(self, event: Event) -> None:
        from asyncmq_cli.output.text import events

        if not self._count:
            self._session.out.at_once(events.sse_head(_RECONNECT_SECONDS))
        self._count += 1
        data = _data(self._session, event)
        self._session.out.at_once(events.sse(event.name, data, f"{self._started}-{self._count}"))

    def rest(self, seconds: float) -> None:
        """Sleep, and send the client a comment at intervals to keep the connection open."""
        from asyncmq_cli.output.text.events import SSE_HEARTBEAT

        end = time.monotonic() + seconds
        while True:
            due = self._last + _HEARTBEAT_SECONDS
            self._session.out.rest(max(0.0, min(end, due) - time.monotonic()))
            if time.monotonic() >= due:
                self._session.out.at_once(SSE_HEARTBEAT)
                self._last = time.monotonic()
            if time.monotonic() >= end:
                return


def _data(session: Session, event: Event) -> Any:
    from asyncmq_cli.output.json import snapshots

    if isinstance(event.of, RuntimeEvent):
        return snapshots.runtime(event.of, show_secrets=session.show_secrets)
    return snapshots.EVENTS[event.name](event.of)


def _print(session: Session, event: Event) -> None:
    from asyncmq_cli.output.text import events

    data = _data(session, event)
    if session.out.for_people:
        width, utc = session.out.width, session.out.utc
        for line in events.readable(
            event.name, event.timestamp, data, width=width, utc=utc, full=session.full
        ):
            session.out.line(line)
        session.out.flush()
    else:
        session.out.at_once(events.line(event.name, event.timestamp, data))
