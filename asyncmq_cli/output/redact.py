"""Secrets are not printed unasked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from asyncmq_cli.output.jsontext import MAX_DEPTH, TOO_DEEP

REDACTED = "[redacted]"

SECRET_PARTS = (
    "authorization",
    "api[_-]?key",
    "credential",
    "password",
    "passwd",
    "private[_-]?key",
    "secret",
    "token",
)
"""A key that has one of these patterns in it is a secret's."""
_PARTS = "|".join(SECRET_PARTS)
_SECRET_KEY = re.compile(_PARTS, re.IGNORECASE)

# `password=…`, `"api_token": "…"`, `Authorization: Bearer …` inside a text, up to where the value
# starts. All patterns here take time in proportion to the text: it may be large, and hostile.
_ASSIGNMENT = re.compile(
    # The rest of the name is looked at once: after a lookahead nothing shorter is tried.
    rf"""(?:{_PARTS})(?=(?P<rest>[A-Za-z0-9_-]{{0,64}}))(?P=rest)
         (?P<quoted>\\*["'])?\s*(?P<sign>=>|:=|={{1,3}}|:)\s*
         (?:[bfru]{{1,2}}(?=["']))?""",
    re.IGNORECASE | re.VERBOSE,
)
_NAME = re.compile(r"[A-Za-z0-9_-]*\Z")
_LONGEST_NAME = 64
_CLASS_NAME = re.compile(r"[A-Z][a-z0-9]+(?:[A-Z][A-Za-z0-9]*)+")
_LOOSE_END = re.compile(r"s?(?:[_-]|\Z)")

_QUOTE = re.compile(r"\\*[\"']")
_BRACKET_OR_QUOTE = re.compile(r"""["'()\[\]{}]""")
_SCHEME = re.compile(r"(?:bearer|basic|token|digest|negotiate)[ \t]+(?=[^\s\"',;&)}\]])", re.IGNORECASE)
_PEM = re.compile(r"-----BEGIN [^-]*-----[^-]*(?:-----END [^-]*-----)?")
_PLAIN = re.compile(r"""[^\s"',;&()\[\]{}]*""")

# The word PASSWORD stands for one where it is shown how a URL is written.
_URL_PASSWORD = re.compile(
    r"(?P<before>[a-z][a-z0-9+.-]{1,20}://[^\s/?#@:\"']*:)(?!(?-i:PASSWORD)@)[^\s/?#\"']+(?=@)", re.IGNORECASE
)


def is_secret_name(name: str) -> bool:
    return _SECRET_KEY.search(name) is not None


# One of these is in the JSON, in lower case, of all in which there is anything to redact.
_SIGNS: tuple[bytes, ...] = (
    b"authorization",
    b"credential",
    b"password",
    b"passwd",
    b"secret",
    b"token",
    b"://",
)
_SIGNS += (b"apikey", b"api_key", b"api-key", b"privatekey", b"private_key", b"private-key")
# Where case is ignored, these letters count as `i`, `k` and `s` too.
_SIGNS += tuple(letter.encode() for letter in "\u0130\u0131\u212a\u017f")


def redact(value: Any) -> Any:
    """JSON data without the values that look like secrets; the same object where there are none."""
    return value if _is_clean(value) else _redacted(value, 0)


def _is_clean(value: Any) -> bool:
    """Whether there is certainly nothing to redact, nor to cut at a depth: so it mostly is, and to look
    at the whole at once costs a tenth of a copy. False also where it cannot be told so simply."""
    import orjson

    if not isinstance(value, dict | list):
        return False
    try:
        text = orjson.dumps(value).lower()
    except orjson.JSONEncodeError:
        return False
    shallow = text.count(b"[") + text.count(b"{") < MAX_DEPTH
    return shallow and not any(sign in text for sign in _SIGNS)


def _redacted(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return redact_text(value)
    if not isinstance(value, Mapping | list | tuple):
        return value
    if depth == MAX_DEPTH:
        return TOO_DEEP
    if isinstance(value, Mapping):
        return {
            name: REDACTED if is_secret_name(name) else _redacted(inner, depth + 1)
            for name, inner in value.items()
        }
    return [_redacted(inner, depth + 1) for inner in value]


def redact_text(text: str) -> str:
    """`text` without what is assigned to a secret name in it, and without passwords in URLs."""
    if _SECRET_KEY.search(text):
        text = _without_assigned(text)
    return _URL_PASSWORD.sub(rf"\g<before>{REDACTED}", text) if "://" in text else text


def redact_any(value: Any) -> str | None:
    """The same of what may be no text; None stays None."""
    return None if value is None else redact_text(str(value))


def _without_assigned(text: str) -> str:
    pieces = []
    done = 0
    while found := _ASSIGNMENT.search(text, done):
        start = found.end()
        pieces.append(text[done:start])
        done = start
        if not _names_a_secret(text, found):
            continue
        if quote := _QUOTE.match(text, start):
            done, closing = _end_of_quoted(text, quote.end(), quote[0])
            pieces.append(f"{quote[0]}{REDACTED}{closing}")
        else:
            done = _end_of_plain(text, start)
            pieces.append(REDACTED if done > start else "")
    return "".join([*pieces, text[done:]])


def _names_a_secret(text: str, found: re.Match[str]) -> bool:
    """A name in quotes or before `=` is judged as a key is. Before a bare colon it may be prose or
    a class: `TokenError: no such user` and `InvalidToken: expired` are messages, not secrets."""
    if found["quoted"] or found["sign"] != ":":
        return True
    before = _NAME.search(text[max(0, found.start() - _LONGEST_NAME) : found.start()])
    name = (before[0] if before else "") + text[found.start() : found.end("rest")]
    if _CLASS_NAME.fullmatch(name):
        return False
    rest = found["rest"]
    return _LOOSE_END.match(rest) is not None or (name[0].islower() and rest[0].isupper())


def _end_of_quoted(text: str, start: int, opening: str) -> tuple[int, str]:
    """Where a quoted value ends, and the quote that closes it; an unclosed one ends with the text.

    In JSON inside a JSON string a quote carries 1, 3, 7… backslashes, and one that belongs to the
    value carries more, by a number that depends on how deep it is.
    """
    level = len(opening) - 1
    position = start
    while (end := text.find(opening[-1], position)) >= 0:
        slashes = _slashes_before(text, position, end)
        if slashes < level:
            return end - slashes, ""
        if (slashes - level) % (2 * level + 2) == 0:
            return end + 1, opening
        position = end + 1
    return len(text), ""


def _end_of_plain(text: str, start: int) -> int:
    if pem := _PEM.match(text, start):
        return pem.end()
    scheme = _SCHEME.match(text, start)
    plain = _PLAIN.match(text, scheme.end() if scheme else start)
    end = plain.end() if plain else start
    return _end_of_bracket(text, end) if text[end : end + 1] in tuple("([{") else end


def _end_of_bracket(text: str, start: int) -> int:
    position, depth = start, 0
    while found := _BRACKET_OR_QUOTE.search(text, position):
        if found[0] in "\"'":
            quote = "\\" * _slashes_before(text, position, found.start()) + found[0]
            position, _ = _end_of_quoted(text, found.end(), quote)
            continue
        position = found.end()
        depth += 1 if found[0] in "([{" else -1
        if depth == 0:
            return position
    return len(text)


def _slashes_before(text: str, start: int, end: int) -> int:
    piece = text[start:end]
    return len(piece) - len(piece.rstrip("\\"))
