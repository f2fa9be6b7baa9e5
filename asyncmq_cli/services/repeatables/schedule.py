"""Compute when a repeatable runs. Source: `compute_next_run` in asyncmq.schedulers."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

from asyncmq_cli.models.values import END_OF_CALENDAR, as_number
from asyncmq_cli.models.workers import slowest

if TYPE_CHECKING:
    from asyncmq_cli.storage.read.repeatables import Member
    from asyncmq_cli.storage.store import Store

_OVERDUE_AFTER = 60.0
"""Seconds after its next run from which a definition counts as overdue."""

_FIELDS = 5
_PLAIN_CRON = re.compile(
    r"(\*|\*/([1-9]|[1-5]\d)|[1-5]?\d) (\*|\*/([1-9]|1\d|2[0-3])|1?\d|2[0-3]) \* \* (\*|[0-6]|mon-fri)"
)
"""A pattern of cron expressions that always have a later run. For these, a list need not import croniter,
which is slow."""
_CRON_HINT = "in UTC: minute, hour, day, month and day of the week, such as '0 7 * * mon-fri'"


class InvalidSchedule(ValueError):
    """A schedule that never runs. The message says why; the hint shows a valid schedule."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


def next_runs(definition: Mapping[str, Any], now: float, count: int = 5) -> list[float]:
    """The times of the next runs after `now`, in epoch seconds: `count`, or fewer if the schedule ends.

    Cron expressions are in UTC, as in AsyncMQ. Raises InvalidSchedule if there is no run.
    """
    runs = list(islice(runs_after(definition, now), count))
    if not runs and "cron" in definition:
        raise InvalidSchedule(f"{definition['cron']!r} never runs")
    if not runs:
        raise InvalidSchedule(f"the interval {definition['every']!r} is too long")
    return runs


def runs_after(definition: Mapping[str, Any], moment: float) -> Iterator[float]:
    """The times of the runs after `moment`, in epoch seconds; endless unless the schedule ends. Raises
    InvalidSchedule."""
    if "cron" in definition:
        return _by_cron(definition["cron"], moment)
    if "every" in definition:
        return _by_interval(definition["every"], moment)
    raise InvalidSchedule("it has neither an interval nor a cron expression")


def advances(definition: Mapping[str, Any], now: float) -> bool | None:
    """Whether AsyncMQ's scheduler moves the definition to a later run once it is due. None if the scheduler
    fails on it: then it enqueues the job at every turn, and never reaches the definitions after it."""
    given = {name: definition[name] for name in ("cron", "every") if definition.get(name) is not None}
    if isinstance(given.get("cron"), str) and _PLAIN_CRON.fullmatch(given["cron"]):
        return True
    if "cron" in given:
        try:
            return next(_by_cron(given["cron"], now), None) is not None or None
        except InvalidSchedule:
            return None
    try:
        interval = float(given["every"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    # Redis refuses NaN as a score.
    return None if math.isnan(interval) else interval > 0


class SchedulerClock:
    """Decides whether runs are overdue, by the slowest clock among the queue's workers, because any of them
    may be the scheduler.

    `now` is the server's time. Workers are read only if a run is late by that time.
    """

    def __init__(self, store: Store, queue: str, now: float) -> None:
        self._store = store
        self._queue = queue
        self._now = now
        self._advances: dict[str, bool | None] = {}

    def is_overdue(self, member: Member) -> bool:
        """Whether the definition is readable, not paused, and late by more than a minute. Raises
        WrongType."""
        if not member.id or member.paused or member.score >= self._now - _OVERDUE_AFTER:
            return False
        return member.score < self._slowest - _OVERDUE_AFTER

    def advances(self, definition: Mapping[str, Any]) -> bool | None:
        """The result of the function `advances`, which is called once for each schedule."""
        key = repr((definition.get("cron"), definition.get("every")))
        if key not in self._advances:
            self._advances[key] = advances(definition, self._now)
        return self._advances[key]

    @cached_property
    def _slowest(self) -> float:
        return self._now + slowest(self._store.workers.in_queue(self._queue))


def _by_interval(every: Any, now: float) -> Iterator[float]:
    interval = as_number(every)
    if interval is None:
        raise InvalidSchedule(f"the interval {every!r} is not a number of seconds")
    run = now + interval
    while run < END_OF_CALENDAR:
        yield run
        run += interval


def _by_cron(cron: Any, now: float) -> Iterator[float]:
    from croniter import CroniterBadDateError, CroniterError, croniter

    if not isinstance(cron, str):
        raise InvalidSchedule(f"{cron!r} is not a cron expression")
    try:
        moments = croniter(cron, now)
    except (CroniterError, ValueError, KeyError, TypeError, AttributeError, IndexError) as exc:
        # If the number of fields is wrong, the library's message adds nothing.
        why = f": {exc}" if len(cron.split()) == _FIELDS else ""
        raise InvalidSchedule(f"{cron!r} is not a cron expression{why}", _CRON_HINT) from exc
    try:
        while True:
            yield moments.get_next(float)
    except CroniterBadDateError:
        return
