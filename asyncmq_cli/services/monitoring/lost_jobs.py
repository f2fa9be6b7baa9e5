"""Decide which active jobs are lost, which means that no worker runs them any more.

AsyncMQ does not store which worker has claimed a job. What Redis has is the time of the claim, the job's own
heartbeats (only if the application turns the stalled check on), and the live workers of the queue. The rules:

- A job with a heartbeat since its claim is lost once the last heartbeat is `SILENCE` seconds old. With
  AsyncMQ's default settings the stalled check would have taken the job back by then.
- A job is lost if the queue has no live worker, and its claim (or its last heartbeat) is older than the
  heartbeat TTL: its worker has sent no heartbeat for a whole TTL.
- Beside live workers, a job without a heartbeat may be running, however old its claim is. But workers
  cannot run more jobs at once than their concurrency. Of the jobs claimed longer ago than the TTL, those
  above that number are lost: the `surplus`. It is not known which ones they are.

Claims and heartbeats have the time of the worker's clock. If a clock contradicts the server's
(`storage/read/liveness.py`), no job of the queue counts as lost. A worker that is silent while others are
live may still run with a clock that is behind: a job that it may be running, judged by its own clock, is not
lost.

When a worker goes silent while others are live, the jobs that were claimed before its last heartbeat and have
not ended are counted as `silent`: it may have been running some of them. It may also have claimed jobs
between its last heartbeat and the time at which the next one was due; these are counted up to its
concurrency. None of these jobs count as lost.

So a job that counts as lost is lost, unless its worker blocks its own heartbeats or does not register as a
worker. The reverse does not hold: if a worker is killed while others are live, its jobs can only be
recognised by their age.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from asyncmq_cli.storage.read.liveness import TOLERANCE, offset_in_words

if TYPE_CHECKING:
    from asyncmq_cli.models.workers import Worker
    from asyncmq_cli.storage.read.sizes import Sizes
    from asyncmq_cli.storage.read.workers import Claim
    from asyncmq_cli.storage.store import Store

SILENCE = 90.0
"""Seconds: the sum of AsyncMQ's defaults of `stalled_threshold` and `stalled_check_interval`."""

_MAX_SEEN = 10_000
_NAMED = 5


def silence_in_words(jobs: int) -> str:
    """The warning about this many `silent` jobs, as text."""
    were = "job was" if jobs == 1 else "jobs were"
    return f"{jobs:,} {were} claimed before a worker of this queue went silent"


Reason = Literal["heartbeat_stopped", "no_live_worker"]


class LostJob(Struct, frozen=True):
    """A lost job. `reason` is the rule by which it counts as lost."""

    id: str
    reason: Reason


class LostJobs:
    """An iterable of the lost jobs of one queue, each once. After the iteration, `surplus`, `oldest_claim`,
    `silent` and `longest_silent` are complete.

    `now` is the server's time. `workers` are all workers of the queue, live or not, and `claims` all its
    claims, if they have been read already. Otherwise claims are read in chunks, so memory stays bounded.
    Iterating raises WrongType.
    """

    def __init__(
        self,
        store: Store,
        queue: str,
        now: float,
        workers: Sequence[Worker] | None = None,
        claims: Sequence[Claim] | None = None,
    ) -> None:
        self._store = store
        self._queue = queue
        self._now = now
        self._workers = workers
        self._claims = claims
        self.surplus = 0
        """The number of further jobs that are lost, although it is not known which ones."""
        self.oldest_claim: float | None = None
        """The time of the oldest claim on an active job, epoch seconds."""
        self.silent = 0
        """The number of jobs that were claimed before a worker went silent while others stayed live."""
        self.ahead = 0
        """The number of jobs that were claimed in the future, by a clock that is ahead."""
        self._longest_silent: list[tuple[float, str]] = []

    @property
    def longest_silent(self) -> list[str]:
        """The ids of a few of the `silent` jobs, those with the oldest claims first."""
        return [job_id for _, job_id in sorted(self._longest_silent)[: self.silent]]

    def __iter__(self) -> Iterator[LostJob]:
        if self._workers is None:
            self._workers = self._store.workers.in_queue(self._queue)
        live = [worker for worker in self._workers if worker.is_live]
        may_judge = all(worker.clock_offset is None for worker in self._workers)
        ttl = max([self._store.config.heartbeat_ttl, *(worker.ttl for worker in self._workers)])
        silent = self._silent_beside(live)
        last_beat = max((worker.heartbeat or 0.0 for worker in silent), default=0.0)
        fell_silent = max((_next_beat(worker) for worker in silent), default=0.0)
        before = until = 0
        old_claims: list[float] = []
        odd = _OddClaims()
        for claim in active_claims(self._store, self._queue, self._claims):
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
            if claim.since < fell_silent and not self._is_running(claim):
                before += claim.since < last_beat
                until += 1
                self._name_silent(claim.since, claim.job_id)
        for problem in odd.problems():
            self._store.warn_of(self._queue, problem)
        self.ahead = odd.ahead
        room = _capacity(silent)
        self.silent = until if room is None else max(before, min(until, room))
        if may_judge:
            self.surplus = surplus_of(old_claims, live, silent)

    def count(self) -> int:
        """Iterate. Returns the number of lost jobs without the `surplus`."""
        return sum(1 for _ in self)

    def _silent_beside(self, live: Sequence[Worker]) -> list[Worker]:
        """The stale workers of a queue that also has live ones; they may be gone or not. A worker whose clock
        is ahead is left out, because the age of its heartbeat is unknown."""
        workers = self._workers or ()
        return [one for one in workers if live and not one.is_live and one.age_seconds is not None]

    def _is_running(self, claim: Claim) -> bool:
        """Whether the job has a recent heartbeat of its own."""
        return claim.heartbeat is not None and claim.heartbeat >= self._now - SILENCE

    def _name_silent(self, since: float, job_id: str) -> None:
        if len(self._longest_silent) < _NAMED:
            self._longest_silent.append((since, job_id))
            return
        newest = max(self._longest_silent)
        if (since, job_id) < newest:
            self._longest_silent[self._longest_silent.index(newest)] = (since, job_id)


