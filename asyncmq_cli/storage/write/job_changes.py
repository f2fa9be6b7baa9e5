"""The changes of jobs: prepare the texts that a change writes, and run its script.

A change of a job is prepared from the job's location and then applied, alone or together with others. If the
job has moved since it was located, the change is refused and nothing is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import redis
from msgspec import Struct
from msgspec.structs import replace
from redis.exceptions import RedisError

from asyncmq_cli.errors import AdminError, ChangeRefused, WrongType
from asyncmq_cli.models.values import chunked
from asyncmq_cli.storage.client import scan
from asyncmq_cli.storage.client.connection import Command, run_pipeline
from asyncmq_cli.storage.schema.codec import dumps, encode_record
from asyncmq_cli.storage.schema.job import Location
from asyncmq_cli.storage.schema.keys import (
    AUDIT_STREAM,
    PLACES,
    RESTORED_HASH,
    QueueKeys,
    keys_of,
    to_bytes,
    to_text,
)
from asyncmq_cli.storage.schema.records import cancelled, member_of, priority_of, promoted, retried
from asyncmq_cli.storage.write import preflight
from asyncmq_cli.storage.write.scripts import (
    ADD,
    CANCEL,
    DONE,
    EDIT,
    REMOVE,
    RESTORE,
    RETRY,
    UNRETRY,
    WRONG_TYPE,
    Call,
    Scripts,
    Sent,
)

if TYPE_CHECKING:
    from asyncmq_cli.storage.schema.job_dump import JobDump, JobEdit
    from asyncmq_cli.storage.write.audit_stream import AuditLog, EventDraft

# The return codes of the scripts that change jobs, as their headers define them.
MOVED = -1
STATE_CHANGED = -2
ACTIVITY_CHANGED = -3
MARKED_CANCELLED = -4
RECORD_CHANGED = -5
UNLIKE_BACKUP = -6
EXISTS = -7
KEY_SHARED = -8

AT_ONCE = 500
"""The number of sets of children that a script may read, and that `finish` changes in one round trip."""

WITH_BACKUP = " with a backup"
"""The variant of the removal that first compares the job with its backup."""

_MOVED = {
    MOVED: "it is no longer where it was found",
    STATE_CHANGED: "its state has changed",
    ACTIVITY_CHANGED: "a worker has claimed or left it",
    RECORD_CHANGED: "its record has changed",
    UNLIKE_BACKUP: "it differs from the backup",
}


class Change(Struct, frozen=True):
    """A prepared change of one job."""

    location: Location
    call: Call
    parents: Sequence[str] = ()
    """The parents whose sets of children `finish` changes."""
    edit: JobEdit | None = None
    """The edit, with the texts that it replaces, for a backup."""

    @property
    def size(self) -> int:
        """The approximate number of bytes that are sent, or written to a backup."""
        dump = self.location.dump
        return self.call.size + (0 if dump is None else dump.size)


class Changes:
    """Prepares changes of jobs and applies them."""

    def __init__(self, client: redis.Redis, scripts: Scripts, audit: AuditLog) -> None:
        self._redis = client
        self._scripts = scripts
        self._audit = audit
        self._preflight = preflight.Preflight(client)

    def add(self, queue: str, record: Mapping[str, Any], draft: EventDraft) -> Change:
        """Add a new job to the waiting set, or to the delayed set if its record has a `delay_until`. Raises
        ChangeRefused. Source: `enqueue` and `enqueue_delayed` in asyncmq.backends.redis."""
        location = Location(queue, str(record["id"]))
        keys = keys_of(queue)
        require_own_record(keys, location.id)
        due = record["delay_until"]
        if due is None:
            whole = {**record, "status": "waiting", "has_dependents": False}
        else:
            whole = {**record, "status": "delayed"}
        text, payload = encode_record(whole)
        used = [
            keys.waiting,
            keys.delayed,
            keys.waiting_seq,
            *keys.of_job(location.id),
            keys.cancelled,
            AUDIT_STREAM,
        ]
        args = [
            to_bytes(location.id),
            priority_of(record, location.id),
            text,
            payload or "",
            "" if due is None else repr(due),
            "" if due is None else dumps(record),
            self._audit.maxlen,
            draft.encode(),
        ]
        return Change(location, Call(ADD, used, args))

    def promote(self, location: Location, draft: EventDraft) -> Change:
        """Move a delayed job to the waiting set. Raises ChangeRefused if it cannot be read. Source:
        `promote_due_delayed` in asyncmq.backends.redis."""
        require_own_record(keys_of(location.queue), location.id)
        member, *others = location.members["delayed"]
        record, priority = promoted(member_of(member, location.id), location.id)
        return self._requeued("delayed", location, draft, (member, others), encode_record(record), priority)

    def retry(self, location: Location, draft: EventDraft, *, reset_at: float | None) -> Change:
        """Enqueue a dead job again, and remove its other dead letters. With `reset_at` (epoch seconds), the
        job is enqueued as if it had been created then. Raises ChangeRefused if it cannot be read. Source:
        `retry_job` in asyncmq.backends.redis."""
        require_own_record(keys_of(location.queue), location.id)
        member, *others = location.members["dlq"]
        record, priority = retried(member_of(member, location.id), location, reset_at=reset_at)
        return self._requeued("dlq", location, draft, (member, others), encode_record(record), priority)

    def retry_edited(self, edit: JobEdit, priority: int, location: Location, draft: EventDraft) -> Change:
        """Enqueue a dead job again with the texts of an edit, by the same script. Raises ChangeRefused."""
        require_own_record(keys_of(location.queue), location.id)
        texts = edit.after.record, edit.after.payload
        change = self._requeued("dlq", location, draft, (edit.before.member, ()), texts, priority)
        return replace(change, edit=edit)

    def _requeued(
        self,
        place: str,
        location: Location,
        draft: EventDraft,
        members: tuple[bytes, Sequence[bytes]],
        texts: tuple[str | bytes, str | bytes | None],
        priority: int,
    ) -> Change:
        """Replace the job's members of the sorted set `place` by one member of the waiting set. `texts` are
        the new record and payload part."""
        keys = keys_of(location.queue)
        text, payload = texts
        member, others = members
        used = [
            keys.dlq if place == "dlq" else keys.delayed,
            keys.waiting,
            keys.waiting_seq,
            *keys.of_job(location.id),
            keys.cancelled,
            AUDIT_STREAM,
        ]
        args = [
            to_bytes(location.id),
            to_bytes(location.state or ""),
            member,
            priority,
            text,
            payload or "",
            self._audit.maxlen,
            draft.encode(),
            *_listed(others),
        ]
        return Change(location, Call(RETRY, used, args))

    def remove(self, location: Location, draft: EventDraft, *, force: bool) -> Change:
        """Remove a job. If its location has a `dump`, the job is removed only if it still equals the dump."""
        keys = keys_of(location.queue)
        at_once, later = shared_out(location.parents)
        used = [*_used_by_removal(keys, location.id), *map(keys.children, at_once)]
        if not keys.has_own_record(location.id):
            # All jobs share the key with that name, so remove only the rest of the job.
            used[used.index(keys.record(location.id))] = keys.payload(location.id)
        args: list[Any] = [
            to_bytes(location.id),
            to_bytes(location.state or ""),
            "1" if force else "0",
            self._audit.maxlen,
            draft.encode(),
            "1" if later else "0",
        ]
        for place in PLACES:
            args += _listed(location.members[place])
        if location.dump is None:
            return Change(location, Call(REMOVE, used, [*args, ""]), later)
        args += _backed_up(location.dump, at_once)
        return Change(location, Call(REMOVE, used, args, WITH_BACKUP), later)

    def edit(self, edit: JobEdit, draft: EventDraft) -> Change:
        """Replace the texts of a job. The job stays where it is. Raises ChangeRefused."""
        location = Location(to_text(edit.queue), to_text(edit.id))
        keys = keys_of(location.queue)
        require_own_record(keys, location.id)
        record, payload, ids, _, _, active = keys.of_job(location.id)
        used = [getattr(keys, edit.place), record, payload, ids, active, AUDIT_STREAM]
        old, new = edit.before, edit.after
        texts = [old.member, new.member, old.record, new.record, old.payload, new.payload]
        args = [edit.id, *texts, self._audit.maxlen, draft.encode()]
        return Change(location, Call(EDIT, used, args), edit=edit)

    def take_back(self, edit: JobEdit, draft: EventDraft) -> Change:
        """Undo an edit: write the old texts back. A job that was retried at the same time becomes dead again.
        Raises ChangeRefused."""
        letter = edit.retried
        if letter is None:
            return self.edit(edit.reversed, draft)
        location = Location(to_text(edit.queue), to_text(edit.id))
        keys = keys_of(location.queue)
        require_own_record(keys, location.id)
        record, payload, ids, states, results, active = keys.of_job(location.id)
        used = [keys.waiting, keys.dlq, keys.waiting_seq, record, payload, ids, states, results, active]
        old, new = edit.before, edit.after
        args: list[Any] = [edit.id, new.record, new.payload, old.member, repr(letter.score)]
        args += [old.record, old.payload, letter.state or b""]
        args += ["0" if letter.result is None else "1", letter.result or b"", int(letter.in_ids)]
        args += [self._audit.maxlen, draft.encode()]
        return Change(location, Call(UNRETRY, [*used, AUDIT_STREAM], args), edit=edit)

    def require_removal(self, queue: str) -> None:
        """Raise Redis's error if it would refuse any command of the removal of a job."""
        variant = WITH_BACKUP
        used = _used_by_removal(keys_of(queue), "")
        preflight.check(self._redis, REMOVE, used, variant)
        preflight.check_exec(self._redis)

    def restore(self, dump: JobDump, run: str, draft: EventDraft) -> Change:
        """Write a removed job back, byte for byte, unless the job exists. `run` is the id of the removal.
        Raises ChangeRefused."""
        location = Location(to_text(dump.queue), to_text(dump.id))
        keys = keys_of(location.queue)
        require_own_record(keys, location.id)
        at_once, later = shared_out([to_text(parent) for parent in dump.parents])
        used = [*_used_by_removal(keys, location.id), RESTORED_HASH, *map(keys.children, at_once)]
        args: list[Any] = [dump.id, self._audit.maxlen, draft.encode()]
        for value in dump.values:
            args += ["0" if value is None else "1", value or b""]
        args += [int(dump.in_ids), int(dump.cancelled)]
        for members in dump.places:
            args += _listed([text for member, score in members for text in (repr(score), member)])
        args += [*_listed(dump.pending), *_listed(dump.children), run]
        return Change(location, Call(RESTORE, used, args), later)

    def cancel(self, location: Location, draft: EventDraft) -> Change:
        """Mark a job as cancelled, and remove it from the places where a worker would find it. Raises
        ChangeRefused if its record cannot be read. Source: `cancel_job` in asyncmq.backends.redis."""
        keys = keys_of(location.queue)
        require_own_record(keys, location.id)
        text, payload = encode_record(cancelled(location))
        used = [
            keys.waiting,
            keys.delayed,
            *keys.of_job(location.id),
            keys.heartbeats,
            keys.cancelled,
            AUDIT_STREAM,
        ]
        args = [
            to_bytes(location.id),
            to_bytes(location.state or ""),
            "1" if location.active else "0",
            location.record or b"",
            text,
            payload or "",
            self._audit.maxlen,
            draft.encode(),
        ]
        for place in ("waiting", "delayed"):
            args += _listed(location.members[place])
        return Change(location, Call(CANCEL, used, args))

    def send(self, changes: Sequence[Change]) -> Sent:
        """Check the rights for the changes again, and send them in one transaction."""
        self._preflight.reset()
        for change in changes:
            call = change.call
            self._preflight.require(call.script, change.location.queue, call.keys, call.variant)
        return self._scripts.send_together([change.call for change in changes])

    def outcomes(self, changes: Sequence[Change], sent: Sent) -> list[AdminError | RedisError | None]:
        """The outcome of each change that was sent: None if it was made, an AdminError if the script refused
        it, a RedisError if Redis refused it."""
        replies = self._scripts.replies([change.call for change in changes], sent)
        return [
            reply if isinstance(reply, RedisError) else _refusal(change, reply)
            for change, reply in zip(changes, replies, strict=True)
        ]

    def finish(self, change: Change) -> None:
        """Remove a job from its parents' sets of children, or add a restored job to them, if they are too
        many for the script. Each command changes one set, so that Redis is not blocked.

        If this is interrupted, a removed job leaves its set of pending parents, which the doctor finds; its
        entries in its parents' sets are deleted together with those sets. If all parents of a restored job
        have completed, the doctor finds it as `parents_done`.
        """
        if not change.parents:
            return
        keys, name = keys_of(change.location.queue), to_bytes(change.location.id)
        removed = change.call.script is not RESTORE
        for piece in chunked(change.parents, AT_ONCE):
            self._in_parents_sets(keys, name, piece, removed=removed)
        if removed:
            # This set also has parents that were added later.
            for left in scan.set_members(self._redis, keys.pending_parents(change.location.id)):
                self._in_parents_sets(keys, name, list(map(to_text, left)), removed=True)

    def _in_parents_sets(
        self, keys: QueueKeys, name: bytes, parents: Sequence[str], *, removed: bool
    ) -> None:
        command = "SREM" if removed else "SADD"
        commands: list[Command] = [(command, keys.children(parent), name) for parent in parents]
        if removed:
            commands.append(("SREM", keys.pending_parents(to_text(name)), *map(to_bytes, parents)))
        # The doctor reports sets of the wrong type.
        run_pipeline(self._redis, commands, keep=WrongType)


