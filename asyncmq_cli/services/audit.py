"""Read and filter the audit trail."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import islice, takewhile
from typing import TYPE_CHECKING

from msgspec import Struct

from asyncmq_cli.errors import QueueNotFound, RedisProblem, WrongType
from asyncmq_cli.models.audit import chain as audit_chain
from asyncmq_cli.models.changes import AuditRun
from asyncmq_cli.services.jobs.lookup import matches, named_or_matching, nearest_queues

if TYPE_CHECKING:
    from asyncmq_cli.models.audit.chain import ChainReport, Head
    from asyncmq_cli.models.changes import AuditEvent
    from asyncmq_cli.services.monitoring.poller import Outage
    from asyncmq_cli.storage.store import Store

DEFAULT_LIMIT = 200
MOST_FOLDED = 2000
"""The number of events that a folded list reads, unless --limit or --since is given."""
_RUN_GAP = 60.0
"""Seconds. Events of one run are at most this far apart."""
_PAUSES = ("queue.pause", "queue.resume")
_AT_ONCE = 1000
"""The number of events that are read before they are printed."""
_SEARCHED = 5000
"""At most this many of the newest events are searched for the changes of a queue or job."""
MAX_LIMIT = 500


class AuditFilter(Struct, frozen=True):
    """A filter of events. The fields match exactly; None matches every event. `queues` are names or globs.
    `q` matches any part of an event's text, ignoring case."""

    action: str | None = None
    status: str | None = None
    queues: tuple[str, ...] = ()
    job_id: str | None = None
    actor: str | None = None
    q: str = ""

    @property
    def narrows(self) -> bool:
        return self != AuditFilter()

    def __call__(self, event: AuditEvent) -> bool:
        for name in ("action", "status", "job_id", "actor"):
            asked = getattr(self, name)
            if asked and getattr(event, name) != asked:
                return False
        if self.queues and not (event.queue is not None and matches(event.queue, self.queues)):
            return False
        wanted = self.q.strip().lower()
        return not wanted or wanted in _searchable(event)


