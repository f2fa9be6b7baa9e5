"""The goals of `wait`: what must be reached, how many jobs are left, and at which rate."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from asyncmq_cli.errors import JobNotFound
from asyncmq_cli.models.monitoring.waits import Standing, StateChange
from asyncmq_cli.models.values import ENDED_STATES, chunked

if TYPE_CHECKING:
    from asyncmq_cli.models.jobs import Job
    from asyncmq_cli.storage.store import Store


VANISHED = "vanished"
UNKNOWN = "unknown"
"""The state of a job that never existed."""
_FINAL_STATES = (*ENDED_STATES, VANISHED, UNKNOWN)

_JOBS_A_ROUND_TRIP = 1000

Changed = Callable[[Sequence[StateChange]], None]


class GoalReading(Struct, frozen=True):
    """What one read found: `left` jobs must still end, and no worker has taken `untaken` of them yet.
    `is_lost` says that the queue has disappeared."""

    left: int
    untaken: int
    waiting: int | None = None
    delayed_due: int | None = None
    active: int | None = None
    is_lost: bool = False


class Goal(Protocol):
    """A condition to wait for."""

    reads_needed: int
    """The number of consecutive reads that must find no job left."""

    def read(self) -> GoalReading:
        """Read the current counts. Raises WrongType."""


class QueueGoal:
    """The goal that no job is waiting, due or active; with `active_only`, that no job is active.

    The counts are the sizes of places. AsyncMQ enqueues the children of a job just after the job has ended,
    so an empty queue is read twice.
    """

    reads_needed = 2

    def __init__(self, store: Store, queue: str, *, active_only: bool) -> None:
        self._store = store
        self._queue = queue
        self._active_only = active_only
        self._identity = store.queues.identity(queue)

    def read(self) -> GoalReading:
        backlog = self._store.queues.backlog(self._queue, self._store.now())
        ahead = backlog.waiting + backlog.due
        # Read this after the sizes, to distinguish a deleted queue from an empty one.
        before, self._identity = self._identity, self._store.queues.identity(self._queue)
        return GoalReading(
            left=backlog.active if self._active_only else ahead + backlog.active,
            untaken=0 if self._active_only else ahead,
            waiting=backlog.waiting,
            delayed_due=backlog.due,
            active=backlog.active,
            is_lost=before.is_gone_in(self._identity),
        )


class JobsGoal:
    """The goal that each of these jobs has ended or is gone."""

    reads_needed = 1

    def __init__(
        self, store: Store, queue: str, job_ids: Sequence[str], changed: Changed | None = None
    ) -> None:
        """`changed` is called with the changes that later reads find. Raises JobNotFound if only one job is
        named and it does not exist."""
        self._store = store
        self._queue = queue
        self._states = dict.fromkeys(job_ids, "")
        self._changed: Changed | None = None
        self.read()
        self._changed = changed
        for job_id, state in self.jobs:
            if state == VANISHED:
                if len(self._states) == 1:
                    raise JobNotFound(queue, job_id)
                self._states[job_id] = UNKNOWN

    @property
    def jobs(self) -> list[tuple[str, str]]:
        """Each job's id and its last state."""
        return list(self._states.items())

    @property
    def unsuccessful(self) -> list[tuple[str, str]]:
        """The id and state of each job that ended without completing."""
        return [
            (job_id, state) for job_id, state in self.jobs if state in _FINAL_STATES and state != "completed"
        ]

    def read(self) -> GoalReading:
        for piece in chunked(self._pending, _JOBS_A_ROUND_TRIP):
            before = {job_id: self._states[job_id] for job_id in piece}
            found = dict(zip(piece, self._store.jobs.states(self._queue, piece), strict=True))
            self._states |= {job_id: state for job_id, state in found.items() if state is not None}
            unknown = [job_id for job_id, state in found.items() if state is None]
            # They wait for parents, are only in a sorted set, or are gone.
            for job_id, job in zip(unknown, located(self._store, self._queue, unknown), strict=True):
                self._states[job_id] = VANISHED if job is None else job.status
            self._tell({job_id: state for job_id, state in before.items() if self._states[job_id] != state})
        pending = self._pending
        return GoalReading(len(pending), sum(1 for job_id in pending if self._states[job_id] != "active"))

    @property
    def _pending(self) -> list[str]:
        return [job_id for job_id, state in self._states.items() if state not in _FINAL_STATES]

    def _tell(self, before: Mapping[str, str]) -> None:
        """Call `changed` for the jobs whose state differs from the one in `before`."""
        if self._changed is None or not before:
            return
        now = self._store.now()
        jobs = self._store.jobs.load(self._queue, list(before))
        self._changed(
            [
                StateChange(self._queue, job_id, self._states[job_id], state, now, job)
                for (job_id, state), job in zip(before.items(), jobs, strict=True)
            ]
        )


def located(store: Store, queue: str, job_ids: Sequence[str]) -> Iterator[Job | None]:
    """Each of these jobs. One without a record and a state may be in a sorted set, where old versions of
    AsyncMQ left it. None for a job that is gone."""
    for job_id, job in zip(job_ids, store.jobs.load(queue, job_ids), strict=True):
        if job is None:
            location = store.locate(queue, [job_id])[0]
            job = location.job if location.exists else None
        yield job


_RATE_OVER = 30.0
"""Seconds over which the rate is computed."""


class Progress:
    """Computes the progress from readings: the highest number of jobs so far, and how fast the number
    decreases."""

    def __init__(self, total: int = 0) -> None:
        self._total = total
        self._readings: deque[tuple[float, int]] = deque()

    def standing(self, reading: GoalReading, moment: float) -> Standing:
        """The progress at this reading. `moment` is monotonic time in seconds."""
        self._total = max(self._total, reading.left)
        self._readings.append((moment, reading.left))
        while moment - self._readings[0][0] > _RATE_OVER:
            self._readings.popleft()
        since, before = self._readings[0]
        fewer = before - reading.left
        rate = fewer / (moment - since) if fewer > 0 and moment > since else None
        return Standing(
            left=reading.left,
            total=self._total,
            waiting=reading.waiting,
            delayed_due=reading.delayed_due,
            active=reading.active,
            rate=rate,
            seconds_left=None if rate is None else reading.left / rate,
        )
