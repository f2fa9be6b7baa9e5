"""Plain ASCII for terminals that show nothing else."""

from __future__ import annotations

import os
from typing import TextIO

_IN_ASCII = {ord("…"): "~", ord("–"): "-"}


def takes_more_than_ascii(stream: TextIO) -> bool:
    # Python writes UTF-8 even if the locale is C, but the terminal may not show it.
    locale = next(filter(None, map(os.environ.get, ("LC_ALL", "LC_CTYPE", "LANG"))), "")
    return "utf" in (stream.encoding or "").lower() and locale not in ("C", "POSIX")


def in_ascii(text: str) -> str:
    return text.translate(_IN_ASCII)


def printable_on(stream: TextIO, text: str, *, plain: bool) -> str:
    """The text as the stream can print it: what its encoding lacks is escaped. `plain`: use ASCII only."""
    encoding = stream.encoding or "utf-8"
    shown = in_ascii(text) if plain else text
    try:
        # A long text is not copied for nothing.
        shown.encode(encoding)
    except UnicodeEncodeError:
        return shown.encode(encoding, "backslashreplace").decode(encoding)
    return shown
