"""Parse durations: `500ms`, `90s`, `5 min`, `2 hours`, `7d`, `1y`, `1h30m`, or plain seconds.

They decide which jobs are removed for good, so each form must be unambiguous. No library is used, because
pytimeparse, humanfriendly and dateparser silently read `1M`, which may mean a month, as a minute.
"""

from __future__ import annotations

import re

from asyncmq_cli.errors import UsageProblem

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 365 * 86400}
_WORDS = {
    "ms": ("ms", "msec", "msecs", "millisecond", "milliseconds"),
    "s": ("s", "sec", "secs", "second", "seconds"),
    "m": ("m", "min", "mins", "minute", "minutes"),
    "h": ("h", "hr", "hrs", "hour", "hours"),
    "d": ("d", "day", "days"),
    "w": ("w", "wk", "wks", "week", "weeks"),
    "y": ("y", "yr", "yrs", "year", "years"),
}
_SECONDS = {word: _UNITS[unit] for unit, words in _WORDS.items() for word in words}
_MONTHS = ("mo", "mon", "mons", "month", "months")
LOOKS_LIKE_ONE = rf"(?:[0-9]+(?:\.[0-9]+)?\s*(?:{'|'.join((*_SECONDS, *_MONTHS))})\s*)+"
"""A pattern (to be used ignoring case) of texts that are meant as durations, including those that are
refused. A number alone may be something else, so it does not match."""
_PART = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,18})?)\s*([A-Za-z]+)")
_WHOLE = re.compile(rf"{_PART.pattern}(?:\s*(?:,|and\b)?\s*{_PART.pattern})*")
_LONGEST = 100
_PLAIN = re.compile(r"[0-9]{1,18}(?:\.[0-9]{1,18})?")
_HINT = "write 90s, 5m, 2h, 7d, 2w, 1y or 1h30m"


def seconds(text: str) -> float:
    """A duration in seconds. A year has 365 days; months are not accepted. Raises UsageProblem for anything
    that is not a duration, and for an ambiguous unit."""
    wanted = text.strip()
    if _PLAIN.fullmatch(wanted):
        return float(wanted)
    parts = _PART.findall(wanted) if len(wanted) <= _LONGEST and _WHOLE.fullmatch(wanted) else []
    return sum(float(count) * _unit(text, unit) for count, unit in parts) if parts else _refuse(text)


def _unit(text: str, word: str) -> float:
    # In capital letters, other programs read these units as months and megaseconds.
    if word in ("M", "MS", "Ms") or word.lower() in _MONTHS:
        raise UsageProblem(
            f"{text!r} may mean months, which have no fixed length",
            hint="5m or 5min is five minutes, 30d a month, 1y 365 days",
        )
    return _SECONDS.get(word.lower()) or _refuse(text)


def _refuse(text: str) -> float:
    raise UsageProblem(f"{text!r} is not a duration", hint=_HINT)
