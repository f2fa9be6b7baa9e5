"""Queues."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class QueueStats:
    """A row of `queues list`. Each count equals the total of `jobs list` for that state.

    A count is None where its key cannot be read; `oldest_waiting_seconds`, which is the age of
    the oldest waiting job by its `created_at`, also where nothing waits.
    """

    name: str
    paused: bool
    waiting: int | None
    active: int | None
    delayed: int | None
    failed: int | None
    completed: int | None
    expired: int | None
    cancelled: int | None
    waiting_children: int | None
    dlq: int | None
    repeatables: int | None
    workers: int | None
    oldest_waiting_seconds: float | None
