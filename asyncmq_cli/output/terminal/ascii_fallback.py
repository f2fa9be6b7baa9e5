"""What is drawn with more than ASCII, and whether the reader can take it."""

from __future__ import annotations

import os
from typing import TextIO

_IN_ASCII = {ord("…"): "~", ord("–"): "-"}


def takes_more_than_ascii(stream: TextIO) -> bool:
    # Where the locale is C by choice, Python writes UTF-8 all the same; the terminal may not take it.
    locale = next(filter(None, map(os.environ.get, ("LC_ALL", "LC_CTYPE", "LANG"))), "")
    return "utf" in (stream.encoding or "").lower() and locale not in ("C", "POSIX")


def in_ascii(text: str) -> str:
    return text.translate(_IN_ASCII)


def printable_on(stream: TextIO, text: str, *, plain: bool) -> str:
    """The text as a stream takes it: what the locale cannot print, or what is no character at all, is an
    escape. `plain`: there is nothing but ASCII."""
    encoding = stream.encoding or "utf-8"
    return (in_ascii(text) if plain else text).encode(encoding, "backslashreplace").decode(encoding)
