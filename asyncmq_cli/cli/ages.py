"""Times as people type them: ages, which may be dates as well, and intervals."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone

from asyncmq_cli.durations import seconds
from asyncmq_cli.errors import UsageProblem

__all__ = ["age", "interval", "seconds"]

_TOO_LONG = 1e9
_EPOCH = re.compile(r"\d{10,}(?:\.\d+)?")
"""So many digits are no number of seconds that anybody means: they are a moment, as Redis holds it."""


_DAYS_AGO = {"today": 0, "yesterday": 1}


def age(text: str, now: Callable[[], float]) -> float:
    """How many seconds ago: a duration, a date and time of ISO 8601, here unless it says where, `today` or
    `yesterday` for the midnight at which it began here, or the seconds of an epoch, from 10 digits on.

    `now` is the time in epoch seconds. Raises UsageProblem for what is none of these, or yet to come.
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
            f"{text!r} is yet to come{here}", hint="2026-03-01T14:00Z is UTC, 2026-03-01T14:00 is local time"
        )
    return passed


def _midnight(now: float, days_ago: int) -> float:
    # By the calendar: a day may have 23 hours.
    day = date.fromtimestamp(now) - timedelta(days=days_ago)
    return datetime.combine(day, time()).timestamp()


def _timestamp(moment: datetime) -> float:
    """Epoch seconds. At the ends of the calendar, where local time cannot be reckoned, those of UTC."""
    try:
        return moment.timestamp()
    except (ValueError, OverflowError, OSError):
        return moment.replace(tzinfo=timezone.utc).timestamp()


def interval(option: str, text: str, least: float) -> float:
    """Seconds between two looks. Raises UsageProblem for what is no duration, and below `least`."""
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
        # A unit that may mean two things is named; of anything else it is said what could stand there.
        raise exc if "may mean" in exc.message else _neither(text) from exc


def _neither(text: str) -> UsageProblem:
    return UsageProblem(
        f"{text!r} is neither a duration nor a date",
        hint="such as 90s, 2h, 7d, today or 2026-03-01T14:00",
    )


def _moment(text: str) -> datetime:
    if _EPOCH.fullmatch(text):
        return datetime.fromtimestamp(float(text), timezone.utc)
    # Python 3.10 does not know the Z.
    return datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", text))


def _zone(moment: datetime) -> str:
    """What the clocks here go by at that time: ` (UTC+01:00)`; empty at the ends of the calendar."""
    try:
        return f" (UTC{moment.astimezone().isoformat()[-6:]})"
    except (ValueError, OverflowError, OSError):
        return ""
