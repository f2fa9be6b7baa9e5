"""Job data is hostile: nothing that a terminal would obey leaves here as it came."""

from __future__ import annotations

import re

_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
# Characters that JSON may hold raw and a terminal or a line reader would act on: DEL and the C1
# controls, marks of writing direction, zero-width characters, line and paragraph separators.
_JSON_UNSAFE = re.compile("[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
_JSON_UNSAFE_UTF8 = re.compile(
    b"\x7f|\xc2[\x80-\x9f]|\xd8\x9c|\xe2\x80[\x8b-\x8f\xa8-\xae]|\xe2\x81[\xa0-\xaf]|\xef\xbb\xbf"
)


def escape(text: str, *, keep: str = "") -> str:
    """`text` on one line, its unprintable characters as `\\n`, `\\x1b`, `\\u202e`.

    `keep` are characters that the caller means to print, such as a line's end.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep or c in "\u00a0\u3000" else _escaped(c) for c in text)


def escape_reversibly(text: str) -> str:
    """As `escape`, with the backslash doubled, so that a program can undo it."""
    return escape(text.replace("\\", "\\\\"))


def escape_json(document: bytes) -> bytes:
    """The same JSON with the characters escaped that JSON itself would let through."""
    if _JSON_UNSAFE_UTF8.search(document) is None:
        return document
    return _JSON_UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", document.decode("utf-8")).encode("utf-8")


def _escaped(char: str) -> str:
    if char in _NAMED:
        return _NAMED[char]
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:
        # A byte that was not UTF-8 in the name of a key; no character is shown in the same way.
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
