"""Decide which changes in the results of `check` need a notice.

A problem counts once it has been found for some seconds, and is over once it has not been found for the same
time. While Redis is unreachable, nothing is known about the queues, so their problems stay as they were.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from msgspec.structs import replace

from asyncmq_cli.models.monitoring.checks import CHECK_STATES, Notice, Trouble

if TYPE_CHECKING:
    from asyncmq_cli.models.monitoring.checks import CheckReport, Probe

_Key = tuple[str, str | None]
OK = "ok"


class Hysteresis:
    """The problems that have lasted for `seconds` and have not been gone for `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._pending: dict[_Key, float] = {}
        self.troubles: dict[_Key, Trouble] = {}

    def update(self, found: Mapping[_Key, Trouble], now: float) -> None:
        """Add the result of a check: `found` are its problems, `now` is its monotonic time."""
        for key in {*found, *self.troubles, *self._pending}:
            trouble, held = found.get(key), self.troubles.get(key)
            if (trouble and trouble.state) == (held and held.state):
                self._pending.pop(key, None)
                if trouble is not None:
                    self.troubles[key] = trouble
            elif now - self._pending.setdefault(key, now) >= self._seconds:
                del self._pending[key]
                if trouble is None:
                    del self.troubles[key]
                else:
                    self.troubles[key] = trouble


class Notifier:
    """Makes a notice of each change, and makes it again until `delivered` is called. `said` returns the text
    of a probe."""

    def __init__(self, seconds: float, redis: str, incident: str, said: Callable[[Probe], str]) -> None:
        self._held = Hysteresis(seconds)
        self._redis = redis
        self._incident = incident
        self._said = said
        self._sent: dict[_Key, Trouble] = {}
        self._tried: dict[_Key, Trouble] = {}
        """Troubles in notices that may have arrived although delivery failed: their end must be sent too."""

    @property
    def states(self) -> dict[_Key, str]:
        """The present states of the problems that count."""
        return _states(self._held.troubles)

    def notice(self, report: CheckReport, now: float, wall_clock: float) -> Notice | None:
        """The notice to send after this check; None if nothing has changed. `now` is monotonic time,
        `wall_clock` epoch seconds."""
        found = {
            (probe.name, probe.queue): Trouble(probe.name, probe.queue, probe.state, self._said(probe))
            for probe in report.probes
            if probe.state != OK
        }
        if report.error is not None:
            found = {**self._held.troubles, **found}
        self._held.update(found, now)
        held = self._held.troubles
        known = {**self._sent, **self._tried}
        if not self._tried and self.states == _states(self._sent):
            return None
        return Notice(
            state=worst(held),
            previous=worst(self._sent),
            troubles=sorted(held.values(), key=_rank),
            over=[replace(known[key], state=OK) for key in known if key not in held],
            at=report.timestamp or wall_clock,
            redis=self._redis,
            incident=self._incident,
        )

    def delivered(self) -> None:
        """Note that the last notice has arrived."""
        self._sent = dict(self._held.troubles)
        self._tried = {}

    def not_delivered(self) -> None:
        """Note that delivery failed: the next check makes a notice of the state at that time."""
        self._tried.update(self._held.troubles)


def worst(troubles: Mapping[_Key, Trouble]) -> str:
    return max((trouble.state for trouble in troubles.values()), key=CHECK_STATES.index, default=OK)


def _states(troubles: Mapping[_Key, Trouble]) -> dict[_Key, str]:
    return {key: trouble.state for key, trouble in troubles.items()}


def _rank(trouble: Trouble) -> tuple[int, str, str]:
    return -CHECK_STATES.index(trouble.state), trouble.queue or "", trouble.probe
