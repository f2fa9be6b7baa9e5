"""Reading the audit trail."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from asyncmq_cli.models import AuditEvent
from asyncmq_cli.storage.store import Store

MAX_LIMIT = 500


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """`action`, `status` and `queue` match exactly; `q` any part of an event's text."""

    action: str | None = None
    status: str | None = None
    queue: str | None = None
    q: str = ""

    def __call__(self, event: AuditEvent) -> bool:
        if self.action and event.action != self.action:
            return False
        if self.status and event.status != self.status:
            return False
        if self.queue and event.queue != self.queue:
            return False
        wanted = self.q.strip().lower()
        return not wanted or wanted in _searchable(event)


class AuditService:
    def __init__(self, store: Store) -> None:
        self._store = store

    @staticmethod
    def clamped(limit: int) -> int:
        return max(1, min(limit, MAX_LIMIT))

    def matching(
        self, *, action: str | None, status: str | None, queue: str | None, q: str, limit: int | None
    ) -> Iterator[AuditEvent]:
        """Events newest first. A limit is brought within 1 to 500; None means all."""
        wanted = AuditFilter(action=action, status=status, queue=queue, q=q)
        matching = filter(wanted, self._store.audit.newest_first(self._store.warn))
        return matching if limit is None else islice(matching, self.clamped(limit))


def _searchable(event: AuditEvent) -> str:
    words = (event.action, event.source, event.queue, event.job_id, event.actor, event.error)
    details = json.dumps(dict(event.details), sort_keys=True, ensure_ascii=False)
    return " ".join([*(word or "" for word in words), details]).lower()
