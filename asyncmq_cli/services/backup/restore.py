"""Putting removed jobs back where they were, from a backup."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from asyncmq_cli.errors import AdminError, ChangeRefused, WrongType
from asyncmq_cli.exit_status import ExitStatus
from asyncmq_cli.models.values import chunked
from asyncmq_cli.services.backup.reader import STANDARD_INPUT, Backup, Entry
from asyncmq_cli.services.changes.bulk import JobRunner, Planned, Refused, source_of
from asyncmq_cli.services.changes.jobs import BulkOptions
from asyncmq_cli.services.changes.runner import Attempt
from asyncmq_cli.storage.schema.keys import to_bytes, to_text
from asyncmq_cli.storage.schema.location import job_of
from asyncmq_cli.storage.write.job_changes import already_there, marked_cancelled

if TYPE_CHECKING:
    from asyncmq_cli.models.changes import ChangeReport
    from asyncmq_cli.models.jobs import Job
    from asyncmq_cli.services.changes.interrupt import Stop
    from asyncmq_cli.storage.schema.parts import Parts
    from asyncmq_cli.storage.store import Store

RESTORE = "job.restore"
_LOOKED_FOR_AT_A_TIME = 10_000


class JobNotInBackup(AdminError):
    """A job that was named is in no line."""

    code, exit_code = "job_not_in_backup", ExitStatus.NOT_FOUND

    def __init__(self, path: str, job_id: str) -> None:
        super().__init__(
            f"no job {job_id!r} in the backup {path!r}", details={"backup": path, "job_id": job_id}
        )


@dataclass(frozen=True, slots=True)
class RestoreRequest:
    """`job_ids` are those named; None means all that the backup says were removed. With `force`
    also those of which that is not known, and those that were restored before."""

    backup: Backup
    job_ids: Sequence[str] | None = None
    force: bool = False
    reason: str | None = None
    dry_run: bool = False
    options: BulkOptions = field(default_factory=BulkOptions)


class RestoreService:
    """Restores of a backup that was checked whole."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def chosen(self, backup: Backup) -> list[Entry]:
        """What a restore of the whole backup would try: all but what is known not to have been removed."""
        return [entry for entry in backup.entries.values() if entry.removed is not False]

    def heads(self, backup: Backup, entries: Sequence[Entry]) -> list[Job]:
        """The jobs of these few entries, in their order, as the backup holds them."""
        found = {(parts.queue, parts.id): job_of(parts) for parts in backup.jobs({e.line for e in entries})}
        return [found[to_bytes(entry.queue), to_bytes(entry.id)] for entry in entries]

    def restore(self, request: RestoreRequest) -> ChangeReport:
        """Put the jobs back, each with what it had; one that exists is refused."""
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


