"""`asyncmq check`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer
from msgspec.structs import replace

from asyncmq_cli.cli import check_watch
from asyncmq_cli.cli.around_typer import command, lone
from asyncmq_cli.cli.options import option
from asyncmq_cli.cli.params import GlobsOption, Options
from asyncmq_cli.cli.session import Session
from asyncmq_cli.durations import seconds
from asyncmq_cli.errors import UsageProblem, did_you_mean, nearest
from asyncmq_cli.exit_status import CheckStatus
from asyncmq_cli.models.monitoring.checks import FORMATS, PROBES, CheckReport, ProbeKind, Range, Threshold
from asyncmq_cli.output.formats import DOCUMENTS

app = lone()

_NUMBER = re.compile(r"[0-9]{1,15}")
_DECIMAL = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,6})?")


def count(text: str) -> float:
    """A whole number from 0. Raises UsageProblem for anything else."""
    if not _NUMBER.fullmatch(text.strip()):
        raise UsageProblem(f"{text!r} is not a whole number from 0")
    return int(text)


def decimal(text: str) -> float:
    """A number in a range, which may have decimals and be negative. Raises UsageProblem for anything else."""
    if not _DECIMAL.fullmatch(text.strip()):
        raise UsageProblem(f"{text!r} is not a number" if text.strip() else "a number is missing")
    return float(text) if "." in text else int(text)


def duration(text: str) -> float:
    """A duration such as `10m`, in seconds. Raises UsageProblem if it is no duration, or infinite."""
    span = seconds(text)
    if not math.isfinite(span):
        raise UsageProblem(f"{text!r} is too long")
    return span


def threshold(option: str, text: str, bound: Callable[[str], float], *, least: bool = False) -> Threshold:
    """Parse `WARN`, `WARN:CRIT` or `:CRIT`; `bound` parses each of the two. Raises UsageProblem."""
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
    """Parse a range of the Monitoring Plugins' guidelines: `10`, `10:`, `~:10`, `:10`, `10:20` or `@10:20`.
    A range that means the same as a plain threshold is returned as that number: values are never below 0, so
    `0:10` is 10. Raises UsageProblem."""
    inside, rest = text.startswith("@"), text.removeprefix("@").strip()
    start, colon, end = rest.partition(":")
    if not colon:
        start, end = "0", rest
    elif end.strip():
        start = start.strip() or "0"
    try:
        low = None if start.strip() == "~" else bound(start)
        high = bound(end) if end.strip() or not colon else None
    except UsageProblem as exc:
        raise UsageProblem(f"{option}: {exc.message}", hint=exc.hint or _RANGE) from exc
    if low is not None and high is not None and low > high:
        raise UsageProblem(f"{option}: the range {text!r} ends before it begins", hint=_RANGE)
    if not inside and not least and high is not None and high >= 0 and (low is None or low <= 0):
        return high
    if not inside and least and high is None and low is not None:
        return low
    return Range(low, high, inside)


_FORM = "WARN, WARN:CRIT or :CRIT; -w and -c take ranges"
_RANGE = "a range is 10 (alert above), 10: (below), ~:10, 10:20 (outside) or @10:20 (inside)"


def _read(kind: ProbeKind) -> Callable[[str], float]:
    return duration if kind.is_duration else count


def _flag(kind: ProbeKind) -> str:
    return (kind.option or "").removeprefix("--").replace("-", "_")


def _option_of(kind: ProbeKind) -> tuple[Any, Any]:
    metavar = "DURATION" if kind.is_duration else "N"
    text = kind.meaning
    if kind.always is not None:
        default = "0" if kind.always.warning is not None else ":0"
        text += f" [default: {default}]"
    return Annotated[
        str | None, option(str(kind.option), f"{metavar}[:{metavar}]", text, title="Thresholds")
    ], None


_SETTABLE = {kind.name: kind for kind in PROBES if kind.option is not None}
# In the help, the options whose defaults are rarely changed come last.
_THRESHOLDS: Options = {
    _flag(kind): _option_of(kind)
    for kind in sorted(_SETTABLE.values(), key=lambda kind: kind.always is not None)
}
WhereOption = Annotated[str | None, option("--where", "EXPR", "The jobs that --max-matching counts.")]
_PROBE_RANGE = "[PROBE=]RANGE"
WarningOption = Annotated[
    list[str] | None,
    option(
        "--warning",
        _PROBE_RANGE,
        "Warn where the waiting jobs, or another probe such as oldest=600, are outside this range of the "
        "Monitoring Plugins' guidelines; may be repeated.",
        "-w",
    ),
]
CriticalOption = Annotated[
    list[str] | None, option("--critical", _PROBE_RANGE, "Like --warning, but critical.", "-c")
]
QuietOption = Annotated[
    bool, typer.Option("--quiet", help="Print nothing while all is OK: cron mails whatever is printed.")
]

_NOTICES = "Watch and notify"
WatchOption = Annotated[
    str | None,
    option(
        "--watch",
        "DURATION",
        "Check again after each DURATION, 1s or more, until a signal ends it; print the line when the state "
        "changes.",
        title=_NOTICES,
    ),
]
NotifyOption = Annotated[
    str | None,
    option(
        "--notify",
        "URL",
        "Send a notice of each state change to this URL; @FILE reads the URL from a file.",
        title=_NOTICES,
    ),
]
FormatOption = Annotated[
    str | None,
    option(
        "--format",
        "FORMAT",
        "slack, pagerduty (without --notify: to PagerDuty itself) or json. [default: json]",
        title=_NOTICES,
        choices=FORMATS,
    ),
]
HoldOption = Annotated[
    str | None,
    option(
        "--for",
        "DURATION",
        "Report a problem once it has lasted this long, and its end once it has been gone this long. "
        "[default: 0s]",
        title=_NOTICES,
    ),
]
SecretOption = Annotated[
    str | None,
    option(
        "--secret",
        "FILE",
        "File with the key that signs json notices, or with PagerDuty's integration key.",
        title=_NOTICES,
    ),
]


_WATCHING: Options = {
    "watch": (WatchOption, None),
    "notify": (NotifyOption, None),
    "notice_format": (FormatOption, None),
    "hold": (HoldOption, None),
    "secret": (SecretOption, None),
}


@command(app, "check", _WATCHING, _THRESHOLDS, "monitor", formats=DOCUMENTS)
def check(
    session: Session,
    queue: GlobsOption = None,
    warning: WarningOption = None,
    critical: CriticalOption = None,
    where: WhereOption = None,
    quiet: QuietOption = False,
) -> None:
    """Probe the queues for cron, CI and Nagios: one line, and the state as the exit status.

    The exit status is 0 for OK, 1 for a warning, 2 for critical, and 3 for unknown: something could not be
    read. Always checked: Redis answers; no queue has a backlog without a live worker (critical) or while it
    is paused (warning); no repeatable is overdue; no active job has lost its worker, or was claimed before
    a worker of its queue went silent while others stayed alive.

    A threshold is WARN, WARN:CRIT or :CRIT, and applies to each queue. The state changes above the
    threshold (with --min-workers: below), not at it. Wrong usage also exits with 3.

    -w and -c take ranges as Nagios plugins do: 10 (alert above 10), 10: (below 10), 10:20 (outside), @10:20
    (inside).

    \b
    Examples:
      asyncmq check --queue emails --max-waiting 1000:10000 --max-oldest 10m:1h
      asyncmq check --min-workers 2:1 --max-failed :0 --json | jq .probes
      asyncmq check --where 'state == "failed" and age < 1h' --max-matching 10:100
      asyncmq check -w 1000 -c 10000 -w workers=2: -c oldest=1h -t 10
      asyncmq check --max-oldest 10m:1h --watch 30s --for 2m --notify @slack-url --format slack
    """
    watching = check_watch.options_of(*(session.flags.get(name) for name in _WATCHING))
    thresholds = _thresholds(session, warning or [], critical or [], where)
    if watching is not None:
        what = repr((sorted(queue or []), sorted(thresholds.items()), where))
        check_watch.watch(
            session,
            lambda: session.checks.check(queue or [], thresholds, where or ""),
            watching,
            what,
            quiet=quiet,
        )
        return
    _report(session, session.checks.check(queue or [], thresholds, where or ""), quiet=quiet)


def _thresholds(
    session: Session, warning: list[str], critical: list[str], where: str | None
) -> dict[str, Threshold]:
    """The thresholds, by the name of the probe. Raises UsageProblem, also for an invalid --where."""
    thresholds = {
        name: threshold(str(kind.option), text, _read(kind), least=kind.least)
        for name, kind in _SETTABLE.items()
        if (text := session.flags.get(_flag(kind))) is not None
    }
    thresholds |= _ranges(warning, critical, thresholds)
    if (where is None) is ("matching" in thresholds):
        raise UsageProblem("--where and --max-matching need each other")
    if where is not None:
        from asyncmq_cli.services.jobs.where import compiled

        compiled(where)
    return thresholds


def _report(session: Session, report: CheckReport, *, quiet: bool) -> None:
    """Print the report, and exit with its state."""
    # If the line cannot be written, the monitor gets no state, so the exit status is unknown.
    with session.out.outcome(lambda: f"the state is {report.state}", exit_code=CheckStatus.UNKNOWN):
        _print(session, report, quiet=quiet)
    if report.error is not None:
        if not (session.out.for_people and session.out.stderr_is_terminal):
            raise report.error
        from asyncmq_cli.hints import hint_for

        # People have already read the error in the line above.
        if (hint := hint_for(report.error)) is not None:
            session.out.remark("hint", hint)
    raise typer.Exit(CheckStatus.of(report.state))


def _ranges(warning: list[str], critical: list[str], given: Mapping[str, Threshold]) -> dict[str, Threshold]:
    """The thresholds of -w and -c, by the name of the probe. Raises UsageProblem for an unknown probe, a bad
    range, or a threshold that is set twice."""
    made: dict[str, Threshold] = {}
    for state, short, texts in (("warning", "-w", warning), ("critical", "-c", critical)):
        for text in texts:
            name, equals, wanted = text.partition("=")
            name, wanted = (name, wanted) if equals else ("waiting", text)
            kind = _SETTABLE.get(name)
            if kind is None:
                raise UsageProblem(
                    f"{short}: unknown probe {name!r}",
                    hint=did_you_mean(nearest(name, _SETTABLE, most=1))
                    or f"choose from {', '.join(_SETTABLE)}",
                )
            before = made.get(name, Threshold(least=kind.least))
            if name in given or before.bound_of(state) is not None:
                other = kind.option if name in given else short
                raise UsageProblem(f"{short} and {other} set the same threshold of {name}")
            number = duration if kind.is_duration else decimal
            limit = range_bound(short, wanted, number, least=kind.least)
            is_warning = state == "warning"
            made[name] = replace(before, warning=limit) if is_warning else replace(before, critical=limit)
    return made


def _print(session: Session, report: CheckReport, *, quiet: bool) -> None:
    from asyncmq_cli.output.text import checks

    if report.state != "ok" or not quiet:
        if session.out.for_programs:
            session.out.document(checks.document(report, CheckStatus.of(report.state)))
        else:
            for line in checks.for_people(report) if session.out.for_people else [checks.line(report)]:
                session.out.line(line)
