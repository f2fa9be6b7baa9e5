"""The changes: for each, the texts it writes and the script that makes it.

A job's change is prepared from where the job was found, and then carried out alone or together
with others. One that finds that the job has moved on since then changes nothing and says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis
from redis.exceptions import RedisError

from asyncmq_cli.errors import AdminError, ChangeRefused
from asyncmq_cli.storage import preflight
from asyncmq_cli.storage.audit import AuditLog, EventDraft
from asyncmq_cli.storage.codec import CorruptData, decode_member, decode_record, encode_record, with_payload
from asyncmq_cli.storage.keys import AUDIT_STREAM, QueueKeys, to_bytes
from asyncmq_cli.storage.locate import Location
from asyncmq_cli.storage.scan import WrongType
from asyncmq_cli.storage.scripts import CANCEL, PAUSE, REMOVE, RESUME, RETRY, Call, Script, Scripts

# The return codes of the scripts, as their headers give them.
DONE = 1
UNCHANGED = 0
MOVED = -1
STATE_CHANGED = -2
ACTIVITY_CHANGED = -3
MARKED_CANCELLED = -4
RECORD_CHANGED = -5
WRONG_TYPE = -9

_RETRY_DROPS = ("result", "failed_at", "completed_at", "last_error", "error_traceback")

_MOVED = {
    MOVED: "it is no longer where it was found",
    STATE_CHANGED: "its state has changed",
    ACTIVITY_CHANGED: "a worker has claimed or left it",
    RECORD_CHANGED: "its record has changed",
}


@dataclass(frozen=True, slots=True)
class Change:
    """A prepared change of one job."""

    location: Location
    call: Call


class Changes:
    def __init__(self, client: redis.Redis, scripts: Scripts, audit: AuditLog) -> None:
        self._redis = client
        self._scripts = scripts
        self._audit = audit
        self._allowed: set[tuple[str, str]] = set()

    def pause(self, queue: str, draft: EventDraft) -> bool:
        """Whether it was changed: False where the queue was paused already."""
        return self._mark(PAUSE, queue, draft)

    def resume(self, queue: str, draft: EventDraft) -> bool:
        """Whether it was changed: False where the queue was not paused."""
        return self._mark(RESUME, queue, draft)

    def retry(self, location: Location, draft: EventDraft, *, reset_at: float | None) -> Change:
        """Enqueue a dead letter again; with `reset_at`, as if it had been created then."""
        keys = QueueKeys(location.queue)
        member = location.members["dlq"][0]
        record, priority = retried(member, location.id, reset_at=reset_at)
        text, payload = encode_record(record)
        used = [
            keys.dlq,
            keys.waiting,
            keys.waiting_seq,
            keys.record(location.id),
            keys.payload(location.id),
            keys.ids,
            keys.states,
            keys.results,
            keys.active,
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
        ]
        return Change(location, Call(RETRY, used, args))

    def remove(self, location: Location, draft: EventDraft, *, force: bool) -> Change:
        keys = QueueKeys(location.queue)
        used = [
            keys.waiting,
            keys.delayed,
            keys.dlq,
            keys.record(location.id),
            keys.payload(location.id),
            keys.ids,
            keys.states,
            keys.results,
            keys.active,
            keys.heartbeats,
            keys.cancelled,
            keys.pending_parents(location.id),
            keys.children(location.id),
            AUDIT_STREAM,
            *(keys.children(parent) for parent in _parents(location)),
        ]
        args: list[Any] = [
            to_bytes(location.id),
            to_bytes(location.state or ""),
            "1" if force else "0",
            self._audit.maxlen,
            draft.encode(),
        ]
        for place in ("waiting", "delayed", "dlq"):
            args += _listed(location.members[place])
        return Change(location, Call(REMOVE, used, args))

    def cancel(self, location: Location, draft: EventDraft) -> Change:
        keys = QueueKeys(location.queue)
        text, payload = encode_record(cancelled(location))
        used = [
            keys.waiting,
            keys.delayed,
            keys.record(location.id),
            keys.payload(location.id),
            keys.ids,
            keys.states,
            keys.results,
            keys.active,
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

    def carry_out(self, changes: Sequence[Change]) -> list[AdminError | RedisError | None]:
        """Make the changes in one transaction. None for each that was made; a RedisError is what
        Redis itself said to one of them."""
        for change in changes:
            self._check_allowed(change.call.script, change.location.queue, change.call.keys)
        replies = self._scripts.run_together([change.call for change in changes])
        return [
            reply if isinstance(reply, RedisError) else _refusal(change, reply)
            for change, reply in zip(changes, replies, strict=True)
        ]

    def _mark(self, script: Script, queue: str, draft: EventDraft) -> bool:
        used = [QueueKeys(queue).paused, AUDIT_STREAM]
        self._check_allowed(script, queue, used)
        reply = self._scripts.run(script, used, [self._audit.maxlen, draft.encode()])
        if reply[0] == WRONG_TYPE:
            raise WrongType(used[reply[1] - 1])
        return reply[0] == DONE

    def _check_allowed(self, script: Script, queue: str, keys: Sequence[bytes]) -> None:
        """Once for each kind of change and queue: would Redis take every command of the script?"""
        if (script.name, queue) not in self._allowed:
            preflight.check(self._redis, script, keys)
            self._allowed.add((script.name, queue))


def _refusal(change: Change, reply: Sequence[int]) -> AdminError | None:
    job_id = change.location.id
    if reply[0] == DONE:
        return None
    if reply[0] == WRONG_TYPE:
        return WrongType(change.call.keys[reply[1] - 1])
    if reply[0] == MARKED_CANCELLED:
        return marked_cancelled(job_id)
    return ChangeRefused(
        "job_moved",
        f"job {job_id!r} moved meanwhile ({_MOVED[reply[0]]}); nothing was changed",
        hint="look at it again with 'asyncmq jobs show'",
    )


def marked_cancelled(job_id: str) -> ChangeRefused:
    return ChangeRefused(
        "job_cancelled",
        f"job {job_id!r} is marked as cancelled, so a worker would drop it",
        hint="remove it, and enqueue it anew if it must run",
    )


def retried(member: bytes, job_id: str, *, reset_at: float | None) -> tuple[dict[str, Any], int]:
    """The record of a dead letter that waits again, and its priority.

    Source: `_prepare_retry_payload` in asyncmq.backends.base and `enqueue` in
    asyncmq.backends.redis, whose order of keys this keeps.
    """
    job = decode_member(member)
    if job is None:
        raise _unreadable(job_id, "its dead letter is not a JSON object")
    record = {**job, "id": job_id, "status": "waiting", "delay_until": None}
    for name in _RETRY_DROPS:
        record.pop(name, None)
    record["has_dependents"] = bool(record.get("has_dependents", False))
    if reset_at is not None:
        record.update(created_at=reset_at, retries=0)
    priority = record.get("priority", 5)
    try:
        return record, int(5 if priority is None else priority)
    except (TypeError, ValueError, OverflowError) as exc:
        raise _unreadable(job_id, "its priority is not a number") from exc


def cancelled(location: Location) -> dict[str, Any]:
    """The record of a job once it is cancelled. Source: `cancel_job` in asyncmq.backends.redis."""
    record = dict(_stored(location))
    record.update(status="cancelled", delay_until=None)
    record.pop("result", None)
    return record


def _stored(location: Location) -> Mapping[str, Any]:
    if location.record is not None:
        try:
            data = decode_record(location.record)
            return data if location.payload is None else with_payload(data, location.payload)
        except CorruptData as exc:
            raise _unreadable(location.id, str(exc)) from exc
    for place in ("waiting", "delayed"):
        for member in location.members[place]:
            job = decode_member(member)
            if job is not None:
                return job
    raise _unreadable(location.id, "it has no record")


def _parents(location: Location) -> list[str]:
    """The jobs that this one waits for. A record that cannot be read names none."""
    depends_on = location.job.get("depends_on")
    if not isinstance(depends_on, list):
        return []
    return list(dict.fromkeys(str(parent) for parent in depends_on))


def _unreadable(job_id: str, why: str) -> ChangeRefused:
    return ChangeRefused(
        "job_unreadable",
        f"job {job_id!r} cannot be read: {why}",
        hint="'asyncmq jobs remove' takes it out of the queue",
    )


def _listed(members: Sequence[bytes]) -> list[Any]:
    return [len(members), *members]
