"""Thresholds as people type them: `WARN`, `WARN:CRIT` or `:CRIT`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from asyncmq_cli.commands.durations import seconds
from asyncmq_cli.errors import UsageProblem
from asyncmq_cli.models.checks import Threshold

_NUMBER = re.compile(r"[0-9]{1,15}")


def count(text: str) -> float:
    """Raises UsageProblem for what is no whole number from 0."""
    if not _NUMBER.fullmatch(text.strip()):
        raise UsageProblem(f"{text!r} is not a whole number from 0")
    return int(text)


def duration(text: str) -> float:
    """Seconds. Raises UsageProblem."""
    span = seconds(text)
    if not math.isfinite(span):
        raise UsageProblem(f"{text!r} is too long")
    return span


def threshold(option: str, text: str, bound: Callable[[str], float], *, least: bool = False) -> Threshold:
    """`bound` reads one of the two. Raises UsageProblem."""
    warning, colon, critical = text.partition(":")
    try:
        made = Threshold(
            warning=bound(warning) if warning.strip() or not colon else None,
            critical=bound(critical) if colon else None,
            least=least,
        )
    except UsageProblem as exc:
        raise UsageProblem(f"{option}: {exc.message}", hint=exc.hint or _FORM) from exc
    if made.warning is not None and made.critical is not None:
        worse = made.warning - made.critical if least else made.critical - made.warning
        if worse < 0:
            wrong = "above" if least else "below"
            raise UsageProblem(f"{option}: the critical bound of {text!r} is {wrong} the warning", hint=_FORM)
    return made


_FORM = "WARN, WARN:CRIT or :CRIT"
