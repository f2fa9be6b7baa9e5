"""Follow jobs until they have ended, and report each change of their states."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from asyncmq_cli.errors import JobNotFound, WaitFailed, WaitTimeout
from asyncmq_cli.models.monitoring.waits import StateChange
from asyncmq_cli.models.values import ENDED_STATES, chunked
from asyncmq_cli.services.monitoring.goals import VANISHED
from asyncmq_cli.services.monitoring.wait import why_not_completed

if TYPE_CHECKING:
    from asyncmq_cli.models.jobs import Job
    from asyncmq_cli.storage.store import Store

_NAMED = 5


class _Seen(Struct):
    """What was last read of a job: its entry in the states hash, and its state by the place that it is in."""

    entry: str | None
    status: str


class FollowService:
    """Follows jobs. Each round reads their entries in the states hash, and then the jobs whose entry
    changed."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def changes(
        self,
        by_queue: Mapping[str, Sequence[str]],
        *,
        interval: float,
        timeout: float | None,
        rest: Callable[[float], None],
    ) -> Iterator[StateChange]:
        """Yield the state of each job, then each change, until all jobs have ended. `interval` and `timeout`
        are seconds; `rest` sleeps. Raises JobNotFound, WaitTimeout, or at the end WaitFailed if a job did not
        complete."""
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
            raise _unsuccessful(failed, len(seen))

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
            for job_id, job in zip(changed, self._store.jobs.load(queue, list(changed)), strict=True):
                before = seen.get((queue, job_id))
                job = job or self._elsewhere(queue, job_id)
                if job is None and before is None:
                    raise JobNotFound(queue, job_id)
                status = VANISHED if job is None else job.status
                seen[queue, job_id] = _Seen(changed[job_id], status)
                if before is None or before.status != status:
                    yield StateChange(
                        queue, job_id, status, None if before is None else before.status, now, job
                    )

    def _elsewhere(self, queue: str, job_id: str) -> Job | None:
        """Find a job without a record, which may be a member of a sorted set; None if it is in none."""
        location = self._store.locate(queue, [job_id])[0]
        return location.job if location.exists else None


def _has_ended(status: str) -> bool:
    return status in (*ENDED_STATES, VANISHED)


def _unsuccessful(failed: Sequence[tuple[tuple[str, str], str]], total: int) -> WaitFailed:
    named = ", ".join(f"{job_id} ({status})" for (_, job_id), status in failed[:_NAMED])
    more = f" and {len(failed) - _NAMED:,} more" if len(failed) > _NAMED else ""
    (queue, _), _ = failed[0]
    here = [(job_id, status) for (name, job_id), status in failed if name == queue]
    return WaitFailed(
        "jobs_failed",
        f"{len(failed):,} of {total:,} jobs did not complete: {named}{more}",
        hint=why_not_completed(queue, here),
        details={"jobs": {job_id: status for (_, job_id), status in failed[:100]}},
    )
