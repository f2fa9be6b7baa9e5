"""Workers and their health."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from asyncmq_cli.models.values import page_count


class Worker(Struct, frozen=True):
    """A worker, as its last heartbeat describes it. `heartbeat` and `concurrency` are None if they cannot be
    read; then `problem` says why. `ttl` is the heartbeat TTL in seconds.

    `age_seconds` is the age of the heartbeat at `read_at`, measured by the server's clock where a key's TTL
    shows it; None if unknown. `clock_offset` is how many seconds the worker's clock is ahead (negative:
    behind); None if no evidence contradicts that clock.
    """

    id: str
    queue: str
    concurrency: int | None
    heartbeat: float | None
    age_seconds: float | None
    ttl: float
    problem: str | None = None
    clock_offset: float | None = None
    read_at: float = 0.0

    @property
    def health(self) -> str:
        """`healthy`; `aging` past two thirds of the TTL; `stale` past it."""
        if self.age_seconds is None or self.age_seconds > self.ttl:
            return "stale"
        return "aging" if self.age_seconds > self.ttl * 2 / 3 else "healthy"

    @property
    def is_live(self) -> bool:
        """Whether its last heartbeat is younger than the TTL."""
        return self.health != "stale"

    def at(self, now: float) -> Worker:
        """The same worker with its age at `now`, a later time of the server."""
        if self.age_seconds is None:
            return self
        return replace(self, age_seconds=max(0.0, self.age_seconds + now - self.read_at), read_at=now)


def slowest(workers: Sequence[Worker]) -> float:
    """The clock offset of the worker whose clock is furthest behind, as far as it is known: seconds, 0 or
    less."""
    return min([0.0, *(worker.clock_offset or 0.0 for worker in workers)])


class WorkerSummary(Struct, frozen=True):
    """Counts of workers. `attention` counts aging and stale workers, `capacity` is the number of jobs that
    live workers can run at once, and `queues` counts the queues that have a worker."""

    total: int = 0
    healthy: int = 0
    attention: int = 0
    capacity: int = 0
    queues: int = 0

    def plus(self, workers: Sequence[Worker]) -> WorkerSummary:
        """This summary plus the workers of one more queue."""
        healthy = sum(1 for worker in workers if worker.health == "healthy")
        return WorkerSummary(
            total=self.total + len(workers),
            healthy=self.healthy + healthy,
            attention=self.attention + len(workers) - healthy,
            capacity=self.capacity + sum(worker.concurrency or 0 for worker in workers if worker.is_live),
            queues=self.queues + bool(workers),
        )


class WorkerPage(Struct, frozen=True):
    """A page of workers. `unattended` names the queues that have waiting jobs and no live worker. `listed` is
    the number of workers on all pages together; `folded` silent workers are hidden."""

    workers: Sequence[Worker]
    summary: WorkerSummary
    page: int
    size: int
    unattended: Sequence[str]
    listed: int
    folded: int = 0

    @property
    def total_pages(self) -> int:
        """At least 1."""
        return page_count(self.listed, self.size)
