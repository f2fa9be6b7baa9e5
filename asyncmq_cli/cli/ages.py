"""Parse the times that people type: ages, which may be dates, and intervals."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone

from asyncmq_cli.durations import seconds
from asyncmq_cli.errors import UsageProblem

__all__ = ["age", "interval", "seconds"]

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
