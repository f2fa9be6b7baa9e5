"""The probes of `check`. Each value is read at most once, and only if a threshold needs it.

Counts are the same as in `queues list`, because both use the same reader.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from asyncmq_cli.errors import QueueNotFound, RedisProblem, WrongType
from asyncmq_cli.models.monitoring.checks import PROBES, CheckReport, Probe, Threshold
from asyncmq_cli.models.values import chunked
from asyncmq_cli.models.workers import slowest
from asyncmq_cli.services.jobs.lookup import named_or_matching, nearest_queues, nearest_suffix
from asyncmq_cli.services.monitoring.lost_jobs import LostJobs, has_few_claims
from asyncmq_cli.services.repeatables.schedule import SchedulerClock
from asyncmq_cli.storage.read.liveness import TOLERANCE, offset_in_words
from asyncmq_cli.storage.read.queue_names import ForeignQueue
from asyncmq_cli.storage.read.queues import failed_of
from asyncmq_cli.storage.schema.keys import QueueKeys

if TYPE_CHECKING:
    from asyncmq_cli.models.workers import Worker
    from asyncmq_cli.storage.read.sizes import Sizes
    from asyncmq_cli.storage.read.workers import Claim
    from asyncmq_cli.storage.store import Store

ALWAYS = {probe.name: probe.always for probe in PROBES if probe.always is not None}
_NO_BOUNDS = Threshold()
_TOGETHER = 100
"""The number of queues whose workers and claims are read together and kept in memory."""


class CheckService:
    """Checks queues against thresholds."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def check(
        self, queues: Sequence[str], thresholds: Mapping[str, Threshold], where: str = ""
    ) -> CheckReport:
        """Check the queues that have these names or match these globs, or all if none is given. An error of
        Redis becomes a probe, not an exception.

        `thresholds` are by name of the probe, as in `models.checks.PROBES`; `where` is the expression of
        `matching`.
        """
        try:
            with self._store.errors():
                return self._check(queues, {**ALWAYS, **thresholds}, where)
        except (RedisProblem, ForeignQueue) as found:
            exc = found if isinstance(found, RedisProblem) else RedisProblem(found.code, found.message)
            silent = Probe("redis", None, None, _NO_BOUNDS, "unknown", exc.message)
            return CheckReport(None, list(queues), [silent], exc)

    def _check(self, queues: Sequence[str], thresholds: Mapping[str, Threshold], where: str) -> CheckReport:
        started = time.monotonic()
        now = self._store.now()
        doubt = self._store.doubt
        answer = "ok" if doubt is None else "unknown"
        probes = [Probe("redis", None, time.monotonic() - started, _NO_BOUNDS, answer, doubt)]
        names, missing = (
            named_or_matching(self._store, queues) if queues else (self._store.queue_names.all(), [])
        )
        probes += map(self._missing, missing)
        for some in chunked(self._counts(names, now, thresholds), _TOGETHER):
            workers, claims = self._busy(some)
            for counts in some:
                name = counts.sizes.queue
                queue = QueueProbes(
                    self._store, counts, now, workers.get(name), where=where, claims=claims.get(name)
                )
                probes += queue.judged(thresholds)
        if not queues and not names and "workers" in thresholds:
            # If there is no queue, there is no worker either, so a minimum is not met.
            probes.append(_judged("workers", None, 0, thresholds["workers"]))
        return CheckReport(now, names, probes)

    def _counts(
        self, names: Sequence[str], now: float, thresholds: Mapping[str, Threshold]
    ) -> Iterator[QueueCounts]:
        """The sizes of many queues, and the values that only some probes need, in few round trips."""
        queues = self._store.queues
        sizes = list(queues.sizes(names, now))
        oldest: Mapping[str, float] = {}
        failed: dict[str, int | None] = {}
        if "oldest" in thresholds:
            oldest = queues.oldest_waiting([one.queue for one in sizes if one.waiting])
        if "failed" in thresholds:
            # Only the states hash says which dead letters have expired.
            dead = [one.queue for one in sizes if one.dlq]
            failed = {one.queue: failed_of(one, states) for one, states in queues.states(dead, now)}
        for one in sizes:
            yield QueueCounts(one, oldest.get(one.queue), failed.get(one.queue, one.dlq))

    def _busy(self, some: Sequence[QueueCounts]) -> tuple[dict[str, list[Worker]], dict[str, list[Claim]]]:
        """By queue, the workers and the claims of the queues with few active jobs. Other queues, and those
        with errors, are read one by one later."""
        few = [one.sizes for one in some if has_few_claims(one.sizes)]
        # Read the workers first: otherwise a job would seem lost if its worker ends it and then deregisters.
        served = self._store.workers.in_queues(one.queue for one in few if one.heartbeats != 0)
        workers: dict[str, list[Worker]] = {one.queue: [] for one in few if one.heartbeats == 0}
        workers |= {queue: found for queue, found in served if not isinstance(found, WrongType)}
        return workers, self._store.claims.of_small(list(workers))

    def _missing(self, queue: str) -> Probe:
        problem = QueueNotFound(queue).message + nearest_suffix(nearest_queues(self._store, queue))
        return Probe("exists", queue, None, _NO_BOUNDS, "unknown", problem)


class QueueCounts(Struct, frozen=True):
    """Counts of a queue. `oldest` is when the oldest waiting job was created, `failed` how many jobs have
    failed. A value that is missing or unreadable is None."""

    sizes: Sizes
    oldest: float | None
    failed: int | None


