"""Waiting until a queue is empty or jobs have ended, for as long as that can still come."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from asyncmq_cli.errors import AdminError, RedisProblem, WaitFailed, WaitTimeout, command_line
from asyncmq_cli.models.waits import Standing, WaitReport
from asyncmq_cli.services.jobs.lookup import require_queue
from asyncmq_cli.services.monitoring.wait_goals import Goal, JobsGoal, Look, QueueGoal

if TYPE_CHECKING:
    from asyncmq_cli.models.waits import Standing
    from asyncmq_cli.services.monitoring.wait_goals import Look
    from asyncmq_cli.storage.store import Store


SETTLE = 1.0
"""Seconds between two looks at an empty queue: many times what a worker takes to enqueue the children
of a job that has ended."""
_LEAST_PATIENCE = 0.5
"""Seconds that Redis has to answer in any case: with `--timeout 0` it is looked at once, too."""

T = TypeVar("T")
Watch = Callable[["Standing"], None]


@dataclass(frozen=True, slots=True)
class WaitOptions:
    """How to wait: seconds at most (None: for ever), seconds between two looks, and whether to go on
    where it cannot succeed as things are."""

    timeout: float | None = None
    interval: float = 1.0
    keep_waiting: bool = False


class WaitService:
    """Each wait ends with a report, whether it succeeded or not."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def queue(self, queue: str, goal: str, terms: WaitOptions, watch: Watch) -> WaitReport:
        """Wait until a queue is `drained` or `active-empty`. Raises QueueNotFound, and RedisProblem
        where Redis goes away, unless told to keep waiting: then WaitTimeout, once the time is over.
        `watch` is told of every look."""

        def wanted() -> Goal:
            require_queue(self._store, queue)
            return QueueGoal(self._store, queue, active_only=goal == "active-empty")

        return _Wait(self._store, queue, goal, terms).until(wanted, watch)

    def jobs(self, queue: str, job_ids: Sequence[str], terms: WaitOptions, watch: Watch) -> WaitReport:
        """Wait until these jobs have ended, or until one has that did not complete. As `queue`, and
        raises JobNotFound for a single one that is not there."""

        def wanted() -> Goal:
            require_queue(self._store, queue)
            return JobsGoal(self._store, queue, job_ids)

        return _Wait(self._store, queue, "job", terms, len(dict.fromkeys(job_ids))).until(wanted, watch)


