"""The changes of queues and workers: pause, resume and forget; and the parts of a queue other than jobs: they
are read in chunks, deleted if they are unchanged, and restored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import redis

from asyncmq_cli.errors import ChangeRefused, WrongType
from asyncmq_cli.models.queues import JOBLESS_PARTS, QueuePart
from asyncmq_cli.storage.client import scan
from asyncmq_cli.storage.client.connection import run_pipeline
from asyncmq_cli.storage.read.repeatables import scheduler_at_work
from asyncmq_cli.storage.schema.codec import decode_member
from asyncmq_cli.storage.schema.keys import AUDIT_STREAM, QueueKeys, to_bytes, to_text
from asyncmq_cli.storage.write import preflight
from asyncmq_cli.storage.write.preflight import Preflight
from asyncmq_cli.storage.write.scripts import (
    DONE,
    PAUSE,
    QUEUE_CLEAR,
    QUEUE_FORGET,
    QUEUE_PUT,
    RESUME,
    WORKER_FORGET,
    WRONG_TYPE,
    Script,
    Scripts,
)

if TYPE_CHECKING:
    from asyncmq_cli.storage.write.audit_stream import AuditLog, EventDraft

MOVED = -1
SCHEDULER_AT_WORK = -2
NOT_EMPTY = -3

_KINDS = {
    "repeatables": "zset",
    "delayed": "zset",
    "dlq": "zset",
    "cancelled": "set",
    "results": "hash",
    "heartbeats": "hash",
    "paused": "string",
    "sequence": "string",
}
Elements = list[tuple[bytes, bytes]]


class QueueChanges:
    """Changes queues and workers, each immediately."""

    def __init__(self, client: redis.Redis, scripts: Scripts, audit: AuditLog) -> None:
        self._scripts = scripts
        self._audit = audit
        self._preflight = Preflight(client)

    def pause(self, queue: str, draft: EventDraft, seconds: float | None = None) -> bool:
        """Pause the queue for `seconds` seconds, or without an end. False if it was already paused. Raises
        WrongType."""
        return self._mark(PAUSE, queue, draft, "" if seconds is None else str(int(seconds * 1000)))

    def resume(self, queue: str, draft: EventDraft) -> bool:
        """Resume the queue. False if it was not paused. Raises WrongType."""
        return self._mark(RESUME, queue, draft)

    def forget_queue(self, queue: str, draft: EventDraft) -> bytes | None:
        """Delete the sequence of an empty queue. Returns None if that was done. If nothing was changed,
        returns b"" if there is no sequence, or another key of the queue that exists."""
        keys = QueueKeys(queue)
        others = [key for key in keys.evidence() if key != keys.waiting_seq]
        used = [keys.waiting_seq, AUDIT_STREAM, *others]
        self._preflight.require(QUEUE_FORGET, queue, used)
        reply = self._scripts.run(QUEUE_FORGET, used, [self._audit.maxlen, draft.encode()])
        if reply[0] == WRONG_TYPE:
            raise WrongType(used[reply[1] - 1])
        if reply[0] == MOVED:
            return used[reply[1] - 1]
        return None if reply[0] == DONE else b""

    def forget_worker(self, queue: str, worker_id: str, entries: Sequence[bytes], draft: EventDraft) -> bool:
        """Delete a worker's heartbeats. `entries` are the worker's entries in the workers' and the jobs'
        heartbeats, b"" for none. Returns False if they have changed. Source: `deregister_worker` in
        asyncmq.backends.redis."""
        keys = QueueKeys(queue)
        used = [keys.worker_heartbeats, keys.heartbeats, AUDIT_STREAM]
        self._preflight.require(WORKER_FORGET, queue, used)
        args = [to_bytes(worker_id), *entries, self._audit.maxlen, draft.encode()]
        reply = self._scripts.run(WORKER_FORGET, used, args)
        if reply[0] == WRONG_TYPE:
            raise WrongType(used[reply[1] - 1])
        return reply[0] == DONE

    def _mark(self, script: Script, queue: str, draft: EventDraft, *more: str) -> bool:
        used = [QueueKeys(queue).paused, AUDIT_STREAM]
        self._preflight.require(script, queue, used)
        reply = self._scripts.run(script, used, [self._audit.maxlen, draft.encode(), *more])
        if reply[0] == WRONG_TYPE:
            raise WrongType(used[reply[1] - 1])
        return reply[0] == DONE


class QueueParts:
    """Reads and changes the parts of queues."""

    def __init__(self, client: redis.Redis, scripts: Scripts, audit: AuditLog) -> None:
        self._redis = client
        self._scripts = scripts
        self._audit = audit

    def sizes(self, queue: str) -> dict[str, int]:
        """By part, the number of elements, for the parts that can exist without a job. Raises WrongType."""
        sizes = {}
        for name in JOBLESS_PARTS:
            key = _key(queue, name)
            command = {"zset": "ZCARD", "set": "SCARD", "hash": "HLEN", "string": "EXISTS"}[_KINDS[name]]
            sizes[name] = scan.card(self._redis, command, key)
        return sizes

    def read(self, queue: str, name: str) -> Iterator[QueuePart]:
        """Yield a part in chunks. Deleting the chunks that were read does not disturb the read. Raises
        WrongType."""
        for elements in self._elements(_key(queue, name), _KINDS[name]):
            yield QueuePart(to_bytes(queue), name, tuple(dict(elements).items()))

    def nameless(self, queue: str, name: str) -> Iterator[QueuePart]:
        """The same as `read`, but only for members that contain no readable id, so that they belong to no
        known job."""
        for part in self.read(queue, name):
            left = tuple((raw, score) for raw, score in part.elements if not _has_id(raw))
            if left:
                yield QueuePart(part.queue, name, left)

    def _elements(self, key: bytes, kind: str) -> Iterator[Elements]:
        if kind == "zset":
            for members in scan.zset_members(self._redis, key):
                yield [(raw, repr(score).encode()) for raw, score in members]
        elif kind == "hash":
            for fields in scan.hash_fields(self._redis, key):
                yield list(fields.items())
        elif kind == "set":
            for names in scan.set_members(self._redis, key):
                yield [(name, b"") for name in names]
        else:
            if scan.typed(key, self._redis.strlen, key):
                (value,) = scan.get_many(self._redis, [key], scan.Pace())
                yield [] if value is None else [(self._end_of(key), value)]

    def _end_of(self, key: bytes) -> bytes:
        """When the key expires, in epoch milliseconds; b"" if it does not expire."""
        (seconds, micros), left = run_pipeline(self._redis, [("TIME",), ("PTTL", key)])
        return b"%d" % (seconds * 1000 + micros // 1000 + left) if left > 0 else b""

    @staticmethod
    def nothing(queue: str) -> QueuePart:
        """A part without elements, for the event of a queue that has no counter."""
        return QueuePart(to_bytes(queue), "sequence", ())

    def require_rights(self, queue: str) -> None:
        """Raise Redis's error if it would refuse any command of `sizes`, `read` or `clear`. Raises
        WrongType."""
        self.sizes(queue)
        for name in _KINDS:
            next(self.read(queue, name), None)
            self._check(QUEUE_CLEAR, _used(queue, name), name)

    def clear(self, part: QueuePart, draft: EventDraft, *, only_rest: bool = False) -> None:
        """Delete these elements if they have not changed since they were read. With `only_rest`, the queue
        must have no job and, for the sequence, no other part either. Raises ChangeRefused, WrongType, and
        NotNow while a scheduler holds its lock."""
        queue = to_text(part.queue)
        others = _others(queue, part.name) if only_rest else []
        used = [*_used(queue, part.name), *others]
        self._check(QUEUE_CLEAR, used, part.name)
        reply = self._scripts.run(QUEUE_CLEAR, used, self._args(part, draft))
        if reply[0] == NOT_EMPTY:
            raise not_empty(queue, used[reply[1] - 1])
        if reply[0] == MOVED:
            raise ChangeRefused(
                "queue_changed",
                f"queue {queue!r} changed meanwhile ({part.name}); what was found there was not deleted",
                facts={"queue": queue},
            )
        self._raise(reply, queue, used)

    def put(self, part: QueuePart, draft: EventDraft) -> bool:
        """Restore the elements that are missing. Returns False if none is missing. Raises WrongType, and
        NotNow while a scheduler holds its lock."""
        queue = to_text(part.queue)
        used = _used(queue, part.name)
        self._check(QUEUE_PUT, used, part.name)
        reply = self._scripts.run(QUEUE_PUT, used, self._args(part, draft))
        self._raise(reply, queue, used)
        return reply[0] == DONE

    def _args(self, part: QueuePart, draft: EventDraft) -> list[Any]:
        listed = [text for element in part.elements for text in element]
        return [part.name, self._audit.maxlen, draft.encode(), len(listed), *listed]

    def _check(self, script: Script, used: Sequence[bytes], name: str) -> None:
        preflight.check(self._redis, script, used, f" {_KINDS[name]}")

    @staticmethod
    def _raise(reply: Sequence[int], queue: str, used: Sequence[bytes]) -> None:
        if reply[0] == WRONG_TYPE:
            raise WrongType(used[reply[1] - 1])
        if reply[0] == SCHEDULER_AT_WORK:
            raise scheduler_at_work(queue)


def not_empty(queue: str, key: bytes) -> ChangeRefused:
    """The error for a queue that got jobs or definitions in the meantime."""
    return ChangeRefused(
        "queue_not_empty",
        f"queue {queue!r} is not empty: it has {to_text(key)!r}",
        facts={"queue": queue},
        cause="obliterate",
    )


def _has_id(raw: bytes) -> bool:
    record = decode_member(raw)
    return record is None or bool(record.get("id"))


def _key(queue: str, name: str) -> bytes:
    keys = QueueKeys(queue)
    key: bytes = keys.waiting_seq if name == "sequence" else getattr(keys, name)
    return key


def _used(queue: str, name: str) -> list[bytes]:
    return [_key(queue, name), QueueKeys(queue).scheduler_lock, AUDIT_STREAM]


def _others(queue: str, name: str) -> list[bytes]:
    keys = QueueKeys(queue)
    if name != "sequence":
        return [keys.waiting, keys.delayed, keys.dlq, keys.active, keys.ids, keys.states]
    # Leave out the heartbeats, because a live worker always has some.
    return [key for key in keys.evidence() if key not in (keys.waiting_seq, keys.worker_heartbeats)]
