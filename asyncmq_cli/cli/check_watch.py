"""`check --watch`: repeat the check, and send a notice of each change of its state."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from asyncmq_cli.durations import interval, seconds
from asyncmq_cli.errors import UsageProblem

if TYPE_CHECKING:
    from asyncmq_cli.cli.session import Session
    from asyncmq_cli.models.monitoring.checks import CheckReport, Notice
    from asyncmq_cli.services.monitoring.notices import Notifier

_LEAST_INTERVAL = 1.0
_PAGERDUTY = "https://events.pagerduty.com/v2/enqueue"
_MOST = 64 * 1024
_QUIET_FAILURES = 3


class WatchOptions(Struct, frozen=True):
    """Options of `check --watch`. `every` and `hold` are seconds. `url` is None if notices are only
    printed."""

    every: float
    hold: float
    url: str | None
    form: str
    secret: str


def options_of(
    watch: str | None, notify: str | None, form: str | None, hold: str | None, secret: str | None
) -> WatchOptions | None:
    """The options, or None without --watch. Raises UsageProblem for options that do not go together."""
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
    """The only line of a file. Secrets are read from files, because everybody on the host can read the
    command line. Raises UsageProblem."""
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
    """Repeat the check until a signal ends it. `what` distinguishes this check from others on the same
    Redis."""
    from asyncmq_cli.cli.watch import ends_quietly
    from asyncmq_cli.output.text import checks
    from asyncmq_cli.services.monitoring.notices import Notifier

    if session.out.for_programs:
        raise UsageProblem("check --watch prints no documents", hint="--notify URL sends them")
    redis = session.config.shown_url
    digest = hashlib.sha256(f"{redis}\0{what}".encode("utf-8", "surrogatepass")).hexdigest()[:16]
    notifier = Notifier(options.hold, redis, f"asyncmq-{digest}", checks.trouble)
    delivery = _Delivery(session, options, notifier)
    shown = None
    with ends_quietly():
        while True:
            began = time.monotonic()
            report = check()
            took = time.monotonic() - began
            delivery.notice = notifier.notice(report, began, time.time())
            if not quiet and shown != notifier.states:
                session.out.line(checks.line(report))
                session.out.flush()
            shown = notifier.states
            delivery.run(until=began + max(options.every, 2 * took))


class _Delivery:
    """Sends the notice of the last check, and repeats failed attempts between two checks."""

    def __init__(self, session: Session, options: WatchOptions, notifier: Notifier) -> None:
        from asyncmq_cli.system.webhook import Retries

        self._session = session
        self._options = options
        self._notifier = notifier
        self._retries = Retries()
        self._problem: str | None = None
        self.notice: Notice | None = None

    def run(self, until: float) -> None:
        """Send until the time `until` on the monotonic clock. An attempt that has begun may take longer."""
        while True:
            now = time.monotonic()
            if self.notice is not None and now >= self._retries.due:
                self._try(self.notice)
                continue
            if now >= until:
                return
            due = until if self.notice is None else min(until, self._retries.due)
            self._session.out.rest(due - now)

    def _try(self, notice: Notice) -> None:
        from asyncmq_cli.system.webhook import NotDelivered

        try:
            _send(notice, self._options)
        except NotDelivered as exc:
            self._notifier.not_delivered()
            self._retries.failed(exc, time.monotonic())
            # Once, however long it lasts; and not of what passes within seconds.
            is_worth_it = self._retries.failures > _QUIET_FAILURES or not exc.may_pass
            if is_worth_it and self._problem != exc.message:
                self._problem = exc.message
                self._session.out.remark("warning", f"{exc.message}; trying again")
            return
        if self._problem is not None:
            self._session.out.remark("note", "notices are delivered again")
        self._problem = self.notice = None
        self._retries.delivered()
        self._notifier.delivered()


def _send(notice: Notice, options: WatchOptions) -> None:
    """Raises NotDelivered."""
    if options.url is None:
        return
    from asyncmq_cli.output.json.notices import BODIES
    from asyncmq_cli.output.json.text import encode
    from asyncmq_cli.system.webhook import post, signed

    body = encode(BODIES[options.form](notice, options.secret))
    is_signed = options.form == "json" and bool(options.secret)
    post(options.url, body, signed(body, options.secret, time.time()) if is_signed else {})
