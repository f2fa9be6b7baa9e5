"""Queues."""

from __future__ import annotations

from dataclasses import dataclass

STATE_FIELDS = frozenset({"failed", "completed", "expired", "cancelled", "waiting_children", "problem"})
"""Fields of QueueStats that need a pass over the states hash; `failed` and `expired` share one set."""
SIZE_FIELDS = frozenset({"paused", "waiting", "active", "delayed", "dlq", "repeatables"})
"""Fields that are the sizes of places."""
ALL_FIELDS = SIZE_FIELDS | STATE_FIELDS | {"workers", "oldest_waiting_seconds"}
CHEAP_FIELDS = ALL_FIELDS - STATE_FIELDS


@dataclass(frozen=True, slots=True)
class QueueStats:
    """A row of `queues list`. Each count equals the total of `jobs list` for that state.

    A count is None where its key cannot be read, or where it was not asked for. `oldest_waiting_seconds` is
    the age by `created_at` of the oldest among the jobs that stand first in their priority; it is also None
    where nothing waits. `problem` says where the states hash contradicts the places. `states_age_seconds` is
    how long ago the fields in STATE_FIELDS were read. `empty` is a queue of which the sizes show no job, no
    definition and no worker, and that is not paused: the counter of its waiting set keeps it in the lists.
    """

    name: str
    paused: bool = False
    waiting: int | None = None
    active: int | None = None
    delayed: int | None = None
    failed: int | None = None
    completed: int | None = None
    expired: int | None = None
    cancelled: int | None = None
    waiting_children: int | None = None
    dlq: int | None = None
    repeatables: int | None = None
    workers: int | None = None
    oldest_waiting_seconds: float | None = None
    problem: str | None = None
    states_age_seconds: float | None = None
    empty: bool = False
