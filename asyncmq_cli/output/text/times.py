"""Write times for people and for programs."""

from __future__ import annotations

import math
from datetime import datetime, timezone

from asyncmq_cli.models.values import END_OF_CALENDAR

_UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def rfc3339(timestamp: float | None) -> str | None:
    """The time in UTC with microseconds. None for None, and for a time outside the years 1 to 9999."""
    if timestamp is None:
        return None
    try:
        moment = datetime.fromtimestamp(timestamp, tz=timezone.utc)
    except (ValueError, OverflowError, OSError):
        return None
    import orjson

    # This takes half the time of `isoformat`, but leaves out microseconds that are zero.
    text = orjson.dumps(moment).decode("ascii")[1:-1]
    return text if moment.microsecond else f"{text[:19]}.000000{text[19:]}"


def date(timestamp: float) -> str:
    """The time in UTC to the second, for people: `2026-11-23 14:03:22Z`."""
    whole = rfc3339(timestamp)
    return "-" if whole is None else f"{whole[:10]} {whole[11:19]}Z"


def duration(seconds: float, *, units: int = 2) -> str:
    """A duration in at most `units` units: `45s`, `3m 20s`, `2h 5m`, `4d 1h`; `forever` for infinity."""
    if not math.isfinite(seconds):
        return "forever"
    rest = round(abs(seconds))
    if rest < 1:
        return "0s"
    parts: list[str] = []
    for size, unit in _UNITS:
        count, rest = divmod(rest, size)
        if count or parts:
            parts.append(f"{count}{unit}" if count else "")
        if len(parts) == units:
            break
    return " ".join(part for part in parts if part)


_LONGEST_INTERVAL = 1e12


def interval(seconds: float) -> str:
    """An exact duration in the form that the command line accepts: `1m30s` for 90, `0.5s` for 0.5. A duration
    that is no valid interval, below 0 or beyond the calendar, is written in seconds: `-5s`, `1e+300s`."""
    if not 0 <= seconds < _LONGEST_INTERVAL:
        return f"{seconds:.8g}s"
    whole, parts = divmod(seconds, 1)
    rest = int(whole)
    text = ""
    for size, unit in _UNITS[:-1]:
        count, rest = divmod(rest, size)
        text += f"{count}{unit}" if count else ""
    return text + (f"{rest + parts:.8g}s" if rest or parts or not text else "")


def relative(timestamp: float, now: float, *, units: int = 2) -> str:
    """`3m 20s ago`, `in 2h`, `now`; `never` for infinity, `long ago` before all time. What is no date is
    `after 9999`."""
    ahead = timestamp - now
    if END_OF_CALENDAR <= timestamp < math.inf:
        return "after 9999"
    if not math.isfinite(ahead):
        return "long ago" if ahead < 0 else "never"
    if abs(ahead) < 1:
        return "now"
    span = duration(ahead, units=units)
    return f"in {span}" if ahead > 0 else f"{span} ago"


def clock(timestamp: float, *, span: float = 0.0, utc: bool = False) -> str:
    """The local time of day, such as `14:03:22`. For times within `span` seconds, the date is added or the
    seconds are left out, as needed to distinguish them."""
    form = "%m-%d %H:%M" if span > 86400 else "%H:%M" if span > 1200 else "%H:%M:%S"
    return _local(timestamp, form, timezone.utc if utc else None)


def moment(timestamp: float, *, utc: bool | None = None) -> str:
    """The local date and time: `2026-11-23 14:03:22`. If `utc` is False, the offset is added; if it is True,
    the time is in UTC: `2026-11-23 13:03:22Z`."""
    if utc is None:
        return _local(timestamp, "%Y-%m-%d %H:%M:%S", None)
    shown = date(timestamp) if utc else _here(timestamp)
    # The time is before the calendar begins.
    return "the year 1" if shown == "-" else shown


def _here(timestamp: float) -> str:
    try:
        whole = datetime.fromtimestamp(timestamp).astimezone().isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return date(timestamp)
    return f"{whole[:10]} {whole[11:19]} UTC{whole[19:]}"


def _local(timestamp: float, form: str, zone: timezone | None) -> str:
    try:
        return datetime.fromtimestamp(timestamp, zone).strftime(form)
    except (ValueError, OverflowError, OSError):
        return "-"
