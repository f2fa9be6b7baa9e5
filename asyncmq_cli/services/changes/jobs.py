"""Retry, remove, cancel, edit and requeue jobs: which jobs each change accepts, and the notes for the
operator."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from asyncmq_cli.errors import AdminError, ChangeRefused, WrongType, command_line
from asyncmq_cli.models.queues import names_of
from asyncmq_cli.models.values import DEAD_STATES, ENDED_STATES, as_number
from asyncmq_cli.services.backup.writer import BackupWriter
from asyncmq_cli.services.changes.bulk import Decision, JobRunner, source_of
from asyncmq_cli.services.changes.runner import Attempt
from asyncmq_cli.services.jobs import lookup
from asyncmq_cli.storage.schema.codec import dumps
from asyncmq_cli.storage.schema.job import has_pending_parents
from asyncmq_cli.storage.schema.keys import PLACES
from asyncmq_cli.storage.schema.records import copied, edited, edited_and_retried, whole_record
from asyncmq_cli.storage.write.job_changes import Change, marked_cancelled

if TYPE_CHECKING:
    from asyncmq_cli.models.changes import ChangeReport
    from asyncmq_cli.models.jobs import Job
    from asyncmq_cli.services.changes.edits import Edit
    from asyncmq_cli.services.changes.selection import ChangeRequest
    from asyncmq_cli.storage.schema.job import Location
    from asyncmq_cli.storage.schema.job_dump import JobEdit
    from asyncmq_cli.storage.store import Store

_SOURCES = {"dlq": "dlq.bulk", "queue": "queues.detail"}
_MOST_KEPT = 64 * 1024
"""At most this many bytes of a job's texts are stored in the audit event of an edit without a backup."""
_MOST_SHOWN = 16 * 1024
"""At most this many characters of replaced values are shown in the event."""
_COPYABLE = ("completed", "cancelled")


