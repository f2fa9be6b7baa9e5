"""`check --watch`: the same check again and again, and a notice of each change."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from asyncmq_cli.cli.ages import interval, seconds
from asyncmq_cli.errors import UsageProblem, interruption

if TYPE_CHECKING:
    from asyncmq_cli.cli.session import Session
    from asyncmq_cli.models.monitoring.checks import CheckReport, Notice

_LEAST_INTERVAL = 1.0
_PAGERDUTY = "https://events.pagerduty.com/v2/enqueue"
_MOST = 64 * 1024


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """`every` and `hold` are seconds. `url` is None where notices are only printed."""

    every: float
    hold: float
    url: str | None
    form: str
    secret: str


def options_of(
    watch: str | None, notify: str | None, form: str | None, hold: str | None, secret: str | None
) -> WatchOptions | None:
    """None without --watch. Raises UsageProblem."""
    if watch is None:
        if any((notify, form, hold, secret)):
            raise UsageProblem("these need --watch: --notify, --format, --for, --secret", hint="--watch 30s")
        return None
    from asyncmq_cli.system.webhook import require_url

    if notify is None and form == "pagerduty":
        notify = _PAGERDUTY
    if notify is None and (form or secret):
        raise UsageProblem("these need --notify: --format, --secret", hint="--notify https://…")
    form = form or "json"
    key = "" if secret is None else _line_of(secret)
    if form == "pagerduty" and not key:
        raise UsageProblem(
            "--format pagerduty needs a key file by --secret", hint="the file holds the integration key"
        )
    if form == "slack" and key:
        raise UsageProblem("--format slack takes no --secret")
    url = _line_of(notify[1:]) if notify and notify.startswith("@") else notify
    return WatchOptions(
        every=interval("--watch", watch, _LEAST_INTERVAL),
        hold=0.0 if hold is None else seconds(hold),
        url=None if url is None else require_url(url),
        form=form,
        secret=key,
    )


def _line_of(path: str) -> str:
    """The one line that a file holds: on the command line everybody on the host could read it."""
    from asyncmq_cli.system.files import read_bounded

    try:
        text = read_bounded(Path(path), _MOST).decode().strip()
    except OSError as exc:
        raise UsageProblem(f"cannot read {path!r}: {exc.strerror or exc}") from exc
    except UnicodeDecodeError as exc:
        raise UsageProblem(f"{path!r} is not text") from exc
    if not text or "\n" in text:
        raise UsageProblem(f"{path!r} must hold exactly one line")
    return text


def watch(
    session: Session, check: Callable[[], CheckReport], options: WatchOptions, what: str, *, quiet: bool
) -> None:
    """Check until a signal ends it. `what` distinguishes this check from others on the same Redis."""
    from asyncmq_cli.output.text import checks
    from asyncmq_cli.services.monitoring.notices import Notifier

    if session.out.for_programs:
        raise UsageProblem("check --watch prints no documents", hint="--notify URL sends them")
    redis = session.config.shown_url
    digest = hashlib.sha256(f"{redis}\0{what}".encode("utf-8", "surrogatepass")).hexdigest()[:16]
    notifier = Notifier(options.hold, redis, f"asyncmq-{digest}", checks.trouble)
    is_first = True
    try:
        while True:
            began = time.monotonic()
            report = check()
            notice = notifier.notice(report, began, time.time())
            if not quiet and (is_first or notice is not None):
                session.out.line(checks.line(report))
                session.out.flush()
            is_first = False
            if notice is not None and _is_delivered(session, notice, options):
                notifier.delivered()
            took = time.monotonic() - began
            session.out.rest(max(options.every - took, took, 0.0))
    except KeyboardInterrupt as exc:
        # The status of an interruption without its error line: nothing was left undone.
        raise typer.Exit(interruption(exc).exit_code) from exc


def _is_delivered(session: Session, notice: Notice, options: WatchOptions) -> bool:
    if options.url is None:
        return True
    from asyncmq_cli.output.json.notices import BODIES
    from asyncmq_cli.output.json.text import encode
    from asyncmq_cli.system.webhook import NotDelivered, post, signed

    body = encode(BODIES[options.form](notice, options.secret))
    is_signed = options.form == "json" and bool(options.secret)
    try:
        post(options.url, body, signed(body, options.secret, time.time()) if is_signed else {})
    except NotDelivered as exc:
        session.out.remark("warning", f"{exc.message}; trying again with the next check")
        return False
    return True
