"""Restore removed jobs from a backup, each into the places that it was in."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from asyncmq_cli.errors import AdminError, ChangeRefused, WrongType, command_line
from asyncmq_cli.exit_status import ExitStatus
from asyncmq_cli.models.audit.chain import order
from asyncmq_cli.models.queues import names_of
from asyncmq_cli.models.values import chunked
from asyncmq_cli.services.backup.format import BadLine, edit_of_event
from asyncmq_cli.services.backup.reader import STANDARD_INPUT, Backup, EditEntry, Entry, PartEntry
from asyncmq_cli.services.changes.bulk import JobRunner, Planned, Refused, source_of
from asyncmq_cli.services.changes.runner import Attempt
from asyncmq_cli.services.changes.selection import BulkOptions
from asyncmq_cli.services.repeatables.service import retry_while_busy
from asyncmq_cli.storage.schema.job import job_of
from asyncmq_cli.storage.schema.job_dump import Texts
from asyncmq_cli.storage.schema.keys import PLACES, to_bytes, to_text
from asyncmq_cli.storage.write.job_changes import already_there, marked_cancelled

if TYPE_CHECKING:
    from asyncmq_cli.models.changes import AuditEvent, ChangeReport
    from asyncmq_cli.models.jobs import Job
    from asyncmq_cli.services.changes.runner import Stop
    from asyncmq_cli.storage.schema.job import Location
    from asyncmq_cli.storage.schema.job_dump import JobDump, JobEdit
    from asyncmq_cli.storage.store import Store

RESTORE = "job.restore"
_LOOKED_FOR_AT_A_TIME = 10_000


class EventNotFound(AdminError):
    """The audit trail has no event with that id, or it was trimmed."""

    code, exit_code = "event_not_found", ExitStatus.NOT_FOUND

    def __init__(self, event_id: str) -> None:
        super().__init__(
            f"no event {event_id!r} in the audit trail",
            hint=f"{command_line('audit', 'list', '--action', 'job.edit', '--json')} has the ids, as id",
            details={"event": event_id},
        )


class NotAnEdit(AdminError):
    """The event has not stored what an edit replaced."""

    code = "not_an_edit"

    def __init__(self, event: AuditEvent) -> None:
        backup = event.details.get("backup")
        hint = None
        if isinstance(backup, str) and event.job_id is not None:
            hint = f"its backup does: {command_line('jobs', 'restore', backup, event.job_id)}"
        super().__init__(
            f"event {event.id} ({event.action}, {event.status}) holds no job that could be restored",
            hint=hint,
            details={"event": event.id, "action": event.action},
        )


class JobNotInBackup(AdminError):
    """The backup has no line for the job that was named."""

    code, exit_code = "job_not_in_backup", ExitStatus.NOT_FOUND

    def __init__(self, path: str, job_id: str) -> None:
        super().__init__(
            f"no job {job_id!r} in the backup {path!r}", details={"backup": path, "job_id": job_id}
        )


class RestoreRequest(Struct, frozen=True):
    """A restore. `job_ids` are the jobs to restore; None means all jobs that the backup says were removed.
    With `force`, jobs that may not have been removed or were restored before are restored too."""

    backup: Backup
    job_ids: Sequence[str] | None = None
    force: bool = False
    reason: str | None = None
    dry_run: bool = False
    options: BulkOptions = field(default_factory=BulkOptions)


class TakeBackRequest(Struct, frozen=True):
    """Undo edits. `events` are the ids of their audit events."""

    events: Sequence[str]
    reason: str | None = None
    dry_run: bool = False


class RestoreService:
    """Restores jobs of a checked backup."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def chosen(self, backup: Backup) -> list[Entry]:
        """The entries that a restore of the whole backup tries: all except those whose job is known to have
        been kept in Redis."""
        return [entry for entry in backup.entries.values() if entry.removed is not False]

    def heads(self, backup: Backup, entries: Sequence[Entry]) -> list[Job]:
        """The jobs of these entries as stored in the backup, in the same order. Meant for few entries."""
        found = {(parts.queue, parts.id): job_of(parts) for parts in backup.jobs({e.line for e in entries})}
        return [found[to_bytes(entry.queue), to_bytes(entry.id)] for entry in entries]

    def restore(self, request: RestoreRequest) -> ChangeReport:
        """Restore each job with all its parts. A job that exists is refused."""
        path = request.backup.path
        details: dict[str, Any] = {} if path == STANDARD_INPUT else {"backup": path}
        chosen = self.chosen(request.backup)
        ids = [entry.id for entry in chosen] if request.job_ids is None else request.job_ids
        runner = Restorer(
            self._store,
            RESTORE,
            source_of(ids),
            reason=request.reason,
            dry_run=request.dry_run,
            details=details | ({"force": True} if request.force else {}),
        )
        runner.set_pace(request.options.rate, request.options.progress)
        return runner.restore(request, chosen)

    def take_back(self, request: TakeBackRequest) -> ChangeReport:
        """Undo edits, the newest first, from the old texts in their audit events. Raises EventNotFound or
        NotAnEdit before anything is changed."""
        with self._store.errors():
            found = [self._edit_event(event_id) for event_id in dict.fromkeys(request.events)]
        found.sort(key=lambda event: order(event.id), reverse=True)
        targets = [event.job_id or "" for event in found]
        runner = Restorer(
            self._store, RESTORE, source_of(targets), reason=request.reason, dry_run=request.dry_run
        )
        return runner.take_back(found)

    def _edit_event(self, event_id: str) -> AuditEvent:
        event = self._store.audit.event(event_id)
        if event is None:
            raise EventNotFound(event_id)
        if event.status != "success" or not isinstance(event.details.get("was"), dict):
            raise NotAnEdit(event)
        return event


