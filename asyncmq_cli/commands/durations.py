"""Durations as people type them: `90s`, `5m`, `2h`, `7d`, `1h30m`, or plain seconds; and ages, which
may be dates as well."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime

from asyncmq_cli.errors import UsageProblem

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
_WHOLE = re.compile(rf"(?:{_PART.pattern}\s*)+")
_PLAIN = re.compile(r"\d+(?:\.\d+)?")


def seconds(text: str) -> float:
    """Raises UsageProblem for what is no duration."""
    wanted = text.strip().lower()
    if _PLAIN.fullmatch(wanted):
        return float(wanted)
    if not _WHOLE.fullmatch(wanted):
        raise UsageProblem(f"{text!r} is not a duration", hint="such as 90s, 5m, 2h, 7d or 1h30m")
    return sum(float(count) * _UNITS[unit] for count, unit in _PART.findall(wanted))


def age(text: str, now: Callable[[], float]) -> float:
    """How many seconds ago: a duration, or a date and time of ISO 8601, here unless it says where.

    `now` is the time in epoch seconds. Raises UsageProblem for what is neither, or yet to come.
    """
    try:
        # Python 3.10 does not know the Z.
        moment = datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", text.strip())).timestamp()
    except (ValueError, OverflowError, OSError):
        try:
            return seconds(text)
        except UsageProblem as exc:
            raise UsageProblem(
                f"{text!r} is neither a duration nor a date", hint="such as 90s, 2h, 7d or 2026-03-01T14:00"
            ) from exc
    passed = now() - moment
    if passed < 0:
        raise UsageProblem(f"{text!r} is yet to come")
    return passed
