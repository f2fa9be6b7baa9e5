"""Wait until a queue is empty or jobs have ended, and give up when that can no longer happen; or follow jobs
until they have ended, and report each change of their states."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct

from asyncmq_cli.errors import AdminError, JobNotFound, RedisProblem, WaitFailed, WaitTimeout, command_line
from asyncmq_cli.models.monitoring.waits import Standing, StateChange, WaitReport
from asyncmq_cli.models.values import ENDED_STATES, chunked, counted, few
from asyncmq_cli.services.jobs.lookup import require_queue
from asyncmq_cli.services.monitoring.goals import (
    VANISHED,
    Changed,
    Goal,
    GoalReading,
    JobsGoal,
    Progress,
    QueueGoal,
    located,
)

if TYPE_CHECKING:
    from asyncmq_cli.storage.store import Store


SETTLE = 1.0
"""Seconds between the two reads of an empty queue: much longer than a worker needs to enqueue the children of
a job that has ended."""
_MIN_TIMEOUT = 0.5
"""Seconds that Redis always has for a reply, so that `--timeout 0` can read once too."""

_DETAILED = 100
"""At most this many jobs that did not complete are named in the details."""

T = TypeVar("T")
Watch = Callable[["Standing"], None]


class WaitOptions(Struct, frozen=True):
    """`timeout` is seconds, or None for no limit; `interval` is the seconds between two reads. With
    `keep_waiting`, the wait continues even while it cannot succeed."""

    timeout: float | None = None
    interval: float = 1.0
    keep_waiting: bool = False


class WaitService:
    """Waits for a queue or for jobs, and follows jobs."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def queue(self, queue: str, goal: str, options: WaitOptions, watch: Watch) -> WaitReport:
        """Wait until a queue is `drained` or `active-empty`. `watch` is called with the progress after every
        read.

        Raises QueueNotFound. If Redis goes away, raises RedisProblem; with `keep_waiting`, WaitTimeout once
        the wait has timed out."""

        def wanted() -> Goal:
            require_queue(self._store, queue)
            return QueueGoal(self._store, queue, active_only=goal == "active-empty")

        return _Wait(self._store, queue, goal, options).until(wanted, watch)

    def jobs(
        self,
        queue: str,
        job_ids: Sequence[str],
        options: WaitOptions,
        watch: Watch,
        changed: Changed | None = None,
    ) -> WaitReport:
        """Wait until all jobs have ended, or one has ended without completing. `changed` is called with each
        change of a state. Raises the errors of `queue`, and JobNotFound if a single job is named and does not
        exist."""

        def wanted() -> Goal:
            require_queue(self._store, queue)
            return JobsGoal(self._store, queue, job_ids, changed)

        return _Wait(self._store, queue, "job", options, len(dict.fromkeys(job_ids))).until(wanted, watch)

    def follow(
        self,
        by_queue: Mapping[str, Sequence[str]],
        *,
        interval: float,
        timeout: float | None,
        rest: Callable[[float], None],
    ) -> Iterator[StateChange]:
        """Yield the state of each job, then each change, until all jobs have ended. `interval` and `timeout`
        are seconds; `rest` sleeps. Raises JobNotFound, WaitTimeout, or at the end WaitFailed if a job did not
        complete.

        Each round reads their entries in the states hash, and then the jobs whose entry changed.
        """
        until = float("inf") if timeout is None else time.monotonic() + timeout
        seen: dict[tuple[str, str], _Seen] = {}
        while True:
            for queue, job_ids in by_queue.items():
                yield from self._round(queue, job_ids, seen)
            left = [target for target, one in seen.items() if not _has_ended(one.status)]
            if not left:
                break
            if time.monotonic() >= until:
                jobs = "1 job has" if len(left) == 1 else f"{len(left):,} jobs have"
                raise WaitTimeout(f"{jobs} not ended after {timeout:g} s", details={"left": len(left)})
            rest(max(0.0, min(interval, until - time.monotonic())))
        failed = [(target, one.status) for target, one in seen.items() if one.status != "completed"]
        if failed:
            raise _not_completed(failed, len(seen))

    def _round(
        self, queue: str, job_ids: Sequence[str], seen: dict[tuple[str, str], _Seen]
    ) -> Iterator[StateChange]:
        open_ = [
            one for one in job_ids if (queue, one) not in seen or not _has_ended(seen[queue, one].status)
        ]
        for piece in chunked(open_):
            entries = self._store.jobs.states(queue, piece)
            changed = {
                job_id: entry
                for job_id, entry in zip(piece, entries, strict=True)
                # If the job has no entry, its state is found from the record or the places.
                if entry is None or (queue, job_id) not in seen or seen[queue, job_id].entry != entry
            }
            if not changed:
                continue
            now = self._store.now()
            jobs = located(self._store, queue, list(changed))
            for job_id, job in zip(changed, jobs, strict=True):
                before = seen.get((queue, job_id))
                if job is None and before is None:
                    raise JobNotFound(queue, job_id)
                status = VANISHED if job is None else job.status
                seen[queue, job_id] = _Seen(changed[job_id], status)
                if before is None or before.status != status:
                    yield StateChange(
                        queue, job_id, status, None if before is None else before.status, now, job
                    )