def _refusal(change: Change, reply: Sequence[int]) -> AdminError | None:
    job_id = change.location.id
    if reply[0] == DONE:
        return None
    if reply[0] == WRONG_TYPE:
        return WrongType(change.call.keys[reply[1] - 1])
    if reply[0] == MARKED_CANCELLED:
        return marked_cancelled(job_id)
    if reply[0] == EXISTS and change.call.script is ADD:
        return ChangeRefused(
            "job_exists",
            f"job {job_id!r} already exists; nothing was added",
            facts={"queue": change.location.queue, "job_id": job_id},
        )
    if reply[0] == EXISTS:
        return already_there(change.location.queue, job_id)
    if reply[0] == KEY_SHARED:
        return ChangeRefused(
            "key_shared",
            f"job {job_id!r} and another job have a key in common, because one id is the other with an affix "
            "of AsyncMQ's; nothing was changed",
        )
    return ChangeRefused(
        "job_moved",
        f"job {job_id!r} moved meanwhile ({_MOVED[reply[0]]}); nothing was changed",
        facts={"queue": change.location.queue, "job_id": job_id},
    )


def require_own_record(keys: QueueKeys, job_id: str) -> None:
    """Raise ChangeRefused for an id whose record would be stored at a key that all jobs share."""
    if not keys.has_own_record(job_id):
        raise ChangeRefused(
            "job_id_reserved",
            f"the record of a job with the id {job_id!r} would be the key {to_text(keys.record(job_id))!r}, "
            "which all jobs of the queue share; nothing was changed",
            facts={"queue": keys.queue, "job_id": job_id},
        )


