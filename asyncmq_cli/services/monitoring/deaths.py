"""Count deaths by task and cause as they happen, by reading only new dead letters.

The score of a dead letter is the time of death by the clock of its worker. So each read starts a little
before the end of the previous one, and skips the dead letters (by id and score) that were already counted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from asyncmq_cli.models.monitoring.snapshots import OTHER, DeathLabels
from asyncmq_cli.services.jobs.causes import signature

if TYPE_CHECKING:
    from asyncmq_cli.models.jobs import Job
    from asyncmq_cli.storage.store import Store

GRACE = 30.0
"""Seconds by which a worker's clock may be behind."""
MOST_SERIES = 200
"""At most this many combinations of labels are counted separately. Later ones are counted as `other`."""
MOST_READ = 5000
"""At most this many dead letters are read at a time. More are counted as `other` without being read."""
_LONGEST_LABEL = 100
_UNKNOWN = "unknown"
_ALL_OTHERS = DeathLabels(OTHER, OTHER, OTHER)


class DeathCounter:
    """Counts deaths after `since`, in epoch seconds of the server's clock. If None, the first `read` counts
    nothing and remembers the existing dead letters, and later reads count what is new."""

    def __init__(self, store: Store, since: float | None = None) -> None:
        self._store = store
        self._since = since
        self._after = math.inf if since is None else since
        """Earlier deaths are not counted. Minus infinity after the first read: then `_seen` decides."""
        self._seen: dict[tuple[str, str, float], None] = {}
        self._counts: dict[DeathLabels, int] = {}

    @property
    def counts(self) -> Mapping[DeathLabels, int]:
        """A copy that the next read does not change."""
        return MappingProxyType(dict(self._counts))

    def read(self, dead: Mapping[str, int], now: float) -> None:
        """Count the new deaths. `dead` has the sizes of the dead-letter queues by queue; `now` is the
        server's time. Raises WrongType."""
        since = now if self._since is None else min(self._since, now)
        found = self._store.queues.dead_since([queue for queue in dead if dead[queue]], since - GRACE, since)
        left = MOST_READ
        for queue, (recent, new) in found.items():
            take = min(recent, left)
            left -= take
            counted = self._read(queue, take, since) if take else 0
            if take < recent and self._after < math.inf:
                self._add(_ALL_OTHERS, max(0, new - counted))
        self._since, self._after = now, -math.inf
        self._seen = {key: None for key in self._seen if key[2] > now - GRACE}

    def _read(self, queue: str, take: int, since: float) -> int:
        """Count the new ones among the latest dead letters. Returns how many died after `since`."""
        after = 0
        for job in self._store.jobs.dead_causes(queue, newest=take):
            died = job.dead_at or 0.0
            after += died > since
            key = (queue, job.id, died)
            if died <= since - GRACE or key in self._seen:
                continue
            self._seen[key] = None
            if died > self._after:
                self._add(labels_of(job), 1)
        return after

    def _add(self, labels: DeathLabels, count: int) -> None:
        if not count:
            return
        if labels not in self._counts and len(self._counts) >= MOST_SERIES:
            labels = _ALL_OTHERS
        self._counts[labels] = self._counts.get(labels, 0) + count


def labels_of(job: Job) -> DeathLabels:
    cause = "expired" if job.status == "expired" else signature(job).type or _UNKNOWN
    return DeathLabels(job.queue, _short(job.task_id or _UNKNOWN), _short(cause))


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_LABEL else text[: _LONGEST_LABEL - 1] + "…"
