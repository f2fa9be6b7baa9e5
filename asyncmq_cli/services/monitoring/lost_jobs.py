"""Active jobs that no worker runs any more.

AsyncMQ does not store which worker has claimed a job, so what is known is when it was claimed, its
own heartbeats, which are there only where the application turns the stalled check on, and which
workers of the queue live. From these:

- A job that has had a heartbeat since it was claimed is lost once the last one is `SILENCE` seconds
  old. With AsyncMQ's default settings the stalled check would have taken the job back by then.
- A job is lost if the queue has no live worker, and its claim (or its last heartbeat) is older than
  the heartbeat TTL: whoever claimed it has not said for a whole TTL that it is there.
- Beside live workers a job without a heartbeat may be running, however old its claim is. But they
  cannot run more jobs at once than their concurrency allows: of those claimed longer ago than the
  TTL as many are lost as there are too many, the `surplus`. Which of them is not known.

Claims and heartbeats are written by the workers' clocks. Where one of these contradicts the server
(`storage/read/liveness.py`), nothing in the queue is called lost. A worker that is silent beside a live
one may live too, with a clock that is behind: what it may be running, by its own clock, is not lost.

Of a worker that is silent beside live ones it is known which jobs were claimed before its last
heartbeat and have not ended: it took some of these with it, unless the live ones run them all. They
are counted as `silent`, and not called lost.

So a job that is called lost is lost, unless its worker blocks its own heartbeats, or it runs in a
process that does not register as a worker. The reverse does not hold: a worker that was killed
beside others leaves jobs that only their age shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from asyncmq_cli.storage.read.liveness import TOLERANCE, offset_in_words

if TYPE_CHECKING:
    from asyncmq_cli.models.workers import Worker
    from asyncmq_cli.storage.read.workers import Claim
    from asyncmq_cli.storage.store import Store

SILENCE = 90.0
"""Seconds: AsyncMQ's defaults of `stalled_threshold` and `stalled_check_interval` together."""

_MAX_SEEN = 10_000
_NAMED = 5


def silence_in_words(jobs: int) -> str:
    """What is said of so many `silent` jobs."""
    were = "job was" if jobs == 1 else "jobs were"
    return f"{jobs:,} {were} claimed before a worker of this queue went silent"


Reason = Literal["heartbeat_stopped", "no_live_worker"]


@dataclass(frozen=True, slots=True)
class LostJob:
    """`reason` is the rule by which it counts as lost."""

    id: str
    reason: Reason


class LostJobs:
    """The lost jobs of one queue, each once. Read through, `surplus`, `oldest_claim`, `silent` and
    `longest_silent` are whole.

    `now` is the server's time. `workers` are the queue's, live or not, where they were read
    already. Memory holds a piece of the claims, never all. Raises WrongType when it is read.
    """

    def __init__(self, store: Store, queue: str, now: float, workers: Sequence[Worker] | None = None) -> None:
        self._store = store
        self._queue = queue
        self._now = now
        self._workers = workers
        self.surplus = 0
        """How many more are lost, of which it is not known which they are."""
        self.oldest_claim: float | None = None
        """When the active job that has been claimed the longest was claimed, epoch seconds."""
        self.silent = 0
        """How many jobs were claimed before a worker beside live ones went silent."""
        self._longest_silent: list[tuple[float, str]] = []

    @property
    def longest_silent(self) -> list[str]:
        """The ids of the first few of these, the longest claimed first."""
        return [job_id for _, job_id in sorted(self._longest_silent)]

    def __iter__(self) -> Iterator[LostJob]:
        if self._workers is None:
            self._workers = self._store.workers.in_queue(self._queue)
        live = [worker for worker in self._workers if worker.is_live]
        may_judge = all(worker.clock_offset is None for worker in self._workers)
        ttl = max([self._store.config.heartbeat_ttl, *(worker.ttl for worker in self._workers)])
        silent = self._silent_beside(live)
        went_silent = max((worker.heartbeat or 0.0 for worker in silent), default=None)
        old_claims: list[float] = []
        odd = _OddClaims()
        for claim in active_claims(self._store, self._queue):
            if claim.since is None or claim.since > self._now + TOLERANCE:
                if claim.since is None or may_judge:
                    odd.add(claim, self._now)
                continue
            if self.oldest_claim is None or claim.since < self.oldest_claim:
                self.oldest_claim = claim.since
            reason = reason_lost(claim, self._workers, self._now, ttl) if may_judge else None
            if reason is not None:
                yield LostJob(claim.job_id, reason)
                continue
            if claim.since < self._now - ttl:
                old_claims.append(claim.since)
            if went_silent is not None and claim.since < went_silent and not self._is_running(claim):
                self._add_silent(claim.since, claim.job_id)
        for problem in odd.problems():
            self._store.warn_of(self._queue, problem)
        if may_judge:
            self.surplus = surplus_of(old_claims, live, silent)

    def _silent_beside(self, live: Sequence[Worker]) -> list[Worker]:
        """The stale workers that are beside live ones: Redis does not tell whether they are gone. When one
        whose clock is ahead last wrote is not known."""
        workers = self._workers or ()
        return [one for one in workers if live and not one.is_live and one.age_seconds is not None]

    def _is_running(self, claim: Claim) -> bool:
        """Whether the job's own heartbeat says so."""
        return claim.heartbeat is not None and claim.heartbeat >= self._now - SILENCE

    def _add_silent(self, since: float, job_id: str) -> None:
        self.silent += 1
        if len(self._longest_silent) < _NAMED:
            self._longest_silent.append((since, job_id))
            return
        newest = max(self._longest_silent)
        if (since, job_id) < newest:
            self._longest_silent[self._longest_silent.index(newest)] = (since, job_id)


