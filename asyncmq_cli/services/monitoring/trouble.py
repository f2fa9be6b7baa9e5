"""Find the problems of all queues and the causes of failures, cheaply enough for each refresh.

Sizes and workers are always current. Claims and definitions are read if the sizes say that there are any. The
causes of failures are read from the latest dead letters of the queues in which most jobs have died lately. In
a series of reads, the more such a read costs, the less often it is made.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from msgspec import Struct

from asyncmq_cli.models.failures import RECENT, FailureGroups, is_growing
from asyncmq_cli.models.monitoring.checks import PROBE_BY_NAME, Probe, Problem
from asyncmq_cli.services.jobs.failure_groups import grouped
from asyncmq_cli.services.monitoring.check import ALWAYS, QueueCounts, QueueProbes
from asyncmq_cli.services.monitoring.lost_jobs import has_few_claims

if TYPE_CHECKING:
    from asyncmq_cli.models.jobs import Job
    from asyncmq_cli.models.queues import QueueStats
    from asyncmq_cli.models.workers import Worker
    from asyncmq_cli.storage.read.sizes import Sizes
    from asyncmq_cli.storage.read.workers import Claim
    from asyncmq_cli.storage.store import Store

    Workers = Mapping[str, Sequence[Worker] | None]

LATEST = 100
"""The number of dead letters per queue that are read for the causes."""
MOST_QUEUES = 20
"""The number of queues whose dead letters are read."""

_BY_SIZES = ("unattended", "paused")
_BY_CLAIMS = ("overdue", "lost", "silent")
_CHEAP = 0.02
"""Seconds. A read that takes less is made every time."""
_FACTOR = 200.0
"""Seconds after which a read is repeated, per second that it took."""
_SECONDS_A_CAUSE = 0.01
"""Seconds between two reads of the causes, per dead letter."""


class Timer(Struct):
    """The time until which a value need not be read again."""

    until: float = float("-inf")

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self.until

    def set(self, seconds: float) -> None:
        self.until = time.monotonic() + seconds

    def set_by_cost(self, seconds: float) -> None:
        """Start after a read that took so many seconds: the more it took, the later the next one."""
        self.set(0.0 if seconds < _CHEAP else seconds * _FACTOR)


class TroubleReader:
    """Reads problems and causes. Call `reset` to forget what was read."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.reset()

    def reset(self) -> None:
        """Forget everything that was read."""
        self._costly: dict[str, list[Problem]] = {}
        self._costly_timer, self._causes_timer = Timer(), Timer()
        self._causes: FailureGroups | None = None

    def problems(
        self, every: Sequence[Sizes], workers: Workers, rows: Sequence[QueueStats], now: float
    ) -> list[Problem]:
        """The problems of these queues, the worst first."""
        deaths = self._deaths(every, now)
        found = [*_of_rows(rows), *_growing(deaths), *_silent(workers)]
        for sizes in every:
            if sizes.waiting != 0 or sizes.due != 0:
                found += self._probed(sizes, workers, now, _BY_SIZES)
        if self._costly_timer.is_over:
            began = time.monotonic()
            claims = self._store.claims.of_small([one.queue for one in every if has_few_claims(one)])
            self._costly = {
                one.queue: self._probed(one, workers, now, _BY_CLAIMS, claims.get(one.queue))
                for one in every
                if one.active != 0 or one.repeatables != 0
            }
            self._costly_timer.set_by_cost(time.monotonic() - began)
        found += chain.from_iterable(self._costly.get(sizes.queue, ()) for sizes in every)
        # If a silent worker may have been running jobs, only the problem about those jobs is shown.
        taken = {one.queue for one in found if one.kind == "silent"}
        found = [one for one in found if one.kind != "worker_silent" or one.queue not in taken]
        return sorted(dict.fromkeys(found), key=lambda one: one.rank)

    def causes(self, every: Sequence[Sizes], now: float) -> FailureGroups:
        """The causes of the latest deaths, the most frequent first."""
        if self._causes is not None and not self._causes_timer.is_over:
            return self._causes
        deaths = self._deaths(every, now)
        dead = {sizes.queue: sizes.dlq for sizes in every if sizes.dlq}
        chosen = sorted(dead, key=lambda queue: (-deaths[queue][0], -dead[queue], queue))[:MOST_QUEUES]
        covered: dict[str, float] = {}
        jobs = chain.from_iterable(self._latest(queue, dead[queue], covered) for queue in chosen)
        scanned, left_out, groups = grouped(jobs, now=now)
        self._causes = FailureGroups(
            sorted(chosen),
            "cause",
            now,
            scanned,
            left_out,
            groups,
            covered=covered,
            latest=LATEST if covered else None,
            queues_left_out=len(dead) - len(chosen),
        )
        self._causes_timer.set(scanned * _SECONDS_A_CAUSE)
        return self._causes

    def _latest(self, queue: str, dead: int, covered: dict[str, float]) -> Iterator[Job]:
        earliest: float | None = None
        for job in self._store.jobs.dead_causes(queue, newest=LATEST):
            earliest = job.dead_at if earliest is None else min(earliest, job.dead_at or 0.0)
            yield job
        if dead > LATEST and earliest is not None:
            covered[queue] = earliest

    def _deaths(self, every: Sequence[Sizes], now: float) -> Mapping[str, tuple[int, int]]:
        """By queue, the number of deaths in the last hour and in the hour before."""
        dead = [sizes.queue for sizes in every if sizes.dlq]
        found = self._store.queues.dead_since(dead, now - RECENT, now - 2 * RECENT)
        return {queue: (recent, max(0, both - recent)) for queue, (recent, both) in found.items()}

    def _probed(
        self,
        sizes: Sizes,
        workers: Workers,
        now: float,
        names: Sequence[str],
        claims: Sequence[Claim] | None = None,
    ) -> list[Problem]:
        thresholds = {name: ALWAYS[name] for name in names}
        counts = QueueCounts(sizes, None, None)
        probes = QueueProbes(self._store, counts, now, workers.get(sizes.queue), claims=claims)
        return [_problem(sizes.queue, probe) for probe in probes.judged(thresholds) if probe.state != "ok"]


def _problem(queue: str, probe: Probe) -> Problem:
    if probe.value is None:
        return Problem("unreadable", "unknown", queue, None, probe.problem or "it cannot be read")
    value = int(probe.value)
    said = PROBE_BY_NAME[probe.name].text.format(f"{value:,}", s="" if value == 1 else "s")
    return Problem(probe.name, probe.state, queue, value, said)


def _of_rows(rows: Sequence[QueueStats]) -> Iterator[Problem]:
    for row in rows:
        if row.problem is not None:
            yield Problem("contradiction", "warning", row.name, None, row.problem)


def _growing(deaths: Mapping[str, tuple[int, int]]) -> Iterator[Problem]:
    for queue, (last_hour, before) in deaths.items():
        if is_growing(last_hour, before):
            said = f"{last_hour:,} died in the last hour, {before:,} before"
            yield Problem("growing", "warning", queue, last_hour, said)


def _silent(workers: Workers) -> Iterator[Problem]:
    """Problems about workers that went silent while others stayed live. A worker whose clock is ahead is left
    out, because the age of its heartbeat is unknown."""
    for queue, found in workers.items():
        gone = [worker for worker in found or () if not worker.is_live and worker.age_seconds is not None]
        if gone and len(gone) < len(found or ()):
            said = "1 worker is silent" if len(gone) == 1 else f"{len(gone):,} workers are silent"
            yield Problem("worker_silent", "warning", queue, len(gone), said)
