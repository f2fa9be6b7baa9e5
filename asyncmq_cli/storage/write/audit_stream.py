"""The audit trail: a Redis stream that all operators share.

An entry has two fields: `timestamp`, the server's time in epoch seconds, and `event`, a JSON
object with the rest of an `AuditEvent`. Only scripts write entries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import redis

from asyncmq_cli.errors import WrongType
from asyncmq_cli.models.changes import AuditEvent
from asyncmq_cli.models.values import as_number
from asyncmq_cli.storage.client import scan
from asyncmq_cli.storage.schema.codec import CorruptData, dumps, loads
from asyncmq_cli.storage.schema.keys import AUDIT_STREAM
from asyncmq_cli.storage.write.scripts import DONE, RECORD_EVENT, Scripts


@dataclass(frozen=True, slots=True)
class EventDraft:
    """An event without its time, which the script adds."""

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
    """The trail in Redis, trimmed to about `maxlen` events."""

    def __init__(self, client: redis.Redis, scripts: Scripts, maxlen: int) -> None:
        self._redis = client
        self._scripts = scripts
        self.maxlen = maxlen

    def record(self, draft: EventDraft) -> None:
        """Write an event without a change, such as a failed attempt. Raises WrongType."""
        reply = self._scripts.run(RECORD_EVENT, [AUDIT_STREAM], [self.maxlen, draft.encode()])
        if reply[0] != DONE:
            raise WrongType(AUDIT_STREAM)

    def newest_first(self, warn: Callable[[str], None]) -> Iterator[AuditEvent]:
        """Every event, newest first. Other entries are skipped with a warning. Raises WrongType."""
        for entry_id, fields in scan.stream_entries(self._redis, AUDIT_STREAM):
            try:
                yield _event(fields)
            except (CorruptData, KeyError, TypeError) as exc:
                warn(f"audit entry {entry_id.decode()} is not an event: {exc}")


def _event(fields: Mapping[bytes, bytes]) -> AuditEvent:
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
    )


def _text_or_none(value: Any) -> str | None:
    return None if value is None else str(value)