class _OddClaims:
    """Counts claims of unknown age, and makes the warnings about them."""

    def __init__(self) -> None:
        self._unreadable = self.ahead = 0
        self._farthest = 0.0

    def add(self, claim: Claim, now: float) -> None:
        if claim.since is None:
            self._unreadable += 1
        else:
            self.ahead += 1
            self._farthest = max(self._farthest, claim.since - now)

    def problems(self) -> Iterator[str]:
        if self._unreadable:
            claims = "a claim holds" if self._unreadable == 1 else f"{self._unreadable:,} claims hold"
            yield f"{claims} no time"
        if self.ahead:
            jobs = "an active job was" if self.ahead == 1 else f"{self.ahead:,} active jobs were"
            yield (
                f"{jobs} claimed in the future: a worker's clock is at least "
                f"{offset_in_words(self._farthest)} the server's, and these jobs do not count as lost"
            )


_FEW = 10


def has_few_claims(sizes: Sizes) -> bool:
    """Whether the claims of a queue are so few that they are read together with those of other queues. Queue
    by queue would take three round trips each."""
    return 0 < (sizes.active or 0) <= _FEW


def active_claims(store: Store, queue: str, claims: Sequence[Claim] | None = None) -> Iterator[Claim]:
    """The claims on active jobs, without leftover claims on jobs that have ended. `claims` are the queue's
    claims, if they have been read already.

    Redis may return a claim twice while the hash grows; the first `_MAX_SEEN` ids are remembered.
    """
    seen: set[str] = set()
    for piece in store.claims.of(queue) if claims is None else [claims]:
        for claim in piece:
            if claim.state != "active" or claim.job_id in seen:
                continue
            if len(seen) < _MAX_SEEN:
                seen.add(claim.job_id)
            yield claim


def reason_lost(claim: Claim, workers: Sequence[Worker], now: float, ttl: float) -> Reason | None:
    """The rule by which the claimed job is lost; None if it may be running. `ttl` is the heartbeat TTL in
    seconds."""
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
    """The number of jobs with these claim times that exceed what the workers can run."""
    capacity = _capacity(live)
    if capacity is None:
        return 0
    left = len(old_claims) - capacity
    for worker in silent:
        before = sum(1 for since in old_claims if since < _next_beat(worker))
        left -= min(before, worker.concurrency or before)
    return max(0, left)


def _capacity(live: Sequence[Worker]) -> int | None:
    """The number of jobs that these workers can run at once; None if there are no workers, or if a
    concurrency is unknown."""
    if not live or not all(worker.concurrency for worker in live):
        return None
    return sum(worker.concurrency or 0 for worker in live)


def _next_beat(worker: Worker) -> float:
    """When the next heartbeat of this worker was due, in epoch seconds: AsyncMQ's workers send one every
    third of the TTL. Until then the worker may have been alive and may have claimed jobs."""
    return 0.0 if worker.heartbeat is None else worker.heartbeat + worker.ttl / 3
