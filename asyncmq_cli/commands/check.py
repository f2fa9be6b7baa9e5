"""`asyncmq check`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from asyncmq_cli.cli.ages import seconds
from asyncmq_cli.cli.decorators import command
from asyncmq_cli.cli.params import option
from asyncmq_cli.cli.session import Session
from asyncmq_cli.errors import UsageProblem
from asyncmq_cli.models.checks import CheckReport, Threshold

_NUMBER = re.compile(r"[0-9]{1,15}")


def count(text: str) -> float:
    """Raises UsageProblem for what is no whole number from 0."""
    if not _NUMBER.fullmatch(text.strip()):
        raise UsageProblem(f"{text!r} is not a whole number from 0")
    return int(text)


def duration(text: str) -> float:
    """Seconds. Raises UsageProblem."""
    span = seconds(text)
    if not math.isfinite(span):
        raise UsageProblem(f"{text!r} is too long")
    return span


def threshold(option: str, text: str, bound: Callable[[str], float], *, least: bool = False) -> Threshold:
    """`bound` reads one of the two. Raises UsageProblem."""
    warning, colon, critical = text.partition(":")
    try:
        made = Threshold(
            warning=bound(warning) if warning.strip() or not colon else None,
            critical=bound(critical) if colon else None,
            least=least,
        )
    except UsageProblem as exc:
        raise UsageProblem(f"{option}: {exc.message}", hint=exc.hint or _FORM) from exc
    if made.warning is not None and made.critical is not None:
        worse = made.warning - made.critical if least else made.critical - made.warning
        if worse < 0:
            wrong = "above" if least else "below"
            raise UsageProblem(f"{option}: the critical bound of {text!r} is {wrong} the warning", hint=_FORM)
    return made


_FORM = "WARN, WARN:CRIT or :CRIT"


EXIT_STATUS = {"ok": 0, "warning": 1, "critical": 2, "unknown": 3}


def register(app: typer.Typer) -> None:
    command(app, "check")(check)


@dataclass(frozen=True, slots=True)
class Bound:
    """An option that takes a threshold, and how its numbers are read."""

    option: str
    help: str
    read: Callable[[str], float]
    least: bool = False

    @property
    def declared(self) -> Any:
        kind = "DURATION" if self.read is duration else "N"
        return option(self.option, f"{kind}[:{kind}]", self.help)

    def threshold(self, text: str) -> Threshold:
        return threshold(self.option, text, self.read, least=self.least)


# By the name of the probe.
BOUNDS: dict[str, Bound] = {
    "waiting": Bound("--max-waiting", "Waiting jobs.", count),
    "oldest": Bound("--max-oldest", "Age of the oldest waiting job, as 10m or 1h30m.", duration),
    "failed": Bound("--max-failed", "Failed jobs.", count),
    "dlq": Bound("--max-dlq", "Dead letters: failed and expired; costs less than --max-failed.", count),
    "delayed-due": Bound("--max-delayed-due", "Jobs still delayed although their time has come.", count),
    "running": Bound("--max-running", "Time since the longest active job was claimed.", duration),
    "workers": Bound("--min-workers", "Live workers, at least.", count, least=True),
    "overdue": Bound("--max-overdue", "Overdue repeatables. [default: 0]", count),
    "lost": Bound("--max-lost", "Active jobs without a worker. [default: :0]", count),
    "silent": Bound("--max-silent", "Jobs claimed before a worker went silent. [default: 0]", count),
}


def check(
    session: Session,
    queue: Annotated[
        list[str] | None, option("--queue", "QUEUE", "Only this queue; may be repeated.")
    ] = None,
    max_waiting: Annotated[str | None, BOUNDS["waiting"].declared] = None,
    max_oldest: Annotated[str | None, BOUNDS["oldest"].declared] = None,
    max_failed: Annotated[str | None, BOUNDS["failed"].declared] = None,
    max_dlq: Annotated[str | None, BOUNDS["dlq"].declared] = None,
    max_delayed_due: Annotated[str | None, BOUNDS["delayed-due"].declared] = None,
    max_running: Annotated[str | None, BOUNDS["running"].declared] = None,
    min_workers: Annotated[str | None, BOUNDS["workers"].declared] = None,
    max_overdue: Annotated[str | None, BOUNDS["overdue"].declared] = None,
    max_lost: Annotated[str | None, BOUNDS["lost"].declared] = None,
    max_silent: Annotated[str | None, BOUNDS["silent"].declared] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Print nothing when all is well: for cron, which mails it.")
    ] = False,
) -> None:
    """Probe the queues for cron, CI and Nagios: one line, and the state as the exit status.

    0 is OK, 1 a warning, 2 critical, 3 unknown because something could not be read. Always looked
    at: Redis answers; no backlog is without a live worker (critical) or behind a pause (warning);
    no repeatable is overdue; no active job has lost its worker, or was
    claimed before a worker went silent beside others (warning).

    A threshold is WARN, WARN:CRIT or :CRIT, and holds for each queue by itself. Above it (for
    --min-workers: below it) the state changes; at it, all is well.

    \b
    Examples:
      asyncmq check --queue emails --max-waiting 1000:10000 --max-oldest 10m:1h
      asyncmq check --min-workers 2:1 --max-failed :0 --json | jq .probes
    """
    given = {
        "waiting": max_waiting,
        "oldest": max_oldest,
        "failed": max_failed,
        "dlq": max_dlq,
        "delayed-due": max_delayed_due,
        "running": max_running,
        "workers": min_workers,
        "overdue": max_overdue,
        "lost": max_lost,
        "silent": max_silent,
    }
    thresholds = {name: BOUNDS[name].threshold(text) for name, text in given.items() if text is not None}
    report = session.checks.check(queue or [], thresholds)
    # Nobody can read the line of what cannot be written, and no status of a probe would say so.
    with session.out.outcome(lambda: f"the state is {report.state}", exit_code=EXIT_STATUS["unknown"]):
        _print(session, report, quiet=quiet)
    if report.error is not None:
        raise report.error
    raise typer.Exit(EXIT_STATUS[report.state])


def _print(session: Session, report: CheckReport, *, quiet: bool) -> None:
    from asyncmq_cli.output.text import checks

    if report.state != "ok" or not quiet:
        if session.out.format == "json":
            session.out.document(checks.document(report, EXIT_STATUS[report.state]))
        else:
            session.out.line(checks.line(report))
