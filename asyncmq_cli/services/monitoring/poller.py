"""Read snapshots of all queues, and poll them at low cost.

Every read gets the sizes of all places, which is cheap however large they are. The names of keys, the states
hashes and the records of the latest jobs must be read completely. When polling, the more these reads cost,
the less often they are made, and the snapshot says how old they are.
"""

from __future__ import annotations

import heapq
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Generic, TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from asyncmq_cli.errors import RedisProblem, WrongType
from asyncmq_cli.models.monitoring.snapshots import LatestJob, LatestQueue, Snapshot
from asyncmq_cli.models.queues import ALL_FIELDS, STATE_FIELDS
from asyncmq_cli.models.values import as_number, chunked
from asyncmq_cli.services.monitoring.lost_jobs import LostJobs, silence_in_words
from asyncmq_cli.services.monitoring.trouble import Timer, TroubleReader
from asyncmq_cli.storage.read.sizes import StateCounts

if TYPE_CHECKING:
    from asyncmq_cli.models.jobs import Job
    from asyncmq_cli.models.monitoring.checks import Problem
    from asyncmq_cli.models.queues import QueueStats
    from asyncmq_cli.models.workers import Worker
    from asyncmq_cli.storage.read.pieces import Piece
    from asyncmq_cli.storage.read.sizes import Sizes
    from asyncmq_cli.storage.store import Store


LATEST_QUEUES = 5

_QUEUES_AT_A_TIME = 500
_SECONDS_A_STATE = 3e-4
"""Seconds between two reads, per entry of the states hashes. Redis takes one to two microseconds per entry,
so this takes about half a percent of its time."""
_SECONDS_A_JOB = 4e-4
"""Seconds between two reads of the latest jobs, per record that is read."""
_SECONDS_A_QUEUE = 0.02
"""Seconds between two reads of the latest jobs, per queue, where only the newest members of each place are
read."""


class _Latest(Struct):
    """The latest jobs and queues, read at `at` by the server's clock."""

    at: float
    jobs: list[LatestJob] = field(default_factory=list)
    queues: list[LatestQueue] = field(default_factory=list)
    partial: bool = False