class _Seen(Struct):
    """What was last read of a job: its entry in the states hash, and its state by the place that it is in."""

    entry: str | None
    status: str


class _Wait:
    def __init__(self, store: Store, queue: str, goal: str, options: WaitOptions, total: int = 0) -> None:
        self._store = store
        self._queue = queue
        self._goal = goal
        self._options = options
        self._progress = Progress(total)
        self._timeout = store.config.timeout
        self._started = self._last_heartbeat = time.monotonic()
        self._has_warned = False

    def until(self, wanted: Callable[[], Goal], watch: Watch) -> WaitReport:
        goal: Goal | None = None
        empty = 0
        while True:
            goal = goal or self._retried(wanted)
            reading = None if goal is None else self._retried(goal.read)
            if goal is not None and reading is not None:
                standing = self._progress.standing(reading, time.monotonic())
                watch(standing)
                empty = 0 if reading.left else empty + 1
                error = self._failure(goal, reading)
                if empty >= goal.reads_needed or error is not None:
                    return self._report(goal, standing, error)
            time.sleep(SETTLE if empty else self._pause())

    def _retried(self, read: Callable[[], T]) -> T | None:
        """Call `read` within the remaining time. Returns None if Redis is unreachable and the wait
        continues."""
        try:
            with self._redis_in_time():
                return read()
        except RedisProblem as exc:
            if not self._options.keep_waiting or not exc.is_away:
                raise
            if self._remaining() <= 0:
                raise self._unanswered() from exc
            if not self._has_warned:
                self._store.warn(f"{exc.message}; trying again")
            self._has_warned = True
            return None

    @contextmanager
    def _redis_in_time(self) -> Iterator[None]:
        allowed, left = self._timeout, self._remaining()
        if left < allowed:
            # Round it to steps, because each change of the timeout opens a new connection.
            allowed = min(allowed, max(1, left // _MIN_TIMEOUT) * _MIN_TIMEOUT)
        self._store.answer_within(allowed)
        try:
            with self._store.errors():
                yield
        except RedisProblem as exc:
            if exc.code == "redis_timeout":
                longer = "asyncmq --timeout N wait … gives it longer, or "
                exc.hint = f"{longer if allowed == self._timeout else ''}find out what blocks the server"
            raise

    def _failure(self, goal: Goal, reading: GoalReading) -> AdminError | None:
        """The reason to give up now, or None."""
        if reading.is_lost:
            return _vanished(self._queue)
        if not reading.left:
            return None
        if not self._options.keep_waiting:
            with self._redis_in_time():
                hopeless = _unsuccessful(self._queue, goal) or self._obstacle(reading)
            if hopeless is not None:
                return hopeless
        return self._late(reading.left) if self._remaining() <= 0 else None

    def _obstacle(self, reading: GoalReading) -> WaitFailed | None:
        """The reason why no job can be taken, or none can end; or None."""
        now = self._store.now()
        workers = self._store.workers.in_queue(self._queue)
        ages = [worker.age_seconds or 0.0 for worker in workers if worker.is_live]
        if self._is_blocked_by_pause(reading, len(ages), now):
            return _paused(self._queue)
        ttl = max([self._store.config.heartbeat_ttl, *(worker.ttl for worker in workers)])
        return _unattended(self._queue, ttl) if self._silence(ages) > ttl else None

    def _unanswered(self) -> WaitTimeout:
        return WaitTimeout(
            f"timed out after {self._options.timeout:g} s without an answer from Redis: "
            f"the state of {self._queue!r} is not known",
            details={"queue": self._queue, "left": None},
        )

    def _late(self, left: int) -> WaitTimeout:
        jobs = counted(left, "job")
        still = {"active-empty": "still active", "job": "yet to end"}.get(self._goal, "left")
        return WaitTimeout(
            f"{jobs} {still} in {self._queue!r} after {self._options.timeout:g} s",
            details={"queue": self._queue, "left": left},
        )

    def _silence(self, ages: Sequence[float]) -> float:
        """Seconds since the last heartbeat of any worker, but not more than since the start of the wait."""
        moment = time.monotonic()
        self._last_heartbeat = max([self._last_heartbeat, *(moment - age for age in ages)])
        return moment - self._last_heartbeat

    def _is_blocked_by_pause(self, reading: GoalReading, workers: int, now: float) -> bool:
        """Whether a pause keeps workers from taking one of the jobs.

        A busy worker may have checked for a pause before it became free, and then still takes one more job.
        Source: `process_job` in asyncmq.workers."""
        if not reading.untaken or not self._store.queues.is_paused(self._queue):
            return False
        return reading.untaken > workers or not self._store.queues.backlog(self._queue, now).active

    def _remaining(self) -> float:
        if self._options.timeout is None:
            return float("inf")
        return self._started + self._options.timeout - time.monotonic()

    def _pause(self) -> float:
        return max(0.0, min(self._options.interval, self._remaining()))

    def _doubt(self) -> RedisProblem | None:
        """The error where a replica says that nothing is left, but its data may be outdated."""
        if self._store.doubt is None:
            return None
        message = f"{self._store.doubt}, so it is not known whether the wait is over"
        return RedisProblem("redis_outdated", message, hint="wait on the primary")

    def _report(self, goal: Goal, standing: Standing, error: AdminError | None) -> WaitReport:
        jobs = goal.jobs if isinstance(goal, JobsGoal) else []
        error = error or _unsuccessful(self._queue, goal) or self._doubt()
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
        f"queue {queue!r} is paused, so no worker takes jobs from it",
        hint=f"{command_line('queues', 'resume', queue)} resumes it; --keep-waiting waits anyway",
        details={"queue": queue},
    )


def _vanished(queue: str) -> WaitFailed:
    return WaitFailed(
        "queue_vanished",
        f"queue {queue!r} disappeared during the wait: its data was deleted from Redis, or created again",
        hint="Redis may have been flushed, or restarted without its data; what became of the jobs is unknown",
        details={"queue": queue},
    )


def _unattended(queue: str, ttl: float) -> WaitFailed:
    return WaitFailed(
        "no_live_worker",
        f"queue {queue!r} has had no live worker for {ttl:g} s",
        hint="start one; --keep-waiting waits anyway",
        details={"queue": queue},
    )


def _why_not_completed(queue: str, bad: Sequence[tuple[str, str]]) -> str:
    """The hint that says which command shows why these jobs, given by id and state, did not complete. For a
    job that no longer exists, only the audit trail can show it."""
    for job_id, state in bad:
        if state != VANISHED:
            return f"{command_line('jobs', 'show', queue, job_id)} shows why"
    trail = command_line("audit", "list", "--queue", queue)
    return f"{trail} shows what was removed; Redis may have been flushed"


def _named(bad: Sequence[tuple[str, str]]) -> str:
    """A few of these jobs, given by id and state."""
    return few([f"{job_id} ({state})" for job_id, state in bad])


def _unsuccessful(queue: str, goal: Goal) -> WaitFailed | None:
    if not isinstance(goal, JobsGoal) or not goal.unsuccessful:
        return None
    bad = goal.unsuccessful
    return WaitFailed(
        "jobs_failed",
        f"{len(bad):,} of {len(goal.jobs):,} jobs in {queue!r} did not complete: {_named(bad)}",
        hint=_why_not_completed(queue, bad),
        details={"queue": queue, "jobs": dict(bad[:_DETAILED])},
    )


def _has_ended(status: str) -> bool:
    return status in (*ENDED_STATES, VANISHED)


def _not_completed(failed: Sequence[tuple[tuple[str, str], str]], total: int) -> WaitFailed:
    (queue, _), _ = failed[0]
    here = [(job_id, status) for (name, job_id), status in failed if name == queue]
    bad = [(job_id, status) for (_, job_id), status in failed]
    return WaitFailed(
        "jobs_failed",
        f"{len(failed):,} of {total:,} jobs did not complete: {_named(bad)}",
        hint=_why_not_completed(queue, here),
        details={"jobs": dict(bad[:_DETAILED])},
    )
