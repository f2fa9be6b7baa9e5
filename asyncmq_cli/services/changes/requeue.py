"""Requeue stuck jobs: active jobs whose worker is gone, and jobs in no place that workers read.

The doctor's diagnosis finds the damage of a job, and the doctor's repair is applied. An active job without
damage may be running: it is requeued only with `force`, or if its worker is known to be gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from asyncmq_cli.errors import ChangeRefused, JobNotFound, WrongType, command_line
from asyncmq_cli.models.values import DEAD_STATES, chunked
from asyncmq_cli.services.changes.bulk import Decision, JobRunner, Planned, Refused, Step
from asyncmq_cli.services.changes.runner import Attempt
from asyncmq_cli.services.doctor.diagnosis import diagnose
from asyncmq_cli.services.monitoring.lost_jobs import LostJobs
from asyncmq_cli.storage.integrity import repairs
from asyncmq_cli.storage.write.job_changes import Change, marked_cancelled

if TYPE_CHECKING:
    from asyncmq_cli.errors import AdminError
    from asyncmq_cli.storage.integrity.evidence import Evidence
    from asyncmq_cli.storage.write.audit_stream import EventDraft

_READ_AT_A_TIME = 10_000
"""Jobs per chunk. Each chunk reads the sorted sets once."""

# By doctor code: the change that requeues the job, and a note for the operator.
_REQUEUES: dict[str, tuple[Callable[[Evidence, EventDraft, int], Change], str | None]] = {
    "waiting_unlisted": (repairs.enqueue, None),
    "delayed_timeless": (repairs.enqueue, "it was delayed without a due time; it is waiting now"),
    "state_unknown": (repairs.enqueue, "its state was unknown; it is waiting now"),
    "parents_done": (repairs.release, "all jobs that it waited for have completed"),
    "delayed_unlisted": (repairs.put_back, "it is in the delayed set again, due when its record says"),
    "failed_unlisted": (repairs.put_back, "it is in the dead-letter queue again; 'jobs retry' runs it"),
}


class Requeuer(JobRunner):
    """Requeues stuck jobs; with `force`, also jobs that a worker may be running."""

    force = False

    def _steps(
        self, queue: str, job_ids: Iterable[str], places: tuple[str, ...], decide: Decision
    ) -> Iterator[Step]:
        missing = self._missing(queue)
        self._queue = queue
        for ids in chunked(dict.fromkeys(job_ids), _READ_AT_A_TIME):
            if missing is not None:
                yield from ((Attempt(self, queue, job_id), missing) for job_id in ids)
                continue
            for found in self.store.evidence.read(queue, ids):
                yield from self._batches(self._planned(found))

    def _planned(self, found: Sequence[Evidence]) -> Iterator[Planned | Refused]:
        whole = {one.location.id for one in self.store.evidence.fetch_members(self._queue, found)}
        for one in found:
            attempt = Attempt(self, self._queue, one.location.id)
            error = self._unusable(one, whole)
            if error is not None:
                yield attempt, error
                continue
            try:
                change, note = self._change(one, attempt)
            except ChangeRefused as exc:
                yield attempt, exc
            else:
                yield attempt, change, note

    def _unusable(self, found: Evidence, whole: set[str]) -> AdminError | None:
        location = found.location
        if location.problem is not None:
            return location.problem
        if not location.exists:
            return JobNotFound(location.queue, location.id)
        if location.id not in whole:
            return ChangeRefused(
                "job_moved",
                f"job {location.id!r} moved meanwhile; nothing was changed",
                hint=_show_hint(found),
            )
        return marked_cancelled(location.id) if location.cancelled else None

    def _change(self, found: Evidence, attempt: Attempt) -> tuple[Change, str | None]:
        code, maxlen = diagnose(found), self.store.audit.maxlen
        is_active = found.location.active and found.status == "active"
        if code == "active_unclaimed" or (is_active and code in (None, "record_unindexed")):
            self._require_gone(found)
            attempt.details["was"] = "active"
            return repairs.enqueue(found, attempt.draft(), maxlen), None
        if code not in _REQUEUES:
            raise _not_stuck(found, code)
        attempt.details["was"] = code
        make, note = _REQUEUES[code]
        return make(found, attempt.draft(), maxlen), note

    def _require_gone(self, found: Evidence) -> None:
        location = found.location
        if self.force or location.id in self._lost:
            return
        raise ChangeRefused(
            "job_active",
            f"job {location.id!r} is active, and its worker is not known to be gone: it may run twice",
            hint=f"{command_line('jobs', 'requeue', location.queue, location.id, '--force')} "
            "requeues it anyway",
        )

    @cached_property
    def _lost(self) -> set[str]:
        try:
            return {job.id for job in LostJobs(self.store, self._queue, self.store.now())}
        except WrongType:
            # If the claims cannot be read, no job counts as lost.
            return set()


def _not_stuck(found: Evidence, code: str | None) -> ChangeRefused:
    location = found.location
    if code is None:
        hint = None
        if found.status in DEAD_STATES:
            hint = f"{command_line('jobs', 'retry', location.queue, location.id)} runs it again"
        return ChangeRefused(
            "job_not_stuck",
            f"job {location.id!r} is {found.status} and where it should be: there is nothing to requeue",
            hint=hint,
        )
    return ChangeRefused(
        "job_not_requeued",
        f"job {location.id!r} is damaged ({code}), and a requeue does not repair that",
        hint=f"{command_line('doctor', location.queue, '--code', code)} says what to do",
    )


def _show_hint(found: Evidence) -> str:
    return f"see where it is now: {command_line('jobs', 'show', found.location.queue, found.location.id)}"