class JobChangeService:
    """Changes jobs. Each change returns a report with a result for every job. A queue that does not exist is
    a failed result, not an exception."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def retry(self, request: ChangeRequest, *, reset: bool, edits: Sequence[Edit] = ()) -> ChangeReport:
        """Put dead jobs back into the waiting set; with `reset`, as if they were created now. With `edits`,
        each job is edited in the same step, and `jobs restore` undoes both."""
        now = functools.cache(self._store.now)

        def decide(attempt: Attempt, location: Location) -> tuple[Change, str | None]:
            job = location.job
            require_retryable(location, job)
            dead_letters = len(location.members["dlq"])
            if dead_letters > 1:
                attempt.details["dead_letters"] = dead_letters
            reset_at = now() if reset else None
            if edits:
                (result,) = self._store.dumps.results(location.queue, [location.id])
                edit, priority = edited_and_retried(location, _applying(edits), result, reset_at=reset_at)
                _keep_replaced(attempt, location, edit, edits, request)
                change = self._store.changes.retry_edited(edit, priority, location, attempt.draft())
            else:
                change = self._store.changes.retry(location, attempt.draft(), reset_at=reset_at)
            notes = [_note_on_dead_letters(dead_letters), None if reset else expiry_note(job, now())]
            return change, "; ".join(filter(None, notes)) or None

        details = {**({"reset": True} if reset else {}), **(_of_edits(edits) if edits else {})}
        with self._backup(request) as backup:
            runner = self._runner("retry", request, {**details, **_of_removal(backup, force=False)})
            if edits:
                runner.permitted_as, runner.edit_backup = "job.edit", backup
            return self._retry(runner, request, decide)

    def _retry(self, runner: JobRunner, request: ChangeRequest, decide: Decision) -> ChangeReport:
        if request.options.abort_above is not None and not request.dry_run:
            from asyncmq_cli.services.changes.outcomes import AbortGuard

            runner.watch = guard = AbortGuard(self._store, request.options.abort_above)
            for queue in request.selection.by_queue:
                if idle := self.why_idle(queue):
                    self._store.warn_of(queue, f"{idle}, so --abort-above has no finished jobs to judge by")
                else:
                    runner.at_end = guard.finish
        runner.with_children = True
        return self._run(runner, request, ("dlq",), decide)

    def why_idle(self, queue: str) -> str | None:
        """The reason why no worker runs jobs of the queue now, such as `it is paused`. None if workers run
        them, or if the workers cannot be read."""
        if self._store.queues.is_paused(queue):
            return "it is paused"
        try:
            live = self._store.queues.live_workers(queue)
        except WrongType:
            return None
        return None if live else "no live worker serves it"

    def remove(self, request: ChangeRequest, *, force: bool) -> ChangeReport:
        """Delete jobs from every key; with `force`, also active jobs."""
        with self._backup(request) as backup:
            runner = self._runner("remove", request, _of_removal(backup, force=force))
            runner.backup = backup
            return self._run(runner, request, PLACES, self._removal(request, force=force))

    def obliterate(self, request: ChangeRequest, *, force: bool) -> ChangeReport:
        """Delete the queue of the request, all of whose jobs are selected; with `force`, even if jobs are
        active. The last result in the report is the one for the queue itself."""
        from asyncmq_cli.services.changes.obliterate import Obliterator

        with self._backup(request) as backup:
            runner = Obliterator(
                *self._runner_names("obliterate", request),
                **self._run_options(request, _of_removal(backup, force=force)),
            )
            runner.set_pace(request.options.rate, request.options.progress)
            runner.backup = backup
            decide = self._removal(request, force=force)
            return runner.obliterate(request.queue or "", request.selection, decide, force=force)

    def edit(self, request: ChangeRequest, edits: Sequence[Edit]) -> ChangeReport:
        """Set and remove values in waiting, delayed or dead jobs. `jobs restore` can undo this, from the
        backup or from the audit event."""

        def decide(attempt: Attempt, location: Location) -> tuple[Change, str | None]:
            edit = edited(location, _applying(edits))
            _keep_replaced(attempt, location, edit, edits, request)
            note = None if edit.before != edit.after else "it would not change"
            return self._store.changes.edit(edit, attempt.draft()), note

        details = _of_edits(edits)
        with self._backup(request) as backup:
            runner = self._runner("edit", request, {**details, **_of_removal(backup, force=False)})
            runner.edit_backup = backup
            return self._run(runner, request, PLACES, decide)

    def editable(self, queue: str, job_id: str) -> dict[str, Any]:
        """The editable fields of a job. Raises AdminError if the job cannot be edited."""
        from asyncmq_cli.services.changes.edits import editable

        lookup.require_queue(self._store, queue)
        (location,) = self._store.locate(queue, [job_id], PLACES)
        if location.problem is not None:
            raise location.problem
        if not location.exists:
            raise lookup.job_not_found(self._store, queue, job_id)
        edited(location, dict)
        return editable(whole_record(location))

    def parts_of(self, queue: str) -> str | None:
        """The parts of the queue other than jobs, as text; None if there are none. Raises WrongType."""
        return names_of(self._store.parts.sizes(queue))

    def live_workers(self, queue: str) -> int:
        """The number of live workers of the queue. Raises WrongType."""
        return self._store.queues.live_workers(queue)

    @staticmethod
    def _backup(request: ChangeRequest) -> AbstractContextManager[BackupWriter | None]:
        if request.backup is None or request.dry_run:
            return nullcontext()
        return BackupWriter(request.backup)

    def _removal(self, request: ChangeRequest, *, force: bool) -> Decision:
        def decide(attempt: Attempt, location: Location) -> tuple[Change, str | None]:
            if request.noun == "dlq" and not location.members["dlq"]:
                raise ChangeRefused(
                    "job_not_dead",
                    f"job {location.id!r} is {location.job.status}, not in the dead-letter queue",
                    hint=f"{_removal(location)} removes it anyway",
                )
            if location.active and not force:
                raise ChangeRefused(
                    "job_active",
                    f"job {location.id!r} is active: a worker may be running it",
                    hint=f"{_removal(location, '--force')} removes it anyway",
                )
            change = self._store.changes.remove(location, attempt.draft(), force=force)
            left = 0 if request.verb == "obliterate" else location.children
            return change, _left_waiting(left)

        return decide

    def cancel(self, request: ChangeRequest) -> ChangeReport:
        """Cancel jobs that have not ended."""

        def decide(attempt: Attempt, location: Location) -> tuple[Change, str | None]:
            status = location.job.status
            if status in ENDED_STATES:
                raise ChangeRefused(
                    "job_ended",
                    f"job {location.id!r} is {status} already, so there is nothing to cancel",
                    hint=f"{_removal(location)} removes it from the queue" if status != "completed" else None,
                )
            notes = [
                "a worker may be running it; what it does is not undone" if location.active else None,
                _left_waiting(location.children),
            ]
            change = self._store.changes.cancel(location, attempt.draft())
            return change, "; ".join(filter(None, notes)) or None

        runner = self._runner("cancel", request, {})
        runner.with_children = True
        return self._run(runner, request, ("waiting", "delayed"), decide)

    def run_now(self, request: ChangeRequest) -> ChangeReport:
        """Put delayed jobs into the waiting set before they are due."""

        def decide(attempt: Attempt, location: Location) -> tuple[Change, str | None]:
            status = location.job.status
            if location.active or location.members["waiting"] or not location.members["delayed"]:
                raise ChangeRefused(
                    "job_not_delayed",
                    f"job {location.id!r} is {status}, not delayed, so it cannot be moved up",
                    hint=f"{command_line('jobs', 'list', location.queue, '--state', 'delayed')} "
                    "lists the jobs that can",
                )
            if location.cancelled:
                raise marked_cancelled(location.id)
            return self._store.changes.promote(location, attempt.draft()), None

        return self._run(self._runner("run-now", request, {}), request, ("waiting", "delayed"), decide)

    def rerun(self, request: ChangeRequest) -> ChangeReport:
        """Add copies, with new ids, of completed or cancelled jobs. Results and audit events have the ids of
        the copies."""
        now = functools.cache(self._store.now)

        def decide(attempt: Attempt, location: Location) -> tuple[Change, str | None]:
            _require_copyable(location)
            record = copied(whole_record(location), str(uuid.uuid4()), created_at=now())
            attempt.job_id = record["id"]
            attempt.details["copy_of"] = location.id
            change = self._store.changes.add(location.queue, record, attempt.draft())
            return change, None if request.dry_run else f"a copy of {location.id}"

        return self._run(self._runner("rerun", request, {}), request, (), decide)

    def requeue(self, request: ChangeRequest, *, force: bool) -> ChangeReport:
        """Put stuck jobs back into the waiting set; with `force`, also active jobs that a worker may be
        running."""
        from asyncmq_cli.services.changes.requeue import Requeuer

        runner = Requeuer(
            *self._runner_names("requeue", request),
            **self._run_options(request, {"force": True} if force else {}),
        )
        runner.set_pace(request.options.rate, request.options.progress)
        runner.stop = request.options.stop or runner.stop
        runner.force = force
        return self._run(runner, request, PLACES, _decided_by_evidence)

    def _runner(self, verb: str, request: ChangeRequest, details: dict[str, Any]) -> JobRunner:
        runner = JobRunner(*self._runner_names(verb, request), **self._run_options(request, details))
        runner.set_pace(request.options.rate, request.options.progress)
        runner.stop = request.options.stop or runner.stop
        return runner

    def _runner_names(self, verb: str, request: ChangeRequest) -> tuple[Store, str, str]:
        source = _SOURCES.get(request.noun) or source_of(request.selection.targets)
        return self._store, f"{request.noun}.{request.verb or verb}", source

    @staticmethod
    def _run_options(request: ChangeRequest, details: dict[str, Any]) -> dict[str, Any]:
        return {"reason": request.reason, "dry_run": request.dry_run, "details": details}

    def _run(
        self, runner: JobRunner, request: ChangeRequest, places: tuple[str, ...], decide: Decision
    ) -> ChangeReport:
        runner.total = request.selection.total
        report = runner.jobs(request.queue, request.selection, places, decide)
        return lookup.with_similar_ids(self._store, report)

    def refused(self, verb: str, request: ChangeRequest, error: AdminError) -> None:
        """Record a change that failed before any job was selected."""
        runner = self._runner(verb, request, {})
        runner.refused(Attempt(runner, request.queue, None), error)


def _decided_by_evidence(attempt: Attempt, location: Location) -> tuple[Change, str | None]:
    raise NotImplementedError("a requeue decides by evidence, not by location")


def require_retryable(location: Location, job: Job) -> None:
    """Raise ChangeRefused unless the job is in the dead-letter queue and nowhere else."""
    status = job.status
    if location.cancelled and location.members["dlq"]:
        raise marked_cancelled(location.id)
    if not location.members["dlq"] or (location.state is not None and location.state not in DEAD_STATES):
        where = (
            f"{status}, but not in the dead-letter queue"
            if status in DEAD_STATES
            else f"{status}, not failed"
        )
        raise ChangeRefused(
            "job_not_dead",
            f"job {location.id!r} is {where}, so it cannot be retried",
            hint=f"{command_line('dlq', 'list', location.queue)} lists the jobs that can",
        )
    if location.active or location.members["waiting"]:
        raise ChangeRefused(
            "job_not_dead", f"job {location.id!r} is also waiting or active, so a retry would run it twice"
        )
    if has_pending_parents(job.record):
        raise ChangeRefused(
            "job_waits_for_parents", f"job {location.id!r} waits for other jobs, so a retry would not run it"
        )


def _require_copyable(location: Location) -> None:
    status = location.job.status
    if status in _COPYABLE:
        return
    retry = command_line("jobs", "retry", location.queue, location.id)
    raise ChangeRefused(
        "job_not_ended",
        f"job {location.id!r} is {status}; only completed and cancelled jobs are run again as a copy",
        hint=f"{retry} runs it again" if status in DEAD_STATES else None,
    )


def _applying(edits: Sequence[Edit]) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    from asyncmq_cli.services.changes.edits import applied

    return lambda record: applied(record, edits)


def _of_edits(edits: Sequence[Edit]) -> dict[str, Any]:
    """The edits, for the details of audit events. A large value is replaced by its size."""
    values = {edit.text: edit.value for edit in edits if not edit.removes}
    size = len(dumps(values))
    shown: dict[str, Any] = {"set": values} if size <= _MOST_SHOWN else {"set_bytes": size}
    return {**shown, "unset": [edit.text for edit in edits if edit.removes]}


def _keep_replaced(
    attempt: Attempt, location: Location, edit: JobEdit, edits: Sequence[Edit], request: ChangeRequest
) -> None:
    """Put what an edit replaces into its audit event: the old values and, without a backup, the whole job.
    Raises ChangeRefused if the job is too large for that."""
    from asyncmq_cli.services.backup.format import kept_in_event
    from asyncmq_cli.services.changes.edits import before

    replaced = before(whole_record(location), edits)
    if len(dumps(replaced)) <= _MOST_SHOWN:
        attempt.details["before"] = replaced
    if request.backup is not None:
        return
    if edit.before.size > _MOST_KEPT:
        raise ChangeRefused(
            "edit_too_large",
            f"job {location.id!r} has {edit.before.size:,} bytes, more than an edit's audit event stores",
            hint="--backup FILE stores it, so that the edit can be undone",
        )
    attempt.details["was"] = kept_in_event(edit)


def _of_removal(backup: BackupWriter | None, *, force: bool) -> dict[str, Any]:
    """The details of the audit events of a removal."""
    details: dict[str, Any] = {"force": True} if force else {}
    return details if backup is None else {**details, "backup": backup.absolute, "run": backup.run}


def _removal(location: Location, *options: str) -> str:
    return command_line("jobs", "remove", location.queue, location.id, *options)


def _left_waiting(children: int) -> str | None:
    if not children:
        return None
    return f"{'1 job waits' if children == 1 else f'{children:,} jobs wait'} for it and will never run"


def _note_on_dead_letters(count: int) -> str | None:
    return None if count < 2 else f"it had {count:,} dead letters, and has none now"


def expiry_note(job: Job, now: float) -> str | None:
    ttl, created_at = as_number(job.get("ttl")), job.created_at
    if ttl is None or created_at is None or now <= created_at + ttl:
        return None
    age = f"it is older than its time to live of {ttl:g} s"
    return f"{age}, so it will expire again at once; --reset makes it start fresh"