def marked_cancelled(job_id: str) -> ChangeRefused:
    """The error for a job with a cancel mark, which a worker would drop instead of running it."""
    return ChangeRefused("job_cancelled", f"job {job_id!r} is marked as cancelled, so a worker would drop it")


def already_there(queue: str, job_id: str) -> ChangeRefused:
    """The error for a job that is not restored because it exists."""
    return ChangeRefused(
        "job_exists",
        f"job {job_id!r} exists, so it is not restored",
        facts={"queue": queue, "job_id": job_id},
    )


def _used_by_removal(keys: QueueKeys, job_id: str) -> list[bytes]:
    """The keys that a removal deletes from and a restore writes to, in the order of KEYS in both scripts."""
    return [
        keys.waiting,
        keys.delayed,
        keys.dlq,
        *keys.of_job(job_id),
        keys.heartbeats,
        keys.cancelled,
        keys.pending_parents(job_id),
        keys.children(job_id),
        AUDIT_STREAM,
    ]


def shared_out(parents: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """The parents whose sets the script changes, and those whose sets `finish` changes. One of the two is
    empty."""
    return (parents, ()) if len(parents) <= AT_ONCE else ((), parents)


def _backed_up(dump: JobDump, asked_parents: Sequence[str]) -> list[Any]:
    args: list[Any] = [dump.digest(asked_parents)]
    for members in dump.places:
        args += _listed([repr(score) for _, score in members])
    return args + _listed(dump.pending) + _listed(dump.children)


def _listed(members: Sequence[str | bytes]) -> list[Any]:
    return [len(members), *members]
