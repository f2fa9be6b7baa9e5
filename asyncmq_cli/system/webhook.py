"""Send a small document to a URL, and decide when to try again."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any

from asyncmq_cli.errors import AdminError, UsageProblem
from asyncmq_cli.system.process import deadline

_PATIENCE = 10.0
"""Seconds that an attempt may take in all, even if the reply arrives byte by byte."""
_PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)
"""Seconds to wait after each consecutive failure. The last value is used from then on."""
_LONGEST_WISH = 3600.0
"""The longest pause in seconds that a receiver can request."""
_MAY_PASS = frozenset((408, 425, 429))
_SCHEMES = ("http", "https")


class NotDelivered(AdminError):
    """The notice was not accepted. The message names only the host, because the rest of the URL may be a
    secret.

    `may_pass` says that a later attempt may succeed. `wish` is the pause in seconds that the receiver
    requests, or 0.
    """

    code = "not_delivered"

    def __init__(self, url: str, problem: str, *, may_pass: bool, wish: float = 0.0) -> None:
        host = urllib.parse.urlsplit(url).hostname
        super().__init__(f"the notice could not be delivered to {host}: {problem}")
        self.may_pass = may_pass
        self.wish = wish


def require_url(url: str) -> str:
    """The same URL. Raises UsageProblem if it cannot be used; the message does not contain it."""
    try:
        parts = urllib.parse.urlsplit(url)
        is_one = parts.scheme in _SCHEMES and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_one = False
    if not is_one or not url.isascii() or any(sign.isspace() or not sign.isprintable() for sign in url):
        raise UsageProblem("--notify is not a URL", hint="https://…, or @FILE for a file that holds it")
    if "@" in parts.netloc:
        raise UsageProblem("--notify takes no password in the URL")
    return url


def signed(body: bytes, secret: str, now: float) -> dict[str, str]:
    """The headers by which a receiver can verify the sender: HMAC-SHA256 of the time, a dot and the body."""
    moment = f"{now:.0f}"
    digest = hmac.new(secret.encode(), moment.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {"X-Asyncmq-Timestamp": moment, "X-Asyncmq-Signature": f"sha256={digest}"}


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any) -> None:
        """Refuse redirects, because urllib would send the redirected request as a GET without the
        document."""


def post(url: str, body: bytes, headers: Mapping[str, str]) -> None:
    """Send the document once. Raises NotDelivered. Unless it was refused, the document may have arrived even
    so."""
    request = urllib.request.Request(  # noqa: S310  its scheme was checked
        url, body, {"Content-Type": "application/json", "User-Agent": "asyncmq-cli", **headers}
    )
    opener = urllib.request.build_opener(_NoRedirects)
    try:
        with deadline(_PATIENCE), opener.open(request, timeout=_PATIENCE):
            return
    except urllib.error.HTTPError as exc:
        exc.close()
        may_pass = exc.code >= 500 or exc.code in _MAY_PASS
        problem, wish = f"it answered {exc.code}", _wish(exc.headers.get("Retry-After", ""))
        raise NotDelivered(url, problem, may_pass=may_pass, wish=wish) from exc
    except (OSError, http.client.HTTPException) as exc:
        raise NotDelivered(url, _said(exc), may_pass=True) from exc


def _wish(text: str) -> float:
    """The seconds in `Retry-After`. Its other form, a date, is ignored because it depends on two clocks."""
    return min(float(text), _LONGEST_WISH) if text.isascii() and text.isdecimal() else 0.0


def _said(problem: BaseException) -> str:
    if isinstance(problem, urllib.error.URLError) and isinstance(problem.reason, BaseException):
        return _said(problem.reason)
    if isinstance(problem, TimeoutError):
        return f"it did not answer within {_PATIENCE:g} s"
    if isinstance(problem, http.client.RemoteDisconnected):
        return "it closed the connection without an answer"
    if isinstance(problem, http.client.HTTPException):
        return "it did not answer in HTTP"
    return str(getattr(problem, "strerror", None) or getattr(problem, "reason", None) or problem)


class Retries:
    """Decides when to try again: after 1, 2, 4 … 60 s, or after 60 s if the notice was refused, and not
    before the time that the receiver requests."""

    def __init__(self) -> None:
        self.failures = 0
        """The number of consecutive failures."""
        self.due = 0.0
        """The time of the next attempt, on the monotonic clock."""

    def delivered(self) -> None:
        self.failures = 0

    def failed(self, problem: NotDelivered, now: float) -> None:
        pause = _PAUSES[min(self.failures, len(_PAUSES) - 1)] if problem.may_pass else _PAUSES[-1]
        self.due = now + max(pause, problem.wish)
        self.failures += 1
