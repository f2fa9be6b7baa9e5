"""Make text safe for a terminal: job data is hostile, and some terminals can only show ASCII.

Every character that could control a terminal is escaped.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import TextIO

_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
# These patterns are compiled on first use, because that takes some milliseconds.

# Characters that are printable for Python, but that no terminal shows, or that it shows as a blank: the
# combining grapheme joiner, fillers, Mongolian and other variation selectors, Khmer's inherent vowels,
# Braille's blank.
_UNSEEN = (
    "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U0001d159"
    "\U000e0100-\U000e01ef"
)
# Characters that JSON may contain unescaped, but that a terminal or a line reader would interpret or not
# show: DEL and the C1 controls, all format characters (direction marks, zero-width characters, tags), and
# separators of lines and paragraphs.
_JSON_UNSAFE = (
    "[\x7f-\x9f\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\ufeff\ufff0-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    f"\U0001d173-\U0001d17a\U000e0000-\U000e0fff{_UNSEEN}]"
)
_HIDDEN = f"[{_UNSEEN}]"
# These blocks have all combining marks and few letters.
_MARKS = (
    "[\u0300-\u036f\u0483-\u0489\u0590-\u109f\u135d-\u135f\u1700-\u1cff\u1dc0-\u1dff\u20d0-\u20ff"
    "\u2cef-\u2cf1\u2d7f\u2de0-\u2dff\u302a-\u302f\u3099\u309a\ua66f-\ua67d\ua69e\ua69f\ua6f0\ua6f1"
    "\ua800-\uabff\ufb1e\ufe00-\ufe0f\ufe20-\ufe2f\U000101fd-\U00011fff\U00013440-\U00013455"
    "\U00016120-\U0001612f\U00016af0-\U00016b36\U00016f4f-\U00016fe4\U0001bc9d-\U0001bc9e"
    "\U0001cf00-\U0001d244\U0001da00-\U0001dab0\U0001e000-\U0001e94a\U000e0100-\U000e01ef]{5,}"
)
_MARK = ("Mn", "Me")
_MOST_MARKS = 4
"""Languages use up to this many marks on one letter. More are used to cover the lines above and below."""
_LIKE_AN_ESCAPE = r"\\(?:[nrt\\]|x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})"
_IN_ASCII = {ord("…"): "~", ord("–"): "-"}


def escape(text: str, *, keep: str = "") -> str:
    """`text` on one line; characters that are not visible are written as escapes such as `\\n`, `\\x1b`,
    `\\u202e`.

    Characters in `keep`, such as a line break, are not escaped.
    """
    if not text.isascii():
        text = re.sub(_MARKS, _few_marks, re.sub(_HIDDEN, lambda found: _escaped(found[0]), text))
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep or c in "\u00a0\u3000" else _escaped(c) for c in text)


def escape_name(text: str) -> str:
    """The same as `escape`, but two different names never look the same: backslashes that could be read as an
    escape, spaces at both ends, other white space, and letters that Unicode treats as equal are escaped
    too."""
    if text.isascii() and "\\" not in text and text.strip() == text:
        return escape(text)
    doubled = text.replace("\\", "\\\\")
    if not text.isascii():
        doubled = re.sub("[\u00a0\u3000]", lambda found: _escaped(found[0]), _composed_apart(doubled))
    core = doubled.strip(" ")
    shown = escape(core)
    if core != doubled:
        before = len(doubled) - len(doubled.lstrip(" "))
        shown = "\\x20" * before + shown + "\\x20" * (len(doubled) - len(core) - before)
    # Return the text unchanged if nothing had to be escaped and nothing looks like an escape.
    return text if shown == text.replace("\\", "\\\\") and not re.search(_LIKE_AN_ESCAPE, text) else shown


def _composed_apart(text: str) -> str:
    """The text with these characters escaped: combining marks that form one letter with the character before
    them or come first, and characters that Unicode treats as equal to another one."""
    import unicodedata

    if unicodedata.category(text[0]) in _MARK:
        return _escaped(text[0]) + text[1:]
    if unicodedata.is_normalized("NFC", text):
        return text
    pieces: list[str] = []
    before = ""
    for char in text:
        is_double = unicodedata.normalize("NFC", char) != char
        joins = before and len(unicodedata.normalize("NFC", before + char)) == 1
        pieces.append(_escaped(char) if is_double or joins else char)
        before = char
    return "".join(pieces)


def escape_reversibly(text: str) -> str:
    """The same as `escape`, but with doubled backslashes, so that a program can undo it."""
    return escape(text.replace("\\", "\\\\"))


def escape_json(document: bytes) -> bytes:
    """The same JSON, with the unsafe characters escaped that JSON allows."""
    if document.isascii() and b"\x7f" not in document:
        return document
    text = document.decode("utf-8")
    shown = re.sub(_JSON_UNSAFE, lambda found: _in_json(found[0]), text)
    return re.sub(_MARKS, lambda found: _few_marks(found, _in_json), shown).encode("utf-8")


def _few_marks(found: re.Match[str], written: Callable[[str], str] | None = None) -> str:
    import unicodedata

    pieces = []
    count = 0
    for char in found[0]:
        count = count + 1 if unicodedata.category(char) in _MARK else 0
        pieces.append((written or _escaped)(char) if count > _MOST_MARKS else char)
    return "".join(pieces)


def _in_json(char: str) -> str:
    """The escape of a character's UTF-16 code units, as in JSON."""
    units = char.encode("utf-16-be")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def _escaped(char: str) -> str:
    if char in _NAMED:
        return _NAMED[char]
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:
        # A byte in the name of a key that was not UTF-8. No character is shown in this way.
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def takes_more_than_ascii(stream: TextIO) -> bool:
    # In the C locale, Python still writes UTF-8, but the terminal may not show it.
    locale = next(filter(None, map(os.environ.get, ("LC_ALL", "LC_CTYPE", "LANG"))), "")
    return "utf" in (stream.encoding or "").lower() and locale not in ("C", "POSIX")


def in_ascii(text: str) -> str:
    return text.translate(_IN_ASCII)


def printable_on(stream: TextIO, text: str, *, plain: bool) -> str:
    """The text as the stream can print it: characters that its encoding lacks are escaped. With `plain`, only
    ASCII is used."""
    encoding = stream.encoding or "utf-8"
    shown = in_ascii(text) if plain else text
    try:
        # Try to encode first, to avoid copying a long text.
        shown.encode(encoding)
    except UnicodeEncodeError:
        return shown.encode(encoding, "backslashreplace").decode(encoding)
    return shown