class SnapshotReader:
    """Reads snapshots. `fields` are the wanted fields of QueueStats; if empty, no rows are read. `workers`,
    `latest` and `trouble` add these parts; `trouble` includes the causes of failures unless `causes` is
    False. `again` says that there will be several reads."""

    def __init__(
        self,
        store: Store,
        fields: Collection[str] = ALL_FIELDS,
        *,
        workers: bool = False,
        latest: bool = False,
        trouble: bool = False,
        causes: bool = True,
        again: bool = False,
    ) -> None:
        self._store = store
        self._trouble = TroubleReader(store) if trouble else None
        self._wants_causes = causes
        self._fields = frozenset(fields)
        self._wants_workers = workers or "workers" in self._fields
        self._lists_workers = workers
        self._wants_latest = latest
        self._again = again
        self.reset()

    def reset(self) -> None:
        """Forget everything that was read."""
        self._names: list[str] = []
        self._names_timer, self._states_timer, self._latest_timer = Timer(), Timer(), Timer()
        self._states: dict[str, StateCounts] = {}
        self._latest: _Latest | None = None
        if self._trouble is not None:
            self._trouble.reset()

    def read(self) -> Snapshot:
        """Read a snapshot. Raises the errors of redis-py; after an error, call `reset` before the next
        read."""
        now = self._store.now()
        self._find_names()
        rows: list[QueueStats] = []
        live: list[Worker] = []
        every: list[Sizes] = []
        workers: dict[str, Sequence[Worker] | None] = {}
        for counted in self._counted(now):
            if self._wants_latest or self._trouble is not None:
                every += [sizes for sizes, _ in counted]
            found = self._workers([sizes for sizes, _ in counted])
            live += [worker for workers in found.values() for worker in workers or () if worker.is_live]
            workers.update(found)
            if self._lists_workers and self._trouble is None:
                self._warn_of_silence(found, now)
            if self._fields:
                # Count the live workers here, so that the rows agree with the list of workers.
                live_workers = {
                    queue: None if workers is None else sum(worker.is_live for worker in workers)
                    for queue, workers in found.items()
                }
                rows += self._store.queues.rows(counted, now, self._fields, live_workers)
        snapshot = Snapshot(now=now, stats=rows if self._fields else None)
        if self._trouble is not None:
            silent = sum(not worker.is_live for found in workers.values() for worker in found or ())
            problems = self._trouble.problems(every, workers, rows, now)
            causes = self._trouble.causes(every, now) if self._wants_causes else None
            snapshot = replace(
                snapshot,
                stats=_with_findings(rows, problems) if self._fields else None,
                silent_workers=silent,
                problems=problems,
                causes=causes,
            )
        if self._wants_workers:
            snapshot = replace(snapshot, workers=sorted(live, key=lambda worker: (worker.queue, worker.id)))
        if self._wants_latest:
            latest = self._find_latest(every, now)
            snapshot = replace(
                snapshot,
                latest_jobs=latest.jobs,
                latest_queues=latest.queues,
                latest_at=latest.at,
                latest_partial=latest.partial,
            )
        return snapshot

    def _find_names(self) -> None:
        """Find the names of all queues, by a scan of all keys."""
        if not self._names_timer.is_over:
            return
        began = time.monotonic()
        self._names = self._store.queue_names.all()
        self._names_timer.set_by_cost(time.monotonic() - began)

    def _counted(self, now: float) -> Iterator[list[tuple[Sizes, StateCounts]]]:
        """The sizes of the queues, in chunks, with the counts of their states as far as known."""
        if not (self._fields or self._wants_workers or self._wants_latest):
            return
        wants_states = bool(STATE_FIELDS & self._fields)
        rereads = wants_states and self._states_timer.is_over
        if rereads:
            self._states.clear()
        entries = 0
        for group in chunked(list(self._names), _QUEUES_AT_A_TIME):
            counted: dict[str, tuple[Sizes, StateCounts]] = {}
            unread = [queue for queue in group if wants_states and queue not in self._states]
            for sizes, states in self._store.queues.states(unread, now):
                counted[sizes.queue] = (sizes, states)
                entries += sizes.states or 0
                if self._again:
                    self._states[sizes.queue] = states
            others = [queue for queue in group if queue not in counted]
            for sizes in self._store.queues.sizes(others, now):
                counted[sizes.queue] = (sizes, self._states.get(sizes.queue, StateCounts()))
            yield [counted[queue] for queue in group if not self._is_gone(counted[queue][0])]
        if rereads:
            self._states_timer.set(entries * _SECONDS_A_STATE)

    def _is_gone(self, sizes: Sizes) -> bool:
        """Whether the queue was deleted since its name was found."""
        if not sizes.is_empty or self._store.queue_names.exists(sizes.queue):
            return False
        self._names.remove(sizes.queue)
        self._states.pop(sizes.queue, None)
        return True

    def _workers(self, every: Sequence[Sizes]) -> dict[str, Sequence[Worker] | None]:
        """The workers of each queue; None if they cannot be read, in which case the queue's row has a
        warning."""
        found: dict[str, Sequence[Worker] | None] = {
            sizes.queue: None if sizes.heartbeats is None else () for sizes in every
        }
        if self._wants_workers:
            read = self._store.workers.in_queues(sizes.queue for sizes in every if sizes.heartbeats)
            found.update({queue: None if isinstance(one, WrongType) else one for queue, one in read})
        return found

    def _warn_of_silence(self, workers: Mapping[str, Sequence[Worker] | None], now: float) -> None:
        """Warn about jobs that a silent worker may have been running. Claims are read only if there is a
        silent worker."""
        for queue, found in workers.items():
            if not found or len({worker.is_live for worker in found}) == 1:
                continue
            lost = LostJobs(self._store, queue, now, found)
            try:
                lost.count()
            except WrongType as exc:
                self._store.warn_of(queue, exc.message)
            if lost.silent:
                self._store.warn_of(queue, silence_in_words(lost.silent))

    def _find_latest(self, every: Sequence[Sizes], now: float) -> _Latest:
        jobs = sum(sizes.jobs for sizes in every)
        if self._latest is not None and not self._latest_timer.is_over:
            return self._latest
        held = sum(sizes.jobs > 0 for sizes in every)
        latest = _Latest(at=now, partial=jobs > FEW_JOBS or held > FEW_QUEUES)
        if latest.partial:
            of_queue = newest_placed(self._store, every)
            self._latest_timer.set(len(every) * _SECONDS_A_QUEUE)
        else:
            of_queue = {sizes.queue: newest_of(self._store, sizes.queue) for sizes in every if sizes.jobs}
            self._latest_timer.set(jobs * _SECONDS_A_JOB)
        latest.jobs = newest(job for found in of_queue.values() for job in found)
        active = [LatestQueue(found[0].created, queue) for queue, found in of_queue.items() if found]
        latest.queues = heapq.nsmallest(LATEST_QUEUES, active, key=lambda one: (-one.active_at, one.name))
        self._latest = latest
        return latest


def _with_findings(rows: Sequence[QueueStats], problems: Sequence[Problem]) -> list[QueueStats]:
    """The same rows, with `finding` set from the problems with claims and schedules."""
    stuck, overdue = (
        {problem.queue for problem in problems if problem.kind == kind} for kind in ("lost", "overdue")
    )
    if not stuck and not overdue:
        return list(rows)
    return [
        replace(row, finding="stuck" if row.name in stuck else "overdue" if row.name in overdue else None)
        for row in rows
    ]


T = TypeVar("T")

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 30.0


