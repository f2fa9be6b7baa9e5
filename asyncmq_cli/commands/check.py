"""`asyncmq check`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

import typer

from asyncmq_cli.cli.ages import seconds
from asyncmq_cli.cli.around_typer import lone
from asyncmq_cli.cli.decorators import command
from asyncmq_cli.cli.params import option
from asyncmq_cli.cli.session import Session
from asyncmq_cli.errors import UsageProblem
from asyncmq_cli.exit_status import CheckStatus
from asyncmq_cli.models.checks import CheckReport, Range, Threshold
from asyncmq_cli.nearest import did_you_mean, nearest

app = lone()

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
    if isinstance(made.warning, int | float) and isinstance(made.critical, int | float):
        worse = made.warning - made.critical if least else made.critical - made.warning
        if worse < 0:
            wrong = "above" if least else "below"
            raise UsageProblem(f"{option}: the critical bound of {text!r} is {wrong} the warning", hint=_FORM)
    return made


def range_bound(
    option: str, text: str, bound: Callable[[str], float], *, least: bool = False
) -> float | Range:
    """What `10`, `10:`, `~:10`, `10:20` or `@10:20` means by the Monitoring Plugins' guidelines; a plain
    bound where it is one, as values are never below 0. Raises UsageProblem."""
    inside, rest = text.startswith("@"), text.removeprefix("@").strip()
    start, colon, end = rest.partition(":")
    if not colon:
        start, end = "0", rest
    try:
        low = None if start.strip() == "~" else bound(start)
        high = bound(end) if end.strip() or not colon else None
    except UsageProblem as exc:
        raise UsageProblem(f"{option}: {exc.message}", hint=exc.hint or _RANGE) from exc
    if low is not None and high is not None and low > high:
        raise UsageProblem(f"{option}: the range {text!r} ends before it begins", hint=_RANGE)
    if not inside and not least and high is not None and not low:
        return high
    if not inside and least and high is None and low is not None:
        return low
    return Range(low, high, inside)


_FORM = "WARN, WARN:CRIT or :CRIT; -w and -c take ranges"
_RANGE = "a range is 10 (alert above), 10: (below), ~:10, 10:20 (outside) or @10:20 (inside)"


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

    def range(self, option: str, text: str) -> float | Range:
        return range_bound(option, text, self.read, least=self.least)


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


_PROBE_RANGE = "[PROBE=]RANGE"


@command(app, "check", "monitor")
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
    warning: Annotated[
        list[str] | None,
        option(
            "--warning",
            _PROBE_RANGE,
            "Warn where the waiting jobs, or another probe such as oldest=600, are outside this range of the "
            "Monitoring Plugins' guidelines; may be repeated.",
            "-w",
        ),
    ] = None,
    critical: Annotated[
        list[str] | None, option("--critical", _PROBE_RANGE, "The same, and the state is critical.", "-c")
    ] = None,
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
    --min-workers: below it) the state changes; at it, all is well. Wrong usage is 3, too.

    -w and -c take what monitors write: 10 (alert above it), 10: (below), 10:20 (outside), @10:20 (inside).

    \b
    Examples:
      asyncmq check --queue emails --max-waiting 1000:10000 --max-oldest 10m:1h
      asyncmq check --min-workers 2:1 --max-failed :0 --json | jq .probes
      asyncmq check -w 1000 -c 10000 -w workers=2: -c oldest=1h -t 10
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
    thresholds |= _ranges(warning or [], critical or [], thresholds)
    report = session.checks.check(queue or [], thresholds)
    # Nobody can read the line of what cannot be written, and no status of a probe would say so.
    with session.out.outcome(lambda: f"the state is {report.state}", exit_code=CheckStatus.UNKNOWN):
        _print(session, report, quiet=quiet)
    if report.error is not None:
        raise report.error
    raise typer.Exit(CheckStatus.of(report.state))


def _ranges(warning: list[str], critical: list[str], given: Mapping[str, Threshold]) -> dict[str, Threshold]:
    """By the name of the probe. Raises UsageProblem, also for one that has a threshold already."""
    made: dict[str, Threshold] = {}
    for state, short, texts in (("warning", "-w", warning), ("critical", "-c", critical)):
        for text in texts:
            name, equals, wanted = text.partition("=")
            name, wanted = (name, wanted) if equals else ("waiting", text)
            bound = BOUNDS.get(name)
            if bound is None:
                raise UsageProblem(
                    f"{short}: there is no probe {name!r}",
                    hint=did_you_mean(nearest(name, BOUNDS, most=1)) or f"choose from {', '.join(BOUNDS)}",
                )
            before = made.get(name, Threshold(least=bound.least))
            if name in given or before.bound_of(state) is not None:
                other = bound.option if name in given else short
                raise UsageProblem(f"{short} and {other} set the same threshold of {name}")
            limit = bound.range(short, wanted)
            is_warning = state == "warning"
            made[name] = replace(before, warning=limit) if is_warning else replace(before, critical=limit)
    return made


def _print(session: Session, report: CheckReport, *, quiet: bool) -> None:
    from asyncmq_cli.output.text import checks

    if report.state != "ok" or not quiet:
        if session.out.format == "json":
            session.out.document(checks.document(report, CheckStatus.of(report.state)))
        else:
            session.out.line(checks.line(report))