class Restorer(JobRunner):
    """Tries to restore job after job of a backup."""

    def restore(self, request: RestoreRequest, chosen: Sequence[Entry]) -> ChangeReport:
        """As the order says; `chosen` is what a restore of the whole backup tries."""
        queues = {entry.queue for entry in request.backup.entries.values()}
        queue = queues.pop() if len(queues) == 1 else None

        def run(stop: Stop) -> None:
            entries = chosen if request.job_ids is None else self._named(request, queue or "")
            marked: set[tuple[str, str]] = set()
            gone = list(self._gone(self._not_kept(request, entries), marked))
            lines = {entry.line for entry in (gone if request.force else self._removed(gone))}
            self._execute(self._batches(self._planned(request.backup, lines, marked)), stop)

        return self.report(queue, run)

    def _named(self, request: RestoreRequest, queue: str) -> Iterator[Entry]:
        by_id: dict[str, list[Entry]] = {}
        for entry in request.backup.entries.values():
            by_id.setdefault(entry.id, []).append(entry)
        for job_id in dict.fromkeys(request.job_ids or ()):
            if job_id not in by_id:
                missing = JobNotInBackup(request.backup.path, job_id)
                self._refused(Attempt(self, queue, job_id), missing)
            yield from by_id.get(job_id, ())

    def _not_kept(self, request: RestoreRequest, entries: Iterable[Entry]) -> Iterator[Entry]:
        """All but those of which the backup says that they were left in Redis."""
        for entry in entries:
            if entry.removed is False and not request.force:
                self._refuse(entry, _not_removed(entry))
            else:
                yield entry

    def _removed(self, entries: Sequence[Entry]) -> Iterator[Entry]:
        """Those of which it is known that they were removed, and that this removal was not taken
        back before.

        What a run could not write down any more, because it was killed or lost its connection, is
        in the audit trail: the event was written with the removal. So is the event of a restore.
        """
        last, oldest = self._last_events(entries)
        restored = self.store.restored_runs({entry.run for entry in entries})
        for entry in entries:
            action = last.get((entry.run, entry.queue, entry.id))
            if action == RESTORE:
                self._refuse(entry, _restored_already(entry))
            elif action is None and restored.get(entry.run, oldest) < oldest:
                self._refuse(entry, _maybe_restored(entry))
            elif entry.removed is None and action is None:
                self._refuse(entry, _not_removed(entry))
            else:
                yield entry

    def _last_events(self, entries: Sequence[Entry]) -> tuple[dict[tuple[str, str, str], str], float]:
        """Of each removal the action of the last event that names its run: a restore, or else the
        removal itself; and the time of the oldest event that was read, epoch seconds. The trail is read
        back to the oldest of them, or to its end."""
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
        """Those that are not there, so that they can be restored. What is marked as cancelled is
        added to `marked`."""
        by_queue: dict[str, list[Entry]] = {}
        for entry in entries:
            by_queue.setdefault(entry.queue, []).append(entry)
        for queue, of_queue in by_queue.items():
            for piece in chunked(of_queue, _LOOKED_FOR_AT_A_TIME):
                try:
                    existing, cancelled = self.store.traces(queue, [entry.id for entry in piece])
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

    def _to_run(self, queue: str, parts: Parts) -> tuple[Parts, str | None]:
        """The parts to put back. A job that was active waits: nobody runs it, and a claim would keep
        workers from it."""
        if any(parts.places) or job_of(parts).status != "active":
            return parts, None
        try:
            score = self.store.next_score(queue, parts)
        except AdminError as exc:
            return parts, f"it was active when it was removed, and nothing runs it: {exc.message}"
        return parts.waiting_at(score), "it was active when it was removed, and waits now"

    def _attempt(self, entry: Entry) -> Attempt:
        """With the run of the removal, by which a second restore of it is noticed."""
        attempt = Attempt(self, entry.queue, entry.id)
        attempt.details["run"] = entry.run
        return attempt

    def _refuse(self, entry: Entry, error: AdminError) -> None:
        self._refused(self._attempt(entry), error)

    def _refused(self, attempt: Attempt, error: AdminError) -> None:
        self.refused(attempt, error)
        self._progressed(1)


def _restored_already(entry: Entry) -> ChangeRefused:
    return ChangeRefused(
        "restored_already",
        f"job {entry.id!r} was put back from this removal before, and has gone again since",
        hint="it may have run meanwhile; --force restores it all the same",
    )


def _maybe_restored(entry: Entry) -> ChangeRefused:
    return ChangeRefused(
        "restored_already",
        f"job {entry.id!r} may have been put back from this removal before: something was, and since then "
        "the audit trail was trimmed",
        hint="it may have run meanwhile; --force restores it all the same",
    )


def _not_removed(entry: Entry) -> ChangeRefused:
    if entry.removed is False:
        why = "was not removed after all by the run that wrote the backup"
    else:
        why = "is not known to have been removed: the run that wrote the backup was cut off"
    return ChangeRefused("not_removed", f"job {entry.id!r} {why}", hint="--force restores it all the same")
