"""Changing several targets: one failure never stops the rest, and each attempt is audited.

The event of a change that is made is written by the change's own script. What is refused before
a script runs, or by it, is recorded here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from asyncmq_cli.errors import AdminError, Interrupted, QueueNotFound, RedisProblem
from asyncmq_cli.models import ChangeReport, ChangeResult
from asyncmq_cli.services.chunk import chunked
from asyncmq_cli.services.existence import require_queue
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

    def queues(self, queues: Sequence[str], change: Callable[[Attempt, str], str | None]) -> ChangeReport:
        def run() -> None:
            for queue in dict.fromkeys(queues):
                attempt = Attempt(self, queue, None)
                self._try(attempt, lambda attempt=attempt, queue=queue: change(attempt, queue))  # type: ignore[misc]

        return self._report(queues[0] if len(set(queues)) == 1 else None, run)

    def jobs(
        self,
        queue: str,
        job_ids: Sequence[str],
        places: tuple[str, ...],
        change: Callable[[Attempt, Location], str | None],
    ) -> ChangeReport:
        def run() -> None:
            missing = self._missing_queue(queue)
            for piece in chunked(dict.fromkeys(job_ids), _JOBS_AT_A_TIME):
                if missing is not None:
                    self._refuse_all(queue, piece, missing)
                    continue
                for location in self._store.locate(queue, piece, places):
                    attempt = Attempt(self, queue, location.id)
                    self._try(attempt, lambda a=attempt, found=location: change(a, found))  # type: ignore[misc]

        return self._report(queue, run)

    def _missing_queue(self, queue: str) -> QueueNotFound | None:
        try:
            require_queue(self._store, queue)
        except QueueNotFound as exc:
            return exc
        return None

    def _refuse_all(self, queue: str, job_ids: Sequence[str], error: AdminError) -> None:
        def refuse() -> str | None:
            raise error

        for job_id in job_ids:
            self._try(Attempt(self, queue, job_id), refuse)

    def _try(self, attempt: Attempt, change: Callable[[], str | None]) -> None:
        try:
            note = change()
        except RedisProblem:
            raise
        except AdminError as exc:
            self._results.append(ChangeResult(attempt.queue, attempt.job_id, error=exc))
            if not self._dry_run:
                self._store.audit.record(attempt.draft(error=exc.message))
        else:
            self._results.append(ChangeResult(attempt.queue, attempt.job_id, note=note))

    def _report(self, queue: str | None, run: Callable[[], None]) -> ChangeReport:
        interrupted: AdminError | None = None
        try:
            with self._store.errors():
                run()
        except RedisProblem as exc:
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
