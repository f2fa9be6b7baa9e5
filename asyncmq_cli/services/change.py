"""Changing several targets: one failure never stops the rest, and each attempt is audited.

The event of a change that is made is written by the change's own script. What is refused before
a script runs, or by it, is recorded here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from asyncmq_cli.errors import AdminError, Interrupted, JobNotFound, QueueNotFound, RedisProblem
from asyncmq_cli.models import ChangeReport, ChangeResult
from asyncmq_cli.services.chunk import chunked
from asyncmq_cli.services.existence import require_queue
from asyncmq_cli.services.interrupt import Stop, deferred_interrupt
from asyncmq_cli.storage.audit import EventDraft
from asyncmq_cli.storage.locate import Location
from asyncmq_cli.storage.store import Store

_JOBS_AT_A_TIME = 100


class Attempt:
    """One target's event in the making. `details` may be added to before it is drafted."""

    def __init__(self, runner: Runner, queue: str, job_id: str | None) -> None:
        self._runner = runner
        self.queue = queue
        self.job_id = job_id
        self.details: dict[str, Any] = dict(runner.details)

    def draft(self, error: str | None = None) -> EventDraft:
        return EventDraft(
            action=self._runner.action,
            source=self._runner.source,
            queue=self.queue,
            job_id=self.job_id,
            actor=self._runner.actor,
            details=self.details,
            error=error,
        )


class Runner:
    """Tries a change on target after target and keeps the results.

    What it is given to try returns a note for the operator or None, and raises AdminError where
    the target is refused. With `dry_run` nothing is recorded, because nothing was tried.
    """

    def __init__(
        self,
        store: Store,
        action: str,
        source: str,
        *,
        reason: str | None,
        dry_run: bool,
        details: dict[str, Any] | None = None,
    ) -> None:
        self._store = store
        self.action = action
        self.source = source
        self.actor = store.config.actor
        self.details = {**({"reason": reason} if reason else {}), **(details or {})}
        self._dry_run = dry_run
        self._results: list[ChangeResult] = []
        self._in_flight: Attempt | None = None

    def queues(self, queues: Sequence[str], change: Callable[[Attempt, str], str | None]) -> ChangeReport:
        def run(stop: Stop) -> None:
            for queue in dict.fromkeys(queues):
                stop.between_targets()
                self._try(Attempt(self, queue, None), partial(_on_queue, change))

        return self._report(queues[0] if len(set(queues)) == 1 else None, run)

    def jobs(
        self,
        queue: str,
        job_ids: Sequence[str],
        places: tuple[str, ...],
        change: Callable[[Attempt, Location], str | None],
    ) -> ChangeReport:
        def run(stop: Stop) -> None:
            missing = self._missing_queue(queue)
            for piece in chunked(dict.fromkeys(job_ids), _JOBS_AT_A_TIME):
                found: Sequence[Location | None] = [None] * len(piece)
                if missing is None:
                    found = self._store.locate(queue, piece, places)
                for job_id, location in zip(piece, found, strict=True):
                    stop.between_targets()
                    self._try(Attempt(self, queue, job_id), partial(_on_job, change, location, missing))

        return self._report(queue, run)

    def _missing_queue(self, queue: str) -> QueueNotFound | None:
        try:
            require_queue(self._store, queue)
        except QueueNotFound as exc:
            return exc
        return None

    def _try(self, attempt: Attempt, change: Callable[[Attempt], str | None]) -> None:
        self._in_flight = attempt
        try:
            note = change(attempt)
        except AdminError as exc:
            self._results.append(ChangeResult(attempt.queue, attempt.job_id, error=exc))
            self._in_flight = None
            if not self._dry_run:
                self._store.audit.record(attempt.draft(error=exc.message))
        else:
            self._results.append(ChangeResult(attempt.queue, attempt.job_id, note=note))
            self._in_flight = None

    def _report(self, queue: str | None, run: Callable[[Stop], None]) -> ChangeReport:
        interrupted: AdminError | None = None
        try:
            with self._store.errors(), deferred_interrupt() as stop:
                run(stop)
        except RedisProblem as exc:
            interrupted = self._with_doubt(exc)
        except AdminError as exc:
            interrupted = exc
        except KeyboardInterrupt:
            interrupted = Interrupted("interrupted; what was done stays done")
        return ChangeReport(
            action=self.action,
            queue=queue,
            dry_run=self._dry_run,
            results=tuple(self._results),
            interrupted=interrupted,
        )

    def _with_doubt(self, problem: RedisProblem) -> RedisProblem:
        """Say for which target the answer was lost: its change may have been made."""
        lost = self._in_flight
        if lost is None or self._dry_run or problem.code not in ("redis_timeout", "redis_unreachable"):
            return problem
        target = f"queue {lost.queue!r}" if lost.job_id is None else f"job {lost.job_id!r}"
        hint = f"whether {target} was changed is not known; 'asyncmq audit' will tell"
        return RedisProblem(problem.code, problem.message, hint=hint)


def _on_queue(change: Callable[[Attempt, str], str | None], attempt: Attempt) -> str | None:
    return change(attempt, attempt.queue)


def _on_job(
    change: Callable[[Attempt, Location], str | None],
    location: Location | None,
    missing: QueueNotFound | None,
    attempt: Attempt,
) -> str | None:
    if location is None:
        raise missing or JobNotFound(attempt.queue, attempt.job_id or "")
    return change(attempt, location)
