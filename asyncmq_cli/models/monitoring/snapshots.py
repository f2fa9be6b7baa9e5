"""Snapshots of all queues, the changes between two snapshots, and the state of the exporter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Struct, field

from asyncmq_cli.models.queues import ALL_FIELDS
from asyncmq_cli.models.values import JOB_STATES

if TYPE_CHECKING:
    from asyncmq_cli.errors import RedisProblem
    from asyncmq_cli.models.failures import FailureGroups
    from asyncmq_cli.models.monitoring.checks import Problem
    from asyncmq_cli.models.queues import QueueStats
    from asyncmq_cli.models.workers import Worker


class LatestJob(Struct, frozen=True):
    """A job of `latest_jobs`. `created` is its `timestamp`, else its `created_at`, else 0.0."""

    created: float
    queue: str
    id: str
    state: str


class LatestQueue(Struct, frozen=True):
    """A queue of `latest_queues`. `active_at` is when its newest job was created; 0.0 if it has no job."""

    active_at: float
    name: str


class MetricsSnapshot(Struct, frozen=True):
    """The totals of all queues at the time `timestamp`. A count is None if it could not be read."""

    timestamp: float
    waiting: int | None
    active: int | None
    delayed: int | None
    completed: int | None
    failed: int | None
    total_queues: int
    total_workers: int | None
    avg_duration: float | None = None
    expired: int | None = None
    """None also in snapshots that were read from the history: there, only the script that continues the
    counters uses it."""

    @property
    def is_whole(self) -> bool:
        """Whether every count could be read."""
        optional = ("avg_duration", "expired")
        return all(getattr(self, name) is not None for name in self.__struct_fields__ if name not in optional)


class Recorded(Struct, frozen=True):
    """The result of adding a snapshot to the history. `kept` is False if the history already has one from
    less than two seconds ago. `completed`, `failed` and `expired` count the jobs that did so since the
    history began."""

    kept: bool
    completed: int
    failed: int
    expired: int


class Rates(Struct, frozen=True):
    """The current rates, computed from the history; None where the history is too short or incomplete.

    Rates are per minute, over the `window_seconds` between the first and the last of this many `snapshots`.
    Jobs that were removed do not count as completed work. `seconds_until_empty` is 0 if no job waits, and
    None if the backlog does not shrink.
    """

    completed_per_minute: float | None = None
    failed_per_minute: float | None = None
    backlog_per_minute: float | None = None
    seconds_until_empty: float | None = None
    window_seconds: float | None = None
    snapshots: int = 0


TOTAL_FIELDS = ALL_FIELDS - {"oldest_waiting_seconds", "repeatables"}
"""The fields of QueueStats that the totals, the distribution of states and a MetricsSnapshot need."""


class Snapshot(Struct, frozen=True):
    """All queues at the time `now`. A field that was not requested is None.

    `workers` are the live workers; `silent_workers` counts the others. `latest_at` is when the latest jobs
    were read; in a series of snapshots it may be earlier than `now`. `latest_partial` says that not all jobs
    were searched. `problems` are sorted, the worst first.
    """

    now: float
    stats: Sequence[QueueStats] | None = None
    workers: Sequence[Worker] | None = None
    latest_jobs: Sequence[LatestJob] | None = None
    latest_queues: Sequence[LatestQueue] | None = None
    latest_at: float | None = None
    latest_partial: bool = False
    silent_workers: int = 0
    problems: Sequence[Problem] | None = None
    causes: FailureGroups | None = None

    @property
    def states_age(self) -> float | None:
        """Seconds since the states hashes were read; None if they were not."""
        ages = [row.states_age_seconds for row in self.stats or () if row.states_age_seconds is not None]
        return max(ages, default=None)

    def count(self, state: str) -> int | None:
        """The number of jobs of a state in all queues; None if one count is unknown."""
        counts = [getattr(row, state.replace("-", "_")) for row in self.stats or ()]
        return None if None in counts else sum(counts)

    @property
    def total_jobs(self) -> int | None:
        """The number of jobs in all states; None if one count is unknown."""
        counts = [self.count(state) for state in JOB_STATES]
        return None if None in counts else sum(count for count in counts if count is not None)

    @property
    def total_workers(self) -> int | None:
        """The number of live workers; None if one count is unknown."""
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
            expired=self.count("expired"),
            total_queues=len(self.stats or ()),
            total_workers=self.total_workers,
        )


EVENTS = ("overview", "jobdist", "metrics", "queues", "workers", "latest_jobs", "latest_queues")
"""The names of events, in the dashboard's order."""
RUNTIME = "runtime"


class RuntimeEvent(Struct, frozen=True):
    """An event that AsyncMQ publishes, such as `job:stalled`. `ts` is the time in the event, epoch seconds;
    None if it has none."""

    name: str
    data: Any
    ts: float | None


class Trend(Struct, frozen=True):
    """Values over time, the oldest first; unknown values are None. Rates are per minute.

    `backlog` has one value for each of `times`; `throughput` and `failures` have one for each but the first.
    """

    times: Sequence[float]
    throughput: Sequence[float | None]
    backlog: Sequence[float | None]
    failures: Sequence[float | None]


class QueueHappening(Struct, frozen=True):
    """The changes in a queue since the last snapshot. `causes` counts the newest failed jobs by cause, the
    most frequent first. `waiting` is the number before and now, or None if it did not change. `marks` are
    words such as `paused`."""

    queue: str
    completed: int = 0
    failed: int = 0
    expired: int = 0
    causes: Mapping[str, int] = field(default_factory=dict)
    waiting: tuple[int, int] | None = None
    marks: tuple[str, ...] = ()


class WorkerHappening(Struct, frozen=True):
    """A worker whose heartbeat is new (`started`), has come back (`back`) or has stopped (`silent`)."""

    worker: str
    queue: str
    what: str


Happening = QueueHappening | WorkerHappening


OTHER = "other"
"""The label value of everything that has no time series of its own."""


class DeathLabels(NamedTuple):
    """The Prometheus labels that a death is counted by. `cause` is the type of the innermost exception, or
    `expired`."""

    queue: str
    task: str
    cause: str


class ExporterState(Struct, frozen=True):
    """The result of the last read; while Redis cannot be read, `snapshot` is None and `error` says why.

    `completed`, `failed` and `expired` count jobs since the history began, and are None before the first
    count; `deaths` begins at 0 with this process. `reads` counts all reads, `failures` the failed
    ones. `redis_seconds` is how long they waited for Redis. `read_at` is when the last successful read
    ended, by this host's clock; `fresh_until`, on the monotonic clock, is when the next one is overdue.
    """

    snapshot: Snapshot | None = None
    error: RedisProblem | None = None
    completed: int | None = None
    failed: int | None = None
    expired: int | None = None
    deaths: Mapping[DeathLabels, int] = field(default_factory=dict)
    reads: int = 0
    failures: int = 0
    redis_seconds: float = 0.0
    read_at: float | None = None
    fresh_until: float = 0.0
