"""Notices of `check --watch`: what is wrong, for somebody who is not looking."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

FORMATS = ("slack", "pagerduty", "json")


@dataclass(frozen=True, slots=True)
class Trouble:
    """One probe of one queue; `queue` is None for those of no queue. `state` is `warning`, `unknown` or
    `critical`, and `ok` of one that is over."""

    probe: str
    queue: str | None
    state: str
    message: str


@dataclass(frozen=True, slots=True)
class Notice:
    """A change. `state` is the worst of the `troubles` that there are now, `previous` that of the notice
    before; `over` are those that ended since. `at` is when the check was made, epoch seconds. `redis` is a
    URL without its password. `incident` names the check, and is the same for all of its notices."""

    state: str
    previous: str
    troubles: Sequence[Trouble]
    over: Sequence[Trouble]
    at: float
    redis: str
    incident: str