class Outage(Struct, frozen=True):
    """Redis did not reply. The next try is after `pause` seconds."""

    error: RedisProblem
    pause: float


class Poller(Generic[T]):
    """Calls `read` repeatedly, and `reset` after a failure."""

    def __init__(
        self,
        store: Store,
        read: Callable[[], T],
        reset: Callable[[], None],
        *,
        retry: bool = True,
        for_ever: bool = False,
    ) -> None:
        """With `for_ever`, no error of Redis ends the polling, not even before the first success."""
        self._store = store
        self._read = read
        self._reset = reset
        self._retry = retry
        self._for_ever = for_ever
        self._pause = _FIRST_PAUSE
        self._cost = 0.0
        self._has_succeeded = False

    def first(self) -> T:
        """The first read. Raises RedisProblem, because an error of the first read is more likely a wrong
        address than an outage."""
        began = time.monotonic()
        with self._store.errors():
            found = self._read()
        self._cost = time.monotonic() - began
        self._pause = _FIRST_PAUSE
        self._has_succeeded = True
        return found

    def next(self) -> T | Outage:
        """The next read, or an outage. Raises RedisProblem if waiting cannot help, or if no read has
        succeeded yet."""
        try:
            return self.first()
        except RedisProblem as exc:
            self._reset()
            if not self._for_ever and not (self._retry and self._has_succeeded and exc.may_pass):
                raise
            outage = Outage(exc, self._pause)
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)
            return outage

    def pause(self, interval: float) -> float:
        """Seconds until the next read: the interval, but at least as long as the last read took."""
        return max(interval - self._cost, self._cost)


LATEST_JOBS = 10
FEW_JOBS = 20_000
FEW_QUEUES = 1000
"""If there are more jobs, or more queues with jobs, the newest are found by the scores of sorted sets instead
of by reading all jobs."""

# All values of these two names anywhere in the record. The job's own time is among them.
_TIMES = re.compile(rb'"(?:created_at|timestamp)"\s*:\s*"?\s*([^",}\]\s]*)')


class NewestPrefilter:
    """Skips jobs that were created before `floor`, which may be raised between pieces. While it is 0, which
    is the time of jobs without a time, everything passes."""

    def __init__(self) -> None:
        self.floor = 0.0

    def passing(self, piece: Piece) -> list[int]:
        """The positions of jobs that may be among the newest."""
        if self.floor <= 0:
            return list(range(len(piece.ids)))
        return [i for i in range(len(piece.ids)) if self._may_pass(piece.bodies(i))]

    def _may_pass(self, bodies: Sequence[bytes]) -> bool:
        if not bodies or any(b"\\u00" in body for body in bodies):
            # A member's name may contain escapes.
            return True
        for text in chain.from_iterable(map(_TIMES.findall, bodies)):
            try:
                # A value that is no number does not count as below the floor.
                if not float(text) < self.floor:
                    return True
            except ValueError:
                if text != b"null":
                    return True
        return False


def newest_of(store: Store, queue: str) -> list[LatestJob]:
    """The newest jobs of a queue, newest first. Warns of keys that cannot be read."""
    prefilter = NewestPrefilter()
    top: list[LatestJob] = []
    for job in _readable(store, queue, prefilter):
        found = LatestJob(_created(job), queue, job.id, job.status)
        if len(top) == LATEST_JOBS and newest_first(found) >= newest_first(top[-1]):
            continue
        # A scan may return a job twice.
        top = newest([found, *(one for one in top if one.id != found.id)])
        if len(top) == LATEST_JOBS:
            prefilter.floor = top[-1].created
    return top


def newest_placed(store: Store, sizes: Sequence[Sizes]) -> dict[str, list[LatestJob]]:
    """By queue, the jobs that may be among the newest of all queues, found without reading all jobs.
    Completed and cancelled jobs and jobs that wait for parents are in no sorted set, so they are left out."""
    found: dict[str, list[LatestJob]] = {}
    for job in store.newest_placed(sizes, LATEST_JOBS):
        found.setdefault(job.queue, []).append(job)
    return {queue: newest(jobs) for queue, jobs in found.items()}


def _readable(store: Store, queue: str, prefilter: NewestPrefilter) -> Iterator[Job]:
    try:
        yield from store.jobs.in_state(queue, "all", prefilter)
    except WrongType as exc:
        store.warn_of(queue, exc.message)


def newest(jobs: Iterable[LatestJob]) -> list[LatestJob]:
    """The newest of these jobs, the newest first."""
    return heapq.nsmallest(LATEST_JOBS, jobs, key=newest_first)


def newest_first(job: LatestJob) -> tuple[float, str, str]:
    """The sort key: newest first, then by queue and id."""
    return (-job.created, job.queue, job.id)


def _created(job: Job) -> float:
    # The dashboard's order of precedence.
    return as_number(job.get("timestamp")) or job.created_at or 0.0