class _Wait:
    def __init__(self, store: Store, queue: str, goal: str, terms: WaitOptions, total: int = 0) -> None:
        self._store = store
        self._queue = queue
        self._goal = goal
        self._terms = terms
        self._progress = Progress(total)
        self._patience = store.config.timeout
        self._started = self._last_heartbeat = time.monotonic()
        self._told_of_trouble = False

    def until(self, wanted: Callable[[], Goal], watch: Watch) -> WaitReport:
        goal: Goal | None = None
        empty = 0
        while True:
            goal = goal or self._asked(wanted)
            look = None if goal is None else self._asked(goal.look)
            if goal is not None and look is not None:
                standing = self._progress.standing(look, time.monotonic())
                watch(standing)
                empty = 0 if look.left else empty + 1
                error = self._failure(goal, look)
                if empty >= goal.looks or error is not None:
                    return self._report(goal, standing, error)
            time.sleep(SETTLE if empty else self._pause())

    def _asked(self, read: Callable[[], T]) -> T | None:
        """What Redis tells, for which it has no more time than is left. None where it is away and to
        be waited for."""
        try:
            with self._redis_in_time():
                return read()
        except RedisProblem as exc:
            if not self._terms.keep_waiting or not exc.is_away:
                raise
            if self._remaining() <= 0:
                raise self._unanswered() from exc
            if not self._told_of_trouble:
                self._store.warn(f"{exc.message}; trying again")
            self._told_of_trouble = True
            return None

    @contextmanager
    def _redis_in_time(self) -> Iterator[None]:
        allowed, left = self._patience, self._remaining()
        if left < allowed:
            # In steps, for with each the connection is opened anew.
            allowed = min(allowed, max(1, left // _LEAST_PATIENCE) * _LEAST_PATIENCE)
        self._store.answer_within(allowed)
        try:
            with self._store.errors():
                yield
        except RedisProblem as exc:
            if exc.code == "redis_timeout":
                longer = "asyncmq --timeout N wait … gives it longer, or "
                exc.hint = f"{longer if allowed == self._patience else ''}find out what holds the server up"
            raise

    def _failure(self, goal: Goal, look: Look) -> AdminError | None:
        """The reason to give up now, or None."""
        if look.is_lost:
            return _vanished(self._queue)
        if not look.left:
            return None
        if not self._terms.keep_waiting:
            with self._redis_in_time():
                hopeless = _unsuccessful(self._queue, goal) or self._obstacle(look)
            if hopeless is not None:
                return hopeless
        return self._late(look.left) if self._remaining() <= 0 else None

    def _obstacle(self, look: Look) -> WaitFailed | None:
        """What keeps the jobs from being taken or ended."""
        now = self._store.now()
        workers = self._store.workers.in_queue(self._queue)
        ages = [worker.age_seconds or 0.0 for worker in workers if worker.is_live]
        if self._is_held(look, len(ages), now):
            return _paused(self._queue)
        ttl = max([self._store.config.heartbeat_ttl, *(worker.ttl for worker in workers)])
        return _unattended(self._queue, ttl) if self._silence(ages) > ttl else None

    def _unanswered(self) -> WaitTimeout:
        return WaitTimeout(
            f"Redis did not answer when the {self._terms.timeout:g} s were over: "
            f"how {self._queue!r} stands is not known",
            details={"queue": self._queue, "left": None},
        )

    def _late(self, left: int) -> WaitTimeout:
        jobs = "1 job" if left == 1 else f"{left:,} jobs"
        still = {"active-empty": "still active", "job": "yet to end"}.get(self._goal, "left")
        return WaitTimeout(
            f"{jobs} {still} in {self._queue!r} after {self._terms.timeout:g} s",
            details={"queue": self._queue, "left": left},
        )

    def _silence(self, ages: Sequence[float]) -> float:
        """Seconds, of those waited here, since the last heartbeat of a worker."""
        moment = time.monotonic()
        self._last_heartbeat = max([self._last_heartbeat, *(moment - age for age in ages)])
        return moment - self._last_heartbeat

    def _is_held(self, look: Look, workers: int, now: float) -> bool:
        """Whether a pause keeps one of the jobs from being taken.

        A worker that is full has looked for the pause before it is free again, and takes one more
        then. Source: `process_job` in asyncmq.workers.
        """
        if not look.untaken or not self._store.queues.is_paused(self._queue):
            return False
        return look.untaken > workers or not self._store.queues.backlog(self._queue, now).active

    def _remaining(self) -> float:
        if self._terms.timeout is None:
            return float("inf")
        return self._started + self._terms.timeout - time.monotonic()

    def _pause(self) -> float:
        return max(0.0, min(self._terms.interval, self._remaining()))

    def _report(self, goal: Goal, standing: Standing, error: AdminError | None) -> WaitReport:
        jobs = goal.jobs if isinstance(goal, JobsGoal) else []
        error = error or _unsuccessful(self._queue, goal)
        return WaitReport(
            queue=self._queue,
            goal=self._goal,
            outcome="done" if error is None else error.code,
            waited_seconds=time.monotonic() - self._started,
            standing=standing,
            jobs=jobs,
            error=error,
        )


def _paused(queue: str) -> WaitFailed:
    return WaitFailed(
        "queue_paused",
        f"queue {queue!r} is paused, so nothing is taken from it",
        hint=f"{command_line('queues', 'resume', queue)} resumes it; --keep-waiting waits all the same",
        details={"queue": queue},
    )


def _vanished(queue: str) -> WaitFailed:
    return WaitFailed(
        "queue_vanished",
        f"queue {queue!r} was lost while it was waited for: its data is gone from Redis, or was begun anew",
        hint="Redis may have been restarted without its data, or flushed; the fate of the jobs is unknown",
        details={"queue": queue},
    )


def _unattended(queue: str, ttl: float) -> WaitFailed:
    return WaitFailed(
        "no_live_worker",
        f"queue {queue!r} has had no live worker for {ttl:g} s",
        hint="start one; --keep-waiting waits all the same",
        details={"queue": queue},
    )


def _unsuccessful(queue: str, goal: Goal) -> WaitFailed | None:
    if not isinstance(goal, JobsGoal) or not goal.unsuccessful:
        return None
    bad = goal.unsuccessful
    named = ", ".join(f"{job_id} ({state})" for job_id, state in bad[:5])
    more = f" and {len(bad) - 5:,} more" if len(bad) > 5 else ""
    return WaitFailed(
        "jobs_failed",
        f"{len(bad):,} of {len(goal.jobs):,} jobs in {queue!r} did not complete: {named}{more}",
        hint=f"{command_line('jobs', 'show', queue, bad[0][0])} shows why",
        details={"queue": queue, "jobs": dict(bad[:100])},
    )


_RATE_OVER = 30.0
"""Seconds over which the rate is taken."""


class Progress:
    """From looks to a standing: how many there have been at most, and how fast they become fewer."""

    def __init__(self, total: int = 0) -> None:
        self._total = total
        self._looks: deque[tuple[float, int]] = deque()

    def standing(self, look: Look, moment: float) -> Standing:
        """Where it stands at this look; `moment` is seconds on a clock that is never set."""
        self._total = max(self._total, look.left)
        self._looks.append((moment, look.left))
        while moment - self._looks[0][0] > _RATE_OVER:
            self._looks.popleft()
        since, before = self._looks[0]
        fewer = before - look.left
        rate = fewer / (moment - since) if fewer > 0 and moment > since else None
        return Standing(
            left=look.left,
            total=self._total,
            waiting=look.waiting,
            delayed_due=look.delayed_due,
            active=look.active,
            rate=rate,
            seconds_left=None if rate is None else look.left / rate,
        )
