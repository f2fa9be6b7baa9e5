"""The audit trail: one Redis stream that all operators share.

An entry has three fields: `timestamp`, the server's time in epoch seconds; `event`, a JSON object with the
rest of an `AuditEvent`; and `chain`, which links it to the entry before it (`models/audit/chain.py`). Only
scripts write entries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import redis
from msgspec import Struct

from asyncmq_cli.errors import WrongType
from asyncmq_cli.models.audit.chain import Head, Link
from asyncmq_cli.models.changes import AuditEvent
from asyncmq_cli.models.values import as_number
from asyncmq_cli.storage.client import scan
from asyncmq_cli.storage.schema.codec import CorruptData, dumps, loads
from asyncmq_cli.storage.schema.keys import AUDIT_HEAD, AUDIT_STREAM
from asyncmq_cli.storage.write.scripts import DONE, RECORD_EVENT, Scripts

_TRIES = 100


class EventDraft(Struct, frozen=True):
    """An event before it is written. The script adds its time."""

    action: str
    source: str
    queue: str | None
    job_id: str | None
    actor: str
    details: Mapping[str, Any]
    error: str | None = None

    def encode(self) -> str:
        """The event as JSON, without its time."""
        return dumps(
            {
                "action": self.action,
                "source": self.source,
                "status": "success" if self.error is None else "failed",
                "queue": self.queue,
                "job_id": self.job_id,
                "actor": self.actor,
                "details": dict(self.details),
                "error": self.error,
            }
        )


class AuditLog:
    """Reads and writes the audit trail, which is trimmed to about `maxlen` events."""

    def __init__(self, client: redis.Redis, scripts: Scripts, maxlen: int) -> None:
        self._redis = client
        self._scripts = scripts
        self.maxlen = maxlen

    def record(self, draft: EventDraft) -> None:
        """Write an event that belongs to no change, such as a failed attempt. Raises WrongType."""
        reply = self._scripts.run(RECORD_EVENT, [AUDIT_STREAM], [self.maxlen, draft.encode()])
        if reply[0] != DONE:
            raise WrongType(AUDIT_STREAM)

    def newest_first(self, warn: Callable[[str], None]) -> Iterator[AuditEvent]:
        """Every event, newest first. Other entries are skipped with a warning. Raises WrongType."""
        for entry in scan.stream_entries(self._redis, AUDIT_STREAM):
            if (event := _read(entry, warn)) is not None:
                yield event

    def event(self, entry_id: str) -> AuditEvent | None:
        """The event with this id, or None. Raises WrongType."""
        entry = next(scan.stream_entries(self._redis, AUDIT_STREAM, entry_id.encode()), None)
        if entry is None or entry[0] != entry_id.encode():
            return None
        return _read(entry, lambda message: None)

    def oldest_first(
        self, warn: Callable[[str], None], after: str = ""
    ) -> Iterator[tuple[str, AuditEvent | None]]:
        """The id and event of each entry after `after`, or of all entries, oldest first. For an entry that is
        not an event, the event is None and a warning is printed. Raises WrongType."""
        for entry in scan.stream_entries_after(self._redis, AUDIT_STREAM, after.encode()):
            yield entry[0].decode(), _read(entry, warn)

    def newest_id(self) -> str:
        """The id of the newest entry; "" if there is none."""
        return (self._newest() or b"").decode()

    def links(self) -> tuple[Head | None, str | None, Iterator[Link]]:
        """The head of the chain, the id of the oldest entry, and the links of all entries, newest first.
        Raises WrongType if the key is no stream."""
        head, newest = self._head(), self._newest()
        for _ in range(_TRIES):
            # The head changes with each event. If it is unchanged, no event was written between the two
            # replies.
            if (again := self._head()) == head:
                break
            head, newest = again, self._newest()
        if newest is None:
            return head, None, iter(())
        oldest = next((entry_id for entry_id, _ in scan.stream_entries_after(self._redis, AUDIT_STREAM)), b"")
        entries = scan.stream_entries(self._redis, AUDIT_STREAM, newest)
        return head, oldest.decode(), (Link.of(entry_id, fields) for entry_id, fields in entries)

    def _head(self) -> Head | None:
        # MGET accepts a key of any type.
        (stored,) = self._redis.mget(AUDIT_HEAD)
        return Head.of(stored) if isinstance(stored, bytes) else None

    def _newest(self) -> bytes | None:
        return next((entry_id for entry_id, _ in scan.stream_entries(self._redis, AUDIT_STREAM)), None)


def _read(entry: scan.StreamEntry, warn: Callable[[str], None]) -> AuditEvent | None:
    entry_id, fields = entry
    try:
        return _event(entry_id, fields)
    except (CorruptData, TypeError) as exc:
        why = str(exc)
    except KeyError as exc:
        (name,) = exc.args
        why = f"it has no {str(name, 'ascii') if isinstance(name, bytes) else name!r}"
    warn(f"audit entry {entry_id.decode()} is not an event: {why}")
    return None


def _event(entry_id: bytes, fields: Mapping[bytes, bytes]) -> AuditEvent:
    data = loads(fields[b"event"])
    timestamp = as_number(fields[b"timestamp"].decode("ascii", "replace"))
    if not isinstance(data, dict) or timestamp is None:
        raise CorruptData("its fields hold something else")
    details = data.get("details")
    return AuditEvent(
        timestamp=timestamp,
        action=str(data["action"]),
        source=str(data["source"]),
        status=str(data["status"]),
        queue=_text_or_none(data.get("queue")),
        job_id=_text_or_none(data.get("job_id")),
        actor=_text_or_none(data.get("actor")),
        details=details if isinstance(details, dict) else {},
        error=_text_or_none(data.get("error")),
        id=entry_id.decode("ascii", "replace"),
        chain=fields[b"chain"].decode("ascii", "replace") if b"chain" in fields else None,
    )


def _text_or_none(value: Any) -> str | None:
    return None if value is None else str(value)