class _OddClaims:
    """Claims of which the age is not known, counted."""

    def __init__(self) -> None:
        self._unreadable = self._ahead = 0
        self._farthest = 0.0

    def add(self, claim: Claim, now: float) -> None:
        if claim.since is None:
            self._unreadable += 1
        else:
            self._ahead += 1
            self._farthest = max(self._farthest, claim.since - now)

    def problems(self) -> Iterator[str]:
        if self._unreadable:
            claims = "a claim holds" if self._unreadable == 1 else f"{self._unreadable:,} claims hold"
            yield f"{claims} no time"
        if self._ahead:
            jobs = "an active job was" if self._ahead == 1 else f"{self._ahead:,} active jobs were"
            yield (
                f"{jobs} claimed in the future: a worker's clock is at least "
                f"{offset_in_words(self._farthest)} the server's, and such a job is not called lost"
            )


def active_claims(store: Store, queue: str) -> Iterator[Claim]:
    """The claims on jobs that are active; what is left of a claim on an ended job is passed over.

    Redis may give a claim twice while their hash grows; the first so many are remembered.
    """
    seen: set[str] = set()
    for piece in store.claims.of(queue):
        for claim in piece:
            if claim.state != "active" or claim.job_id in seen:
                continue
            if len(seen) < _MAX_SEEN:
                seen.add(claim.job_id)
            yield claim


def reason_lost(claim: Claim, workers: Sequence[Worker], now: float, ttl: float) -> Reason | None:
    """The rule by which the claimed job is lost; None where it may be running. `ttl` is seconds."""
    if claim.since is None:
        return None
    attended = any(worker.is_live for worker in workers)
    # A heartbeat from before the claim belongs to an earlier attempt.
    beats = claim.heartbeat is not None and claim.heartbeat >= claim.since
    last_sign = claim.heartbeat if beats and claim.heartbeat is not None else claim.since
    stopped = beats and last_sign < now - SILENCE
    if stopped and not (attended and _wrote_near(last_sign, workers)):
        return "heartbeat_stopped"
    return "no_live_worker" if not attended and last_sign < now - ttl else None


def _wrote_near(moment: float, workers: Sequence[Worker]) -> bool:
    """Whether a silent worker, by its own clock, wrote shortly before or after `moment`."""
    return any(
        worker.heartbeat is not None and abs(worker.heartbeat - moment) <= SILENCE
        for worker in workers
        if not worker.is_live
    )


def surplus_of(old_claims: Sequence[float], live: Sequence[Worker], silent: Sequence[Worker]) -> int:
    """How many of these jobs, by when they were claimed, no worker can be running."""
    capacity = _capacity(live)
    if capacity is None:
        return 0
    left = len(old_claims) - capacity
    for worker in silent:
        before = sum(1 for since in old_claims if worker.heartbeat is not None and since < worker.heartbeat)
        left -= min(before, worker.concurrency or before)
    return max(0, left)


def _capacity(live: Sequence[Worker]) -> int | None:
    """How many jobs these workers can run at once; None where one does not tell, or there is none."""
    if not live or not all(worker.concurrency for worker in live):
        return None
    return sum(worker.concurrency or 0 for worker in live)