class QueueProbes:
    """The probes of one queue. A place whose size is 0 is not read."""

    def __init__(
        self,
        store: Store,
        counts: QueueCounts,
        now: float,
        workers: Sequence[Worker] | None = None,
        *,
        where: str = "",
        claims: Sequence[Claim] | None = None,
    ) -> None:
        """`workers` are all workers of the queue, live or not, and `claims` all its claims, if they have been
        read already. `where` is the expression for the probe `matching`."""
        self._store = store
        self._given = workers
        self._claims = claims
        self._where = where
        self._counts = counts
        self._sizes = counts.sizes
        self._keys = QueueKeys(counts.sizes.queue)
        self._queue = counts.sizes.queue
        self._now = now
        self._values: Mapping[str, Callable[[], float | None]] = {
            "unattended": self._unattended,
            "paused": self._paused,
            "overdue": self._overdue,
            "lost": lambda: self._lost.known,
            "silent": lambda: self._lost.silent,
            "waiting": lambda: self._waiting,
            "oldest": self._oldest,
            "failed": self._failed,
            "dlq": lambda: _known(self._sizes.dlq, self._keys.dlq),
            "delayed-due": lambda: self._due,
            "running": self._running,
            "matching": self._matching,
            "workers": lambda: sum(1 for worker in self._workers if worker.is_live),
        }

    def judged(self, thresholds: Mapping[str, Threshold]) -> Iterator[Probe]:
        warned: set[str] = set()
        for name, value in self._values.items():
            if name not in thresholds:
                continue
            try:
                yield _judged(name, self._queue, value(), thresholds[name])
            except (WrongType, _Unknown) as exc:
                problem = str(exc)
                if problem not in warned:
                    self._store.warn_of(self._queue, problem)
                warned.add(problem)
                yield Probe(name, self._queue, None, thresholds[name], "unknown", problem)

    @cached_property
    def _workers(self) -> Sequence[Worker]:
        if self._given is not None:
            return self._given
        if self._sizes.heartbeats == 0:
            return []
        return self._store.workers.in_queue(self._queue)

    @cached_property
    def _lost(self) -> _Active:
        if self._sizes.active == 0:
            return _Active(0, None, 0, 0)
        lost = LostJobs(self._store, self._queue, self._now, self._workers, self._claims)
        known = lost.count()
        return _Active(known + lost.surplus, lost.oldest_claim, lost.silent, lost.ahead)

    @property
    def _waiting(self) -> int:
        return _known(self._sizes.waiting, self._keys.waiting)

    @property
    def _due(self) -> int:
        return _known(self._sizes.due, self._keys.delayed)

    def _unattended(self) -> int:
        """The size of the backlog if there is no live worker, else 0. Also 0 for a paused queue, from which
        no job should be taken. Jobs that were claimed in the future are in it: by the clock of Redis nobody
        runs them, and their claims do not say for how long."""
        if self._sizes.paused or (self._is_empty and not self._sizes.active):
            return 0
        if any(worker.is_live for worker in self._workers):
            return 0
        return self._waiting + self._due + self._lost.ahead

    def _paused(self) -> int:
        return self._waiting + self._due if self._sizes.paused else 0

    @property
    def _is_empty(self) -> bool:
        return self._sizes.waiting == 0 and self._sizes.due == 0

    def _oldest(self) -> float | None:
        oldest = self._counts.oldest
        if self._waiting and oldest is None:
            raise _Unknown("no job at the head of its priority has a creation time")
        if oldest is not None and oldest > self._now + TOLERANCE:
            ahead = offset_in_words(oldest - self._now)
            self._store.warn_of(
                self._queue,
                f"the clock that set creation times is {ahead} the server's, so the age of jobs is unknown",
            )
        return None if oldest is None else max(0.0, self._now - oldest)

    def _running(self) -> float | None:
        oldest = self._lost.oldest_claim
        return None if oldest is None else max(0.0, self._now + slowest(self._workers) - oldest)

    def _matching(self) -> int:
        from asyncmq_cli.models.jobs import JobFilter
        from asyncmq_cli.services.jobs.filter import Matcher
        from asyncmq_cli.services.jobs.where import compiled

        matches = Matcher(JobFilter(where=self._where), self._now)
        states = compiled(self._where).states
        return sum(
            matches(job)
            for state in (["all"] if states is None else sorted(states))
            for job in self._store.jobs.in_state(self._queue, state, matches.prefilter)
        )

    def _failed(self) -> int:
        dead = _known(self._sizes.dlq, self._keys.dlq)
        return _known(self._counts.failed, self._keys.states) if dead else 0

    def _overdue(self) -> int:
        if self._sizes.repeatables == 0:
            return 0
        members = self._store.repeatables.each(self._queue)
        clock = SchedulerClock(self._store, self._queue, self._now)
        return sum(1 for member in members if clock.is_overdue(member))


class _Active(NamedTuple):
    """The number of active jobs whose worker is gone, the time at which the oldest active job was claimed,
    the number of jobs claimed before a worker went silent, and of those claimed in the future."""

    known: int
    oldest_claim: float | None
    silent: int
    ahead: int


class _Unknown(Exception):
    """The value of a probe cannot be computed from the data."""


def _known(size: int | None, key: bytes) -> int:
    """The size. Raises WrongType if it could not be read."""
    if size is None:
        raise WrongType(key)
    return size


def _judged(name: str, queue: str | None, value: float | None, threshold: Threshold) -> Probe:
    state = "ok" if value is None else threshold.state_of(value)
    return Probe(name, queue, value, threshold, state)
