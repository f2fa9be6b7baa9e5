"""Send a small document to a URL, and try again where that may help."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any

from asyncmq_cli.errors import AdminError, UsageProblem

PAUSES = (1.0, 2.0, 4.0)
"""Seconds before each further try."""
_PATIENCE = 10.0
_MAY_PASS = frozenset((408, 425, 429))
_SCHEMES = ("http", "https")


class NotDelivered(AdminError):
    """The notice was not accepted. The message names only the host: the rest of the URL may be a secret."""

    code = "not_delivered"


def require_url(url: str) -> str:
    """The same URL. Raises UsageProblem, which does not show it."""
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
    """The headers by which a receiver knows the sender: HMAC-SHA256 over the time, a dot and the body."""
    moment = f"{now:.0f}"
    digest = hmac.new(secret.encode(), moment.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {"X-Asyncmq-Timestamp": moment, "X-Asyncmq-Signature": f"sha256={digest}"}


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any) -> None:
        """A document that is sent on becomes a mere question."""


def post(url: str, body: bytes, headers: Mapping[str, str]) -> None:
    """Raises NotDelivered once trying again is of no use, or has been of none."""
    request = urllib.request.Request(  # noqa: S310  its scheme was checked
        url, body, {"Content-Type": "application/json", "User-Agent": "asyncmq-cli", **headers}
    )
    opener = urllib.request.build_opener(_NoRedirects)
    for pause in (*PAUSES, None):
        problem, may_pass = _tried(opener, request)
        if problem is None:
            return
        if pause is None or not may_pass:
            host = urllib.parse.urlsplit(url).hostname
            raise NotDelivered(f"the notice could not be delivered to {host}: {problem}")
        time.sleep(pause)


def _tried(opener: urllib.request.OpenerDirector, request: urllib.request.Request) -> tuple[str | None, bool]:
    """The problem, and whether a retry may succeed."""
    try:
        with opener.open(request, timeout=_PATIENCE):
            return None, False
    except urllib.error.HTTPError as exc:
        exc.close()
        return f"it answered {exc.code}", exc.code >= 500 or exc.code in _MAY_PASS
    except urllib.error.URLError as exc:
        reason = exc.reason
        return str(getattr(reason, "strerror", None) or reason), True
    except (OSError, http.client.HTTPException) as exc:
        return str(exc.strerror if isinstance(exc, OSError) and exc.strerror else type(exc).__name__), True
