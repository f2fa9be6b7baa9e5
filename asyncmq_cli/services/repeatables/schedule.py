"""When a repeatable runs. Source: `compute_next_run` in asyncmq.schedulers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

from asyncmq_cli.models.values import as_number
from asyncmq_cli.models.workers import slowest

if TYPE_CHECKING:
    from asyncmq_cli.storage.read.repeatables import Member
    from asyncmq_cli.storage.store import Store

# The year 9999 ends here; no calendar in use shows a later time.
_END_OF_CALENDAR = 253_402_300_800.0
_OVERDUE_AFTER = 60.0
"""Seconds."""

_FIELDS = 5
_CRON_HINT = "in UTC: minute, hour, day, month and day of the week, such as '0 7 * * mon-fri'"


class InvalidSchedule(ValueError):
    """A schedule by which nothing would ever run; the message says why, and the hint how one looks."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


def next_runs(definition: Mapping[str, Any], now: float, count: int = 5) -> list[float]:
    """The next runs after `now`, epoch seconds: `count`, or fewer where the schedule ends.

    Cron expressions are read in UTC, as by AsyncMQ. Raises InvalidSchedule where there is none.
    """
    if "cron" in definition:
        runs = list(islice(_by_cron(definition["cron"], now), count))
        wanted = f"{definition['cron']!r} never comes"
    elif "every" in definition:
        runs = list(islice(_by_interval(definition["every"], now), count))
        wanted = f"the interval {definition['every']!r} is too long"
    else:
        raise InvalidSchedule("it has neither an interval nor a cron expression")
    if not runs:
        raise InvalidSchedule(wanted)
    return runs


class SchedulerClock:
    """The time by the clock of a queue's slowest worker, which may be the one that schedules.

    `now` is the server's time. The workers are read only once something is late by the server's.
    """

    def __init__(self, store: Store, queue: str, now: float) -> None:
        self._store = store
        self._queue = queue
        self._now = now

    def is_overdue(self, member: Member) -> bool:
        """Readable, not paused, and late by over a minute. Raises WrongType."""
        if not member.id or member.paused or member.score >= self._now - _OVERDUE_AFTER:
            return False
        return member.score < self._slowest - _OVERDUE_AFTER

    @cached_property
    def _slowest(self) -> float:
        return self._now + slowest(self._store.workers.in_queue(self._queue))


def _by_interval(every: Any, now: float) -> Iterator[float]:
    interval = as_number(every)
    if interval is None:
        raise InvalidSchedule(f"the interval {every!r} is not a number of seconds")
    run = now + interval
    while run < _END_OF_CALENDAR:
        yield run
        run += interval


def _by_cron(cron: Any, now: float) -> Iterator[float]:
    from croniter import CroniterBadDateError, CroniterError, croniter

    if not isinstance(cron, str):
        raise InvalidSchedule(f"{cron!r} is not a cron expression")
    try:
        moments = croniter(cron, now)
    except (CroniterError, ValueError, KeyError, TypeError, AttributeError, IndexError) as exc:
        # Of what has not so many fields as it should, the library's words say no more.
        why = f": {exc}" if len(cron.split()) == _FIELDS else ""
        raise InvalidSchedule(f"{cron!r} is not a cron expression{why}", _CRON_HINT) from exc
    try:
        while True:
            yield moments.get_next(float)
    except CroniterBadDateError:
        return