class Restorer(JobRunner):
    """Restores the jobs of a backup one by one."""

    def restore(self, request: RestoreRequest, chosen: Sequence[Entry]) -> ChangeReport:
        """Restore the requested jobs. `chosen` has the entries that a restore of the whole backup tries."""
        queues = {entry.queue for entry in request.backup.entries.values()}
        queues |= {part.queue for part in request.backup.parts} | {e.queue for e in request.backup.edits}
        queue = queues.pop() if len(queues) == 1 else None

        def run(stop: Stop) -> None:
            entries = chosen if request.job_ids is None else self._named(request, queue or "")
            marked: set[tuple[str, str]] = set()
            gone = list(self._gone(self._not_kept(request, entries), marked))
            lines = {entry.line for entry in (gone if request.force else self._removed(gone))}
            parts = request.backup.parts if request.job_ids is None else []
            # Restore in the reverse order of removal: the pause and the counter before the jobs, definitions
            # after them.
            first = [part for part in reversed(parts) if part.name != "repeatables"]
            self._put_back(request.backup, first, stop)
            self._execute(self._batches(self._planned(request.backup, lines, marked)), stop)
            self._put_back(request.backup, [part for part in parts if part.name == "repeatables"], stop)
            # If a job was edited several times, undo the last edit first.
            self._execute(self._batches(self._edits(request.backup, reversed(edits))), stop)

        backup, named = request.backup, request.job_ids
        edits = [edit for edit in backup.edits if named is None or edit.id in named]
        whole = len(chosen) + len(backup.parts) + len(edits)
        return self.report(queue, run, whole if named is None else len(named))

    def _edits(self, backup: Backup, entries: Iterable[EditEntry]) -> Iterator[Planned | Refused]:
        """For each of these edits, the edit that undoes it. A job that has changed since is refused."""
        for entry in entries:
            attempt = Attempt(self, entry.queue, entry.id)
            attempt.details |= {"run": entry.run, "edit": True}
            try:
                change = self.store.changes.take_back(backup.edit(entry), attempt.draft())
                yield attempt, change, None
            except ChangeRefused as exc:
                yield attempt, exc

    def take_back(self, events: Sequence[AuditEvent]) -> ChangeReport:
        """Undo the edits of these events one after the other, because two may edit the same job."""
        queues = {event.queue for event in events}

        def run(stop: Stop) -> None:
            for event in events:
                stop.between_targets()
                attempt = Attempt(self, event.queue, event.job_id)
                attempt.details |= {"event": event.id, "edit": True}
                self._execute(self._batches([self._taken_back(event, attempt)]), stop)

        return self.report(queues.pop() if len(queues) == 1 else None, run, len(events))

    def _taken_back(self, event: AuditEvent, attempt: Attempt) -> Planned | Refused:
        queue, job_id = event.queue or "", event.job_id or ""
        (location,) = self.store.locate(queue, [job_id], PLACES)
        try:
            if location.problem is not None:
                raise location.problem
            edit = _edit_kept(event, location)
            return attempt, self.store.changes.take_back(edit, attempt.draft()), None
        except AdminError as exc:
            return attempt, exc

    def _put_back(self, backup: Backup, parts: Sequence[PartEntry], stop: Stop) -> None:
        """Restore the parts of a queue that are not jobs. Elements that exist are not changed."""
        for entry in parts:
            stop.between_targets()
            attempt = Attempt(self, entry.queue, None)
            attempt.details |= {"run": entry.run, "part": entry.name, "count": entry.count}
            self._try(attempt, partial(self._put_part, backup, entry))

    def _put_part(self, backup: Backup, entry: PartEntry, attempt: Attempt) -> str | None:
        what = names_of({entry.name: entry.count})
        if self.dry_run:
            return what
        part = backup.part(entry)
        if part.has_ended(self.store.now()):
            return f"{what}: it would have ended by now, so it is not restored"
        missing = retry_while_busy(lambda: self.store.parts.put(part, attempt.draft()))
        return what if missing else f"{what}: there already; nothing changed"

    def _named(self, request: RestoreRequest, queue: str) -> Iterator[Entry]:
        by_id: dict[str, list[Entry]] = {}
        for entry in request.backup.entries.values():
            by_id.setdefault(entry.id, []).append(entry)
        edited = {entry.id for entry in request.backup.edits}
        for job_id in dict.fromkeys(request.job_ids or ()):
            if job_id not in by_id and job_id not in edited:
                missing = JobNotInBackup(request.backup.path, job_id)
                self._refused(Attempt(self, queue, job_id), missing)
            yield from by_id.get(job_id, ())

    def _not_kept(self, request: RestoreRequest, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Yield the entries, but refuse those whose job was kept in Redis according to the backup."""
        for entry in entries:
            if entry.removed is False and not request.force:
                self._refuse(entry, _not_removed(entry))
            else:
                yield entry

    def _removed(self, entries: Sequence[Entry]) -> Iterator[Entry]:
        """Yield the entries whose job was removed and not restored since; refuse the others.

        If the backup has no outcome, because the run was killed or lost its connection, the audit trail has
        it: the event was written together with the removal. A restore also has its event there.
        """
        last, oldest = self._last_events(entries)
        restored = self.store.dumps.first_restores({entry.run for entry in entries})
        for entry in entries:
            action = last.get((entry.run, entry.queue, entry.id))
            if action == RESTORE:
                self._refuse(entry, _restored(entry, surely=True))
            elif action is None and restored.get(entry.run, oldest) < oldest:
                self._refuse(entry, _restored(entry, surely=False))
            elif entry.removed is None and action is None:
                self._refuse(entry, _not_removed(entry))
            else:
                yield entry

    def _last_events(self, entries: Sequence[Entry]) -> tuple[dict[tuple[str, str, str], str], float]:
        """For each entry, the last action in the audit trail with its run (a restore, or the removal
        itself), and the time of the oldest event that was read, in epoch seconds. Reads the trail backwards
        until every entry is found, or to its end."""
        wanted = {(entry.run, entry.queue, entry.id) for entry in entries}
        found: dict[tuple[str, str, str], str] = {}
        oldest = math.inf
        if not wanted:
            return found, oldest
        for event in self.store.audit.newest_first(warn=lambda message: None):
            oldest = event.timestamp
            key = (str(event.details.get("run")), event.queue or "", event.job_id or "")
            if key in wanted and key not in found and event.status == "success":
                found[key] = event.action
                if len(found) == len(wanted):
                    break
        return found, oldest

    def _gone(self, entries: Iterable[Entry], marked: set[tuple[str, str]]) -> Iterator[Entry]:
        """Yield the entries whose job does not exist; refuse the others. Jobs with a cancel mark are added to
        `marked`, as (queue, id)."""
        by_queue: dict[str, list[Entry]] = {}
        for entry in entries:
            by_queue.setdefault(entry.queue, []).append(entry)
        for queue, of_queue in by_queue.items():
            for piece in chunked(of_queue, _LOOKED_FOR_AT_A_TIME):
                try:
                    existing, cancelled = self.store.dumps.existing(queue, [entry.id for entry in piece])
                except WrongType as exc:
                    for entry in piece:
                        self._refuse(entry, exc)
                    continue
                marked.update((queue, job_id) for job_id in cancelled)
                for entry in piece:
                    if entry.id in existing:
                        self._refuse(entry, already_there(queue, entry.id))
                    else:
                        yield entry

    def _planned(
        self, backup: Backup, lines: set[int], marked: set[tuple[str, str]]
    ) -> Iterator[Planned | Refused]:
        for parts in backup.jobs(lines):
            queue, job_id = to_text(parts.queue), to_text(parts.id)
            attempt = self._attempt(backup.entries[parts.queue, parts.id])
            try:
                if (queue, job_id) in marked and not parts.cancelled:
                    raise marked_cancelled(job_id)
                put_back, note = self._to_run(queue, parts)
                change = self.store.changes.restore(put_back, attempt.details["run"], attempt.draft())
                yield attempt, change, note
            except ChangeRefused as exc:
                yield attempt, exc

    def _to_run(self, queue: str, parts: JobDump) -> tuple[JobDump, str | None]:
        """The parts to restore. An active job is restored as waiting: no worker runs it, and its claim
        would keep workers from taking it."""
        if any(parts.places) or job_of(parts).status != "active":
            return parts, None
        try:
            score = self.store.dumps.next_score(queue, parts)
        except AdminError as exc:
            return parts, f"it was active when it was removed, and nothing runs it: {exc.message}"
        return parts.waiting_at(score), "it was active when it was removed; it is waiting now"

    def _attempt(self, entry: Entry) -> Attempt:
        """An attempt whose event names the removal in its details, so that a second restore is noticed."""
        attempt = Attempt(self, entry.queue, entry.id)
        attempt.details["run"] = entry.run
        return attempt

    def _refuse(self, entry: Entry, error: AdminError) -> None:
        self._refused(self._attempt(entry), error)

    def _refused(self, attempt: Attempt, error: AdminError) -> None:
        self.refused(attempt, error)
        self._progressed(1)


def _edit_kept(event: AuditEvent, location: Location) -> JobEdit:
    """The edit of this event. Raises AdminError if the job has changed since."""
    kept = event.details["was"]
    place = "waiting" if kept.get("retried") else kept.get("place")
    why = "it is gone"
    if location.active:
        why = "a worker has claimed it"
    elif location.exists:
        why = f"it is {location.job.status}, and not as the edit left it"
    members = location.members.get(str(place), [])
    if not location.active and len(members) == 1:
        now = Texts(members[0], location.record or b"", location.payload or b"")
        try:
            edit = edit_of_event(location.queue, location.id, kept, now)
        except BadLine as exc:
            raise ChangeRefused("bad_event", f"what event {event.id} has kept is damaged: {exc}") from exc
        if edit is not None:
            return edit
    raise ChangeRefused(
        "job_moved",
        f"job {location.id!r} has changed since its edit: {why}; nothing was changed",
        facts={"queue": location.queue, "job_id": location.id},
    )


def _restored(entry: Entry, *, surely: bool) -> ChangeRefused:
    if surely:
        why = "was already restored after this removal, and is gone again"
    else:
        why = (
            "may already have been restored: other jobs of this removal were, and the audit trail has been "
            "trimmed since"
        )
    hint = "it may have run meanwhile; --force restores it anyway"
    return ChangeRefused("restored_already", f"job {entry.id!r} {why}", hint=hint)


def _not_removed(entry: Entry) -> ChangeRefused:
    if entry.removed is False:
        why = "was not removed by the run that wrote the backup"
    else:
        why = "is not known to have been removed: the run that wrote the backup was interrupted"
    return ChangeRefused("not_removed", f"job {entry.id!r} {why}", hint="--force restores it anyway")
