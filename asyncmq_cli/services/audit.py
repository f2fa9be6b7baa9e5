"""Read and filter the audit trail."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncmq_cli.models.changes import AuditEvent
    from asyncmq_cli.storage.store import Store

DEFAULT_LIMIT = 200
MAX_LIMIT = 500


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Fields match exactly; `q` matches any part of an event's text, in any case."""

    action: str | None = None
    status: str | None = None
    queue: str | None = None
    job_id: str | None = None
    actor: str | None = None
    q: str = ""

    def __call__(self, event: AuditEvent) -> bool:
        for name in ("action", "status", "queue", "job_id", "actor"):
            asked = getattr(self, name)
            if asked and getattr(event, name) != asked:
                return False
        wanted = self.q.strip().lower()
        return not wanted or wanted in _searchable(event)


class AuditService:
    """Reads the audit trail."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @staticmethod
    def clamped(limit: int) -> int:
        """The limit, clamped to 1 to 500."""
        return max(1, min(limit, MAX_LIMIT))

    def require_queue(self, queue: str) -> None:
        """Raise QueueNotFound if neither Redis nor the trail knows the queue; one that is gone may have left
        events."""
        from asyncmq_cli.services.jobs.lookup import require_queue

        if self._store.queues.exists(queue):
            return
        if not any(event.queue == queue for event in self._store.audit.newest_first(self._store.warn)):
            require_queue(self._store, queue)

    def matching(
        self, wanted: AuditFilter, *, since: float | None, limit: int | None
    ) -> Iterator[AuditEvent]:
        """Matching events, newest first. `since` is an age in seconds. `limit` is clamped to 1 to 500; None
        means all."""
        events = self._store.audit.newest_first(self._store.warn)
        if since is not None:
            earliest = self._store.now() - since
            events = takewhile(lambda event: event.timestamp >= earliest, events)
        matching = filter(wanted, events)
        return matching if limit is None else islice(matching, self.clamped(limit))

    def newest(
        self, wanted: AuditFilter, *, since: float | None, limit: int
    ) -> tuple[list[AuditEvent], bool]:
        """At most `limit` matching events, and whether there are more."""
        matching = self.matching(wanted, since=since, limit=None)
        found = list(islice(matching, self.clamped(limit)))
        return found, next(matching, None) is not None


def _searchable(event: AuditEvent) -> str:
    words = (event.action, event.source, event.queue, event.job_id, event.actor, event.error)
    details = json.dumps(dict(event.details), sort_keys=True, ensure_ascii=False)
    return " ".join([*(word or "" for word in words), details]).lower()
