"""All queues at one time, and over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from asyncmq_cli.models.queues import ALL_FIELDS
from asyncmq_cli.models.values import JOB_STATES

if TYPE_CHECKING:
    from asyncmq_cli.models.queues import QueueStats
    from asyncmq_cli.models.workers import Worker


@dataclass(frozen=True, slots=True)
class LatestJob:
    """`created` is the job's `timestamp`, else its `created_at`, else 0.0."""

    created: float
    queue: str
    id: str
    state: str


@dataclass(frozen=True, slots=True)
class LatestQueue:
    """`active_at` is when the newest of its jobs was created; 0.0 where it has none."""

    active_at: float
    name: str


@dataclass(frozen=True, slots=True)
class MetricsSnapshot:
    """What there was at one moment, in all queues together. None is what could not be read."""

    timestamp: float
    waiting: int | None
    active: int | None
    delayed: int | None
    completed: int | None
    failed: int | None
    total_queues: int
    total_workers: int | None
    avg_duration: float | None = None

    @property
    def is_whole(self) -> bool:
        """Whether every count could be read."""
        return all(
            getattr(self, each.name) is not None for each in fields(self) if each.name != "avg_duration"
        )


@dataclass(frozen=True, slots=True)
class Rates:
    """What the history says of the present pace; None where it says nothing.

    Per minute, over the `window_seconds` that lie between the first and the last of `snapshots`.
    A backlog shrinks by what is worked off, not by what is removed. `seconds_until_empty` is 0 where
    nothing waits, and None where the backlog does not shrink.
    """

    completed_per_minute: float | None = None
    failed_per_minute: float | None = None
    backlog_per_minute: float | None = None
    seconds_until_empty: float | None = None
    window_seconds: float | None = None
    snapshots: int = 0


TOTAL_FIELDS = ALL_FIELDS - {"oldest_waiting_seconds", "repeatables"}
"""Of the rows: what the totals and the distribution of the states are made of."""
SNAPSHOT_FIELDS = TOTAL_FIELDS
"""Of the rows: what a MetricsSnapshot is made of."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All queues at one time, as far as it was asked for: what was not is None.

    `workers` are those that live. `latest_at` is when the latest jobs were looked for, which in a
    row of pictures may be earlier than `now`; `latest_partial` says that not all jobs were looked through.
    """

    now: float
    stats: Sequence[QueueStats] | None = None
    workers: Sequence[Worker] | None = None
    latest_jobs: Sequence[LatestJob] | None = None
    latest_queues: Sequence[LatestQueue] | None = None
    latest_at: float | None = None
    latest_partial: bool = False

    @property
    def states_age(self) -> float | None:
        """How many seconds ago the states hashes were read; None where they were not."""
        ages = [row.states_age_seconds for row in self.stats or () if row.states_age_seconds is not None]
        return max(ages, default=None)

    def count(self, state: str) -> int | None:
        """The jobs of a state in all queues, None where one of them could not be counted."""
        counts = [getattr(row, state.replace("-", "_")) for row in self.stats or ()]
        return None if None in counts else sum(counts)

    @property
    def total_jobs(self) -> int | None:
        """In all states; None where one count could not be read."""
        counts = [self.count(state) for state in JOB_STATES]
        return None if None in counts else sum(count for count in counts if count is not None)

    @property
    def total_workers(self) -> int | None:
        """Live ones; None where one count could not be read."""
        counts = [row.workers for row in self.stats or ()]
        return None if None in counts else sum(count or 0 for count in counts)

    def metrics(self) -> MetricsSnapshot:
        """The totals of all queues, as the history keeps them."""
        return MetricsSnapshot(
            timestamp=self.now,
            waiting=self.count("waiting"),
            active=self.count("active"),
            delayed=self.count("delayed"),
            completed=self.count("completed"),
            failed=self.count("failed"),
            total_queues=len(self.stats or ()),
            total_workers=self.total_workers,
        )


EVENTS = ("overview", "jobdist", "metrics", "queues", "workers", "latest_jobs", "latest_queues")
"""In the order in which the dashboard sends them."""
RUNTIME = "runtime"


@dataclass(frozen=True, slots=True)
class RuntimeEvent:
    """What AsyncMQ published: `name` is such as `job:stalled`, `ts` its own time of it."""

    name: str
    data: Any
    ts: float | None


@dataclass(frozen=True, slots=True)
class Trend:
    """Values over time, the oldest first; per minute where they are rates. None where they are not known.

    There is a backlog for each of `times`, and a rate for each but the first.
    """

    times: Sequence[float]
    throughput: Sequence[float | None]
    backlog: Sequence[float | None]
    failures: Sequence[float | None]
