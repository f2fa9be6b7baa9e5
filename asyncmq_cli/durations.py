"""Durations as people type them: `500ms`, `90s`, `5m`, `2h`, `7d`, `1h30m`, or plain seconds."""

from __future__ import annotations

import re

from asyncmq_cli.errors import UsageProblem

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|[smhdw])")
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
