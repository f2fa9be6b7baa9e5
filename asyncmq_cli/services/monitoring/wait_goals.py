"""What can be waited for, and one cheap look at how far it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from asyncmq_cli.errors import JobNotFound
from asyncmq_cli.models.values import ENDED_STATES
from asyncmq_cli.storage.read.scan import chunked

if TYPE_CHECKING:
    from asyncmq_cli.storage.store import Store

VANISHED = "vanished"
UNKNOWN = "unknown"
"""Of a job of which there was nothing from the start."""
_OVER = (*ENDED_STATES, VANISHED, UNKNOWN)

_PIECE = 1000


@dataclass(frozen=True, slots=True)
class Look:
    """`left` jobs are in the way; a worker has yet to take `untaken` of them. `is_lost`: the queue that was
    waited for is no longer there."""

    left: int
    untaken: int
    waiting: int | None = None
    delayed_due: int | None = None
    active: int | None = None
    is_lost: bool = False


class Goal(Protocol):
    """Something that can be waited for."""

    looks: int
    """How many looks in a row must find nothing left."""

    def look(self) -> Look:
        """How far it is now. Raises WrongType."""


class QueueGoal:
    """Nothing waiting, delayed and due, or active; or, with `active_only`, nothing active.

    Each count is the size of a place; active is what a worker has claimed. AsyncMQ enqueues the jobs that
    waited for a parent just after the parent has ended, so an empty queue is looked at twice.
    """

    looks = 2

    def __init__(self, store: Store, queue: str, *, active_only: bool) -> None:
        self._store = store
        self._queue = queue
        self._active_only = active_only
        self._traces = store.queues.traces(queue)

    def look(self) -> Look:
        backlog = self._store.queues.backlog(self._queue, self._store.now())
        ahead = backlog.waiting + backlog.due
        # After the sizes: a queue that is gone by then is not one that has become empty.
        before, self._traces = self._traces, self._store.queues.traces(self._queue)
        return Look(
            left=backlog.active if self._active_only else ahead + backlog.active,
            untaken=0 if self._active_only else ahead,
            waiting=backlog.waiting,
            delayed_due=backlog.due,
            active=backlog.active,
            is_lost=before.are_lost_in(self._traces),
        )


class JobsGoal:
    """Each of these jobs has completed, failed, expired or been cancelled, or is gone."""

    looks = 1

    def __init__(self, store: Store, queue: str, job_ids: Sequence[str]) -> None:
        """Raises JobNotFound where one job alone is named, and there is nothing of it."""
        self._store = store
        self._queue = queue
        self._states = dict.fromkeys(job_ids, "")
        self.look()
        for job_id, state in self.jobs:
            if state == VANISHED:
                if len(self._states) == 1:
                    raise JobNotFound(queue, job_id)
                self._states[job_id] = UNKNOWN

    @property
    def jobs(self) -> list[tuple[str, str]]:
        """Each with its last state."""
        return list(self._states.items())

    @property
    def unsuccessful(self) -> list[tuple[str, str]]:
        """Those that have ended in another way than by completing."""
        return [(job_id, state) for job_id, state in self.jobs if state in _OVER and state != "completed"]

    def look(self) -> Look:
        for piece in chunked(self._pending, _PIECE):
            states = self._store.jobs.states(self._queue, piece)
            self._states.update(
                (job_id, state) for job_id, state in zip(piece, states, strict=True) if state is not None
            )
            self._look_closer([job_id for job_id, state in zip(piece, states, strict=True) if state is None])
        pending = self._pending
        return Look(len(pending), sum(1 for job_id in pending if self._states[job_id] != "active"))

    @property
    def _pending(self) -> list[str]:
        return [job_id for job_id, state in self._states.items() if state not in _OVER]

    def _look_closer(self, job_ids: list[str]) -> None:
        """Jobs that the states hash does not know: they wait for parents, lie in a sorted set alone,
        as old versions of AsyncMQ left them, or are gone."""
        if not job_ids:
            return
        for job_id, job in zip(job_ids, self._store.jobs.load(self._queue, job_ids), strict=True):
            if job is None:
                location = self._store.locate(self._queue, [job_id])[0]
                self._states[job_id] = location.job.status if location.exists else VANISHED
            else:
                self._states[job_id] = job.status
