"""What `metrics serve` knows between two looks at Redis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from asyncmq_cli.errors import RedisProblem
    from asyncmq_cli.models.snapshots import Snapshot

OTHER = "other"
"""The label of what has no series of its own."""


class DeathLabels(NamedTuple):
    """What a death is counted under. `cause` is the type of the innermost exception, or `expired`."""

    queue: str
    task: str
    cause: str


@dataclass(frozen=True, slots=True)
class ExporterState:
    """What the last look found; `snapshot` is None, and `error` says why, while Redis cannot be read.

    `completed` and `failed` count jobs since the history began, None where nothing was counted yet; `deaths`
    since the start of this process. `looks` and `failures` count looks, all and failed ones.
    `redis_seconds` is how long they waited for Redis. `looked_at` is when the last successful look ended, by
    this host's clock, and `fresh_until`, on the monotonic clock, when the next one is overdue.
    """

    snapshot: Snapshot | None = None
    error: RedisProblem | None = None
    completed: int | None = None
    failed: int | None = None
    deaths: Mapping[DeathLabels, int] = field(default_factory=dict)
    looks: int = 0
    failures: int = 0
    redis_seconds: float = 0.0
    looked_at: float | None = None
    fresh_until: float = 0.0
