"""Secrets are not printed unasked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

REDACTED = "[redacted]"
SECRET_PARTS = (
    "authorization",
    "api_key",
    "apikey",
    "credential",
    "password",
    "private_key",
    "secret",
    "token",
)

_SECRET_KEY = re.compile("|".join(SECRET_PARTS), re.IGNORECASE)

# `password=…`, `"api_token": "…"`, `Authorization: Bearer …` inside a text. The word must end the
# name: `TokenError: no such user` is a message, not a secret.
_ASSIGNMENT = re.compile(
    r"""(?<![A-Za-z0-9])
        (?P<name>authorization|api[_-]?key|credentials?|passwo?r?d|private[_-]?key|secret|token)
        (?P<is>\\?["']?\s*(?:=>|[:=])\s*)
        (?P<value>\\?"(?:[^"\\]|\\[^"])*\\?"|\\?'(?:[^'\\]|\\[^'])*\\?'|(?:(?:bearer|basic|token)\s+)?[^\s"',;&)}\]]+)
    """,
    re.IGNORECASE | re.VERBOSE,
)
_URL_PASSWORD = re.compile(
    r"(?P<before>[a-z][a-z0-9+.-]{1,20}://[^\s/?#@:\"']*:)[^\s/?#@\"']+(?=@)", re.IGNORECASE
)


def is_secret_name(name: str) -> bool:
    return _SECRET_KEY.search(name) is not None


def redact(value: Any) -> Any:
    """A copy of JSON data without the values that look like secrets."""
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, Mapping):
        return {name: REDACTED if is_secret_name(name) else redact(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [redact(inner) for inner in value]
    return value


def redact_text(text: str) -> str:
    """`text` without what is assigned to a secret name in it, and without passwords in URLs."""
    if _SECRET_KEY.search(text) or "passwd" in text.lower():
        text = _ASSIGNMENT.sub(_hide, text)
    return _URL_PASSWORD.sub(rf"\g<before>{REDACTED}", text) if "://" in text else text


def _hide(found: re.Match[str]) -> str:
    value = found["value"]
    opening = re.match(r"\\?[\"']", value)
    quote = opening[0] if opening else ""
    closing = quote if quote and value.endswith(quote) and len(value) > len(quote) else ""
    return f"{found['name']}{found['is']}{quote}{REDACTED}{closing}"