class AuditService:
    """Reads the audit trail."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @staticmethod
    def clamped(limit: int) -> int:
        """The limit, but at least 1 and at most 500."""
        return max(1, min(limit, MAX_LIMIT))

    def require_queue(self, queue: str) -> None:
        """Raise QueueNotFound if neither Redis nor the audit trail knows the queue, or a queue that matches
        the glob. A deleted queue may still have events."""
        known, _ = named_or_matching(self._store, [queue])
        found = map(AuditFilter(queues=(queue,)), self._store.audit.newest_first(self._store.warn))
        if not known and not any(found):
            raise QueueNotFound(queue, nearest_queues(self._store, queue))

    def matching(self, wanted: AuditFilter, *, since: float | None) -> Iterator[AuditEvent]:
        """Matching events, newest first. `since` is an age in seconds."""
        events = self._store.audit.newest_first(self._store.warn)
        if since is not None:
            earliest = self._store.now() - since
            events = takewhile(lambda event: event.timestamp >= earliest, events)
        return filter(wanted, events)

    def verified(self, noted: Head | None = None) -> ChainReport:
        """Find where the hash chain breaks. `noted` is an earlier head that must be in it."""
        with self._store.errors():
            head, first, links = self._store.audit.links()
            return audit_chain.examined(head, links, noted=noted, first=first)

    def export(self, *, since: float | None, after: str | None) -> Iterator[AuditEvent]:
        """The events oldest first: after the one with the id `after`, and no older than `since` seconds.
        Warns if events after `after` were trimmed."""
        start = after or ""
        if since is not None:
            # An age that reaches back before the epoch excludes nothing.
            earliest = max(0, int((self._store.now() - since) * 1000) - 1)
            start = max(start or "0-0", f"{earliest}-{2**64 - 1}", key=audit_chain.order)
        is_next = after is not None and start == after
        with self._store.errors():
            for _, event in self._store.audit.oldest_first(self._store.warn, start):
                if event is not None:
                    if is_next and _is_behind_a_gap(event, start):
                        self._store.warn(
                            f"events between {start} and {event.id} are gone, trimmed or removed"
                        )
                    is_next = False
                    yield event

    def follow(
        self, *, lines: int, after: str | None, interval: float, once: bool, sleep: Callable[[float], None]
    ) -> Iterator[AuditEvent | Outage]:
        """The last `lines` events, or those after the id `after`, oldest first. Then, unless `once`, each new
        event as it is written, and an Outage whenever Redis fails."""
        from asyncmq_cli.services.monitoring.poller import Outage, Poller

        last = after

        def read() -> list[AuditEvent]:
            nonlocal last
            if last is None:
                newest = self._store.audit.newest_id()
                # An event that is written between these two reads is after `newest`, so the next read finds
                # it.
                found = [*islice(self._store.audit.newest_first(self._store.warn), lines)][::-1]
                last = max((newest or "0-0", *(event.id for event in found)), key=audit_chain.order)
                return found
            found = []
            for entry_id, event in self._store.audit.oldest_first(self._store.warn, last):
                last = entry_id
                if event is not None:
                    found.append(event)
                if len(found) == _AT_ONCE:
                    break
            return found

        poller = Poller(self._store, read, lambda: None)
        while True:
            found = poller.next()
            if isinstance(found, Outage):
                yield found
                sleep(found.pause)
                continue
            yield from found
            if len(found) < _AT_ONCE:
                if once:
                    return
                sleep(poller.pause(interval))

    def pause_of(self, queue: str) -> AuditEvent | None:
        """The event of the pause of a paused queue, if it is among the newest events; else None."""
        for event in self._recent(queue):
            if event.status == "success" and event.action in _PAUSES:
                return event if event.action == _PAUSES[0] else None
        return None

    def of_job(self, queue: str, job_id: str, most: int = 3) -> list[AuditEvent]:
        """At most `most` changes of a job among the newest events, newest first."""
        return list(islice((event for event in self._recent(queue) if event.job_id == job_id), most))

    def last_of_each(self, queue: str, job_ids: Collection[str]) -> dict[str, AuditEvent]:
        """By job id, the last change of these jobs, as far as it is among the newest events."""
        found: dict[str, AuditEvent] = {}
        for event in self._recent(queue):
            if event.job_id is not None and event.job_id in job_ids:
                found.setdefault(event.job_id, event)
                if len(found) == len(job_ids):
                    break
        return found

    def _recent(self, queue: str) -> Iterator[AuditEvent]:
        """The newest events of a queue, newest first. Warns if the trail cannot be read."""
        try:
            with self._store.errors():
                newest = islice(self._store.audit.newest_first(self._store.warn), _SEARCHED)
                yield from (event for event in newest if event.queue == queue)
        except (RedisProblem, WrongType) as exc:
            if isinstance(exc, RedisProblem) and exc.is_away:
                raise
            self._store.warn_of(queue, exc.message)


def _is_behind_a_gap(event: AuditEvent, after: str) -> bool:
    """Whether events between `after` and this event are missing: its `chain` names a predecessor newer than
    `after`."""
    words = (event.chain or "").split()
    return len(words) == 4 and audit_chain.order(words[2]) > audit_chain.order(after)


def folded(events: Iterable[AuditEvent]) -> list[AuditRun]:
    """The events, newest first, as runs: events that differ only in their job and are at most a minute apart.
    Runs may overlap, if two operators work at the same time or a change alternates between queues."""
    runs: list[AuditRun] = []
    last: dict[tuple[str | None, ...], int] = {}
    for event in events:
        kind = _kind(event)
        place = last.get(kind)
        if place is not None and runs[place].since - event.timestamp <= _RUN_GAP:
            run = runs[place]
            runs[place] = AuditRun(run.newest, run.count + 1, event.timestamp)
        else:
            last[kind] = len(runs)
            runs.append(AuditRun(event, 1, event.timestamp))
    return runs


def _kind(event: AuditEvent) -> tuple[str | None, ...]:
    """The fields that are equal in all events of a run. The error is not among them, because it usually names
    the job."""
    error, reason = event.error, event.details.get("reason")
    if error is not None and event.job_id is not None:
        error = error.replace(event.job_id, "")
    # Definitions and workers are not folded: each gets its own row.
    named = event.job_id if event.action.startswith(("repeatable.", "worker.")) else None
    return event.action, event.status, event.queue, event.actor, error, named, str(reason)


def _searchable(event: AuditEvent) -> str:
    words = (event.action, event.source, event.queue, event.job_id, event.actor, event.error)
    details = json.dumps(event.shown_details, sort_keys=True, ensure_ascii=False)
    return " ".join([*(word or "" for word in words), details]).lower()
