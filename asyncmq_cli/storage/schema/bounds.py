"""Limits for the memory of decoded data: a few hundred KB in Redis can decode to gigabytes.

The size in memory is estimated from the stored bytes, before they are decoded.
"""

from __future__ import annotations

import re

from asyncmq_cli.config import DEFAULT_MAX_PAYLOAD

WEIGHED_FROM = 64 * 1024
"""Bytes. A shorter text decodes to a few MB at most, so it is not weighed."""

# Bytes of the decoded value per occurrence of these texts, measured on CPython 3.10 to 3.13 and rounded up.
# They include the slot in a list and the number that usually follows a comma.
_COSTS = ((b"[", 88), (b"{", 200), (b"{}", -128), (b":", 50), (b",", 40))
_QUOTE = 28
_WIDE, _WIDEST = 4, 8
"""Bytes per character of a text with a character beyond ASCII, and with one beyond U+FFFF. Python takes 2 or
4 for each, and copies are made."""
_CONTINUATION = bytes(range(0x80, 0xC0))
"""The UTF-8 bytes of a character after its first one."""
_BEYOND_FFFF = bytes(range(0xF0, 0x100))
"""The first UTF-8 bytes of characters beyond U+FFFF."""
_STRING = re.compile(rb'"[^"]*"')
_AT_ONCE = 1024 * 1024


class Limits:
    """The limits for one value: `text` bytes of JSON after decompression, and `decoded` bytes in memory."""

    def __init__(self, text: int = DEFAULT_MAX_PAYLOAD) -> None:
        self.text = text

    @property
    def decoded(self) -> int:
        # The text, the decoded value and the printed text are in memory together.
        return 3 * self.text


LIMITS = Limits()
"""The limits of this process. They are set once, from the configuration."""


def decodes_within(raw: bytes, most: int) -> bool:
    """Whether the JSON text certainly decodes to at most `most` bytes of memory."""
    return len(raw) < WEIGHED_FROM or weight(raw, most) is not None


def weight(raw: bytes, most: int) -> int | None:
    """An upper bound for the bytes of memory that the decoded JSON text takes; None if it exceeds `most`."""
    text = _text(raw)
    quick = text + raw.count(b'"') * _QUOTE + _structure(raw)
    if quick <= most:
        return quick
    if text > most:
        return None
    exact = text + _outside_strings(raw, most - text)
    return exact if exact <= most else None


def _text(raw: bytes) -> int:
    """The bytes of the characters alone. An escape such as \\u00df is one character, and so is its UTF-8
    form."""
    if raw.isascii() and b"\\u" not in raw:
        return len(raw)
    # A `u` after an escaped backslash is no escape.
    escapes = raw.count(b"\\u") - raw.count(b"\\\\u")
    characters = len(raw.translate(None, _CONTINUATION)) - 5 * escapes
    # Surrogates have escapes that begin with d8 to df.
    widest = b"\\ud" in raw or b"\\uD" in raw or len(raw.translate(None, _BEYOND_FFFF)) < len(raw)
    return characters * (_WIDEST if widest else _WIDE)


def _structure(text: bytes) -> int:
    return sum(text.count(mark) * cost for mark, cost in _COSTS)


def _outside_strings(raw: bytes, most: int) -> int:
    """The cost of the structure outside strings; structure inside a string costs nothing. Counting stops once
    the cost exceeds `most`."""
    # Once escaped quotes are removed, every quote starts or ends a string.
    plain = raw.replace(b"\\\\", b"").replace(b'\\"', b"")
    found = plain.count(b'"') * _QUOTE
    within = b""
    for start in range(0, len(plain), _AT_ONCE):
        if found > most:
            break
        outside, within, _ = _STRING.sub(b"", within + plain[start : start + _AT_ONCE]).partition(b'"')
        found += _structure(outside)
    return found
