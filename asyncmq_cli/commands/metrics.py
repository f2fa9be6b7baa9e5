"""`asyncmq metrics`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asyncmq_cli.cli import watch
from asyncmq_cli.cli.around_typer import command, noun
from asyncmq_cli.cli.options import option, whole_number
from asyncmq_cli.cli.params import SinceOption
from asyncmq_cli.cli.session import Session
from asyncmq_cli.commands import NOUNS
from asyncmq_cli.durations import age
from asyncmq_cli.durations import interval as interval_of
from asyncmq_cli.errors import UsageProblem
from asyncmq_cli.models.monitoring.snapshots import TOTAL_FIELDS

if TYPE_CHECKING:
    from asyncmq_cli.models.monitoring.snapshots import MetricsSnapshot, Rates, Snapshot

app = noun(NOUNS["metrics"])

_LEAST_INTERVAL = 1.0

NoRecordOption = Annotated[
    bool, typer.Option("--no-record", help="Do not add a snapshot to the metrics history.")
]


@command(app, "show", "watch")
def show(session: Session, no_record: NoRecordOption = False) -> None:
    """Show totals, and rates computed from the history. Adds a snapshot to the history.

    \b
    Examples:
      asyncmq metrics show
      asyncmq metrics show --json | jq .rates.seconds_until_empty
    """
    from asyncmq_cli.output.json import snapshots
    from asyncmq_cli.output.text import metrics
    from asyncmq_cli.services.monitoring.poller import SnapshotReader

    rates: Rates | None = None

    def read(snapshot: Snapshot) -> tuple[MetricsSnapshot, Rates]:
        nonlocal rates
        totals = snapshot.metrics()
        # Totals read at different times would give wrong rates.
        if rates is None or not snapshot.states_age:
            if not no_record:
                session.metrics.keep(totals)
            rates = session.metrics.rates(totals)
        return totals, rates

    if watch.is_wanted(session):
        watch.watch(session, read, metrics.frame)
        return
    totals, pace = read(SnapshotReader(session.store, TOTAL_FIELDS).read())
    session.detail(lambda: snapshots.metrics_now(totals, pace), lambda now: metrics.lines(totals, pace))


@command(app, "record", changes=True, formats=())
def record(session: Session) -> None:
    """Add one snapshot to the history, for cron. Prints nothing.

    Of several runs within two seconds, only the first adds a snapshot; the others do nothing and succeed.

    \b
    Example:
      * * * * *  asyncmq metrics record
    """
    session.metrics.record(session.metrics.now())


@command(app, "history", "ndjson", "fields", "header")
def history(
    session: Session,
    limit: Annotated[
        int | None,
        option(
            "--limit",
            "N",
            "At most N snapshots, 1 to 500. [default: 120; with --since: all]",
            callback=whole_number(),
        ),
    ] = None,
    since: SinceOption = None,
) -> None:
    """List the snapshots in the history, newest first, with a chart on a terminal.

    \b
    Examples:
      asyncmq metrics history --since 24h
      asyncmq metrics history --json | jq -r '.history[] | [.time, .waiting] | @tsv'
    """
    from asyncmq_cli.output.json import snapshots
    from asyncmq_cli.output.text import metrics

    found = session.metrics.history(limit=limit, since=None if since is None else age(since, session.now))
    if session.out.for_people:
        metrics.print_history(session.out, found, session.metrics.trend_of(found), now=session.now())
        return
    session.listing(found, metrics.HISTORY, snapshots.history, snapshots.snapshot_row)


@command(app, "prometheus", formats=(), several=False)
def prometheus(
    session: Session,
    output: Annotated[
        str | None,
        option(
            "--output",
            "FILE",
            "Replace this file atomically, for the textfile collector of node_exporter.",
            "-o",
        ),
    ] = None,
) -> None:
    """Print metrics in the text format of Prometheus. If Redis cannot be read, asyncmq_dashboard_ready is 0
    and the exit status is 3.

    \b
    Example:
      asyncmq metrics prometheus --output /var/lib/node_exporter/asyncmq.prom
    """
    if session.out.for_programs:
        raise UsageProblem(
            "metrics prometheus prints the text format of Prometheus, not JSON",
            hint="'asyncmq metrics show --json' has the totals, 'asyncmq queues list --json' the queues",
        )
    from asyncmq_cli.output.text.prometheus import exposition
    from asyncmq_cli.system.files import replace_file

    scrape = session.metrics.scrape()
    pieces = exposition(scrape.stats)
    if output is None:
        with session.out.outcome():
            for piece in pieces:
                session.out.at_once(piece)
    else:
        replace_file(Path(output), pieces)
    if scrape.error is not None:
        raise scrape.error


@command(app, "serve", formats=(), several=False)
def serve(
    session: Session,
    listen: Annotated[
        str,
        option(
            "--listen",
            "HOST:PORT",
            "Where to listen: one address of this host, or :9808 for all of them.",
        ),
    ] = "127.0.0.1:9808",
    interval: Annotated[
        str, option("--interval", "DURATION", "Time between two reads of Redis; 1s or more.")
    ] = "30s",
    web_config: Annotated[
        str | None,
        option(
            "--web-config",
            "FILE",
            "File with TLS settings and bcrypt passwords, in the format of Prometheus' exporters.",
        ),
    ] = None,
    no_record: NoRecordOption = False,
) -> None:
    """Serve metrics to Prometheus until stopped by a signal. Adds snapshots to the history.

    /metrics serves the text format or OpenMetrics; /healthz answers while the process runs, /readyz while
    Redis can be read. A scrape returns the result of the last read and never starts a new one. While Redis is
    unreachable, asyncmq_up is 0 and the exporter keeps trying. SIGTERM ends it with status 143.

    \b
    Examples:
      asyncmq metrics serve
      asyncmq metrics serve --listen :9808 --web-config web.yml --interval 15s
    """
    if session.out.for_programs:
        raise UsageProblem("metrics serve prints no JSON", hint="it serves what Prometheus reads")
    from asyncmq_cli.cli import exporter
    from asyncmq_cli.system.web_server import address_of

    every = interval_of("--interval", interval, _LEAST_INTERVAL)
    file = None if web_config is None else Path(web_config)
    exporter.serve(session, address_of(listen), file, every, record=not no_record)
