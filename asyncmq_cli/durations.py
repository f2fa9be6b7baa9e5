"""Parse the times that people type: durations such as `500ms`, `90s`, `5 min` or `1h30m`; ages, which may be
dates; and intervals.

They decide which jobs are removed for good, so each form must be unambiguous. No library is used, because
pytimeparse, humanfriendly and dateparser silently read `1M`, which may mean a month, as a minute.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone

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


_TOO_LONG = 1e9
_EPOCH = re.compile(r"\d{10,}(?:\.\d+)?")
"""A number with this many digits is not a duration in seconds but epoch seconds, as Redis stores them."""


_DAYS_AGO = {"today": 0, "yesterday": 1}


def age(text: str, now: Callable[[], float]) -> float:
    """How many seconds ago `text` is: a duration; an ISO 8601 date and time, local unless it has an offset;
    `today` or `yesterday`, meaning the local midnight at which it began; or epoch seconds of 10 digits or
    more.

    `now` returns epoch seconds. Raises UsageProblem for anything else, and for a time in the future.
    """
    word = text.strip().lower()
    if word in _DAYS_AGO:
        return max(0.0, now() - _midnight(now(), _DAYS_AGO[word]))
    try:
        moment = _moment(text.strip())
    except (ValueError, OverflowError, OSError) as exc:
        if not _EPOCH.fullmatch(text.strip()):
            return _duration(text)
        raise _neither(text) from exc
    passed = now() - _timestamp(moment)
    if passed < 0:
        here = "" if moment.tzinfo is not None else f" in local time{_zone(moment)}"
        raise UsageProblem(
            f"{text!r} is in the future{here}",
            hint="2026-03-01T14:00Z is UTC, 2026-03-01T14:00 is local",
        )
    return passed


def _midnight(now: float, days_ago: int) -> float:
    # Count calendar days, because a day can have 23 hours.
    day = date.fromtimestamp(now) - timedelta(days=days_ago)
    return datetime.combine(day, time()).timestamp()


def _timestamp(moment: datetime) -> float:
    """Epoch seconds. At the ends of the calendar, where local time cannot be computed, UTC is used."""
    try:
        return moment.timestamp()
    except (ValueError, OverflowError, OSError):
        return moment.replace(tzinfo=timezone.utc).timestamp()


def interval(option: str, text: str, least: float) -> float:
    """Parse the seconds between two reads. Raises UsageProblem for a wrong duration, and for one below
    `least`."""
    span = seconds(text)
    if span < least:
        raise UsageProblem(f"{option} must be at least {least:g} seconds, not {text!r}")
    if span >= _TOO_LONG:
        raise UsageProblem(f"{option} {text!r} is too long")
    return span


def _duration(text: str) -> float:
    try:
        return seconds(text)
    except UsageProblem as exc:
        # Keep the error about an ambiguous unit; replace any other by one that says what is accepted.
        raise exc if "may mean" in exc.message else _neither(text) from exc


def _neither(text: str) -> UsageProblem:
    return UsageProblem(
        f"{text!r} is neither a duration nor a date",
        hint="write 90s, 2h, 7d, today or 2026-03-01T14:00",
    )


def _moment(text: str) -> datetime:
    if _EPOCH.fullmatch(text):
        return datetime.fromtimestamp(float(text), timezone.utc)
    # Python 3.10 does not parse the Z.
    return datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", text))


def _zone(moment: datetime) -> str:
    """The local offset at that time, such as ` (UTC+01:00)`; "" at the ends of the calendar."""
    try:
        return f" (UTC{moment.astimezone().isoformat()[-6:]})"
    except (ValueError, OverflowError, OSError):
        return ""
