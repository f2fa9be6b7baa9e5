"""Read the rows of queues."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import redis
from msgspec import Struct

from asyncmq_cli.errors import WrongType
from asyncmq_cli.models.queues import ALL_FIELDS, STATE_FIELDS, QueueStats
from asyncmq_cli.models.values import chunked
from asyncmq_cli.storage.client.connection import run_pipeline
from asyncmq_cli.storage.read.sizes import Sizes, StateCounts, oldest_waiting, read_sizes, read_states
from asyncmq_cli.storage.schema.keys import QueueKeys

if TYPE_CHECKING:
    from asyncmq_cli.models.jobs import Job
    from asyncmq_cli.storage.read.workers import WorkerReader

Warn = Callable[[str], None]

_ROWS_AT_A_TIME = 500
"""The number of rows that are built before the next queues are read."""


_LONGEST_COUNT = 20


class Backlog(Struct, frozen=True):
    """The work left in a queue: the number of waiting jobs, of delayed jobs that are due, and of claims."""

    waiting: int
    due: int
    active: int


class QueueIdentity(Struct, frozen=True):
    """Evidence by which a queue is recognised as the same one, even when it is empty. `sequence` is the
    counter of its waiting jobs, which only grows. `any` says whether there is a counter or any job, even one
    that has ended."""

    sequence: int | None
    any: bool

    def is_gone_in(self, later: QueueIdentity) -> bool:
        """Whether the queue was deleted, or deleted and created again, between this read and a later one."""
        if self.sequence is not None and (later.sequence is None or later.sequence < self.sequence):
            return True
        return self.any and not later.any


class QueueReader:
    """Reads queues. `warn` is called for every key that cannot be read; its value is then None, not 0."""

    def __init__(self, client: redis.Redis, workers: Callable[[], WorkerReader], warn: Warn) -> None:
        """`workers` returns the reader of workers; it is called when workers are first needed."""
        self._redis = client
        self._workers = workers
        self._warn = warn

    def is_paused(self, queue: str) -> bool:
        return bool(self._redis.exists(QueueKeys(queue).paused))

    def repeatables_as_jobs(self, queue: str) -> Iterator[Job]:
        """The repeatable definitions as jobs, as in the dashboard's `repeatable` list."""
        from asyncmq_cli.models.jobs import Job
        from asyncmq_cli.storage.read.repeatables import read

        for one in read(self._redis, queue):
            yield Job(queue, one.id, "repeatable", one.definition, problem=one.problem, due_at=one.score)

    def stats(self, queue: str, now: float, fields: Collection[str] = ALL_FIELDS) -> QueueStats:
        """The row of one queue. Ages are measured from `now`, the server's time."""
        return next(self.all_stats([queue], now, fields))

    def all_stats(
        self, names: Sequence[str], now: float, fields: Collection[str] = ALL_FIELDS
    ) -> Iterator[QueueStats]:
        """The row of each queue. Reads only what these fields need."""
        if not ALL_FIELDS.intersection(fields):
            yield from map(QueueStats, names)
            return
        for group in chunked(names, _ROWS_AT_A_TIME):
            counted: list[tuple[Sizes, StateCounts]]
            if STATE_FIELDS.intersection(fields):
                counted = list(read_states(self._redis, group, now))
            else:
                counted = [(sizes, StateCounts()) for sizes in self.sizes(group, now)]
            yield from self.rows(counted, now, fields)

    def rows(
        self,
        counted: Sequence[tuple[Sizes, StateCounts]],
        now: float,
        fields: Collection[str],
        live_workers: Mapping[str, int | None] | None = None,
    ) -> Iterator[QueueStats]:
        """Rows made from sizes that have been read already; reads whatever else these fields need.
        `live_workers` has the number of live workers of each queue, if they have been read already."""
        oldest: dict[str, float] = {}
        if "oldest_waiting_seconds" in fields:
            oldest = oldest_waiting(self._redis, [sizes.queue for sizes, _ in counted if sizes.waiting])
        if live_workers is None and "workers" in fields:
            live_workers = self._count_live([sizes for sizes, _ in counted])
        for sizes, states in counted:
            for key in sizes.wrong:
                self._warn(f"queue {sizes.queue!r}: {WrongType(key).message}")
            created = oldest.get(sizes.queue)
            workers = None if live_workers is None else live_workers[sizes.queue]
            yield QueueStats(
                name=sizes.queue,
                paused=sizes.paused,
                pause_seconds_left=sizes.pause_seconds_left,
                waiting=sizes.waiting,
                active=sizes.active,
                delayed=sizes.delayed,
                failed=failed_of(sizes, states),
                completed=states.completed,
                expired=states.expired,
                cancelled=states.cancelled,
                waiting_children=states.waiting_children,
                dlq=sizes.dlq,
                repeatables=sizes.repeatables,
                workers=workers,
                oldest_waiting_seconds=None if created is None else max(0.0, now - created),
                problem=states.problem,
                states_age_seconds=None if states.read_at is None else max(0.0, now - states.read_at),
                empty=sizes.is_empty,
                due=sizes.due,
            )

    def sizes(self, names: Sequence[str], now: float) -> Iterator[Sizes]:
        """The sizes of each queue's collections."""
        return read_sizes(self._redis, names, now)

    def states(self, names: Sequence[str], now: float) -> Iterator[tuple[Sizes, StateCounts]]:
        """The sizes of each queue, and the counts from its states hash, which is read once."""
        return read_states(self._redis, names, now)

    def oldest_waiting(self, names: Sequence[str]) -> dict[str, float]:
        """By queue, the creation time of the oldest among the first jobs of each priority. Queues without
        such a job are left out."""
        return oldest_waiting(self._redis, names)

    def dead_since(self, names: Sequence[str], *moments: float) -> dict[str, list[int]]:
        """By queue, the number of deaths after each of these times (epoch seconds). Raises WrongType."""
        found: dict[str, list[int]] = {}
        for group in chunked(names, _ROWS_AT_A_TIME):
            commands = [
                ("ZCOUNT", QueueKeys(queue).dlq, f"({moment!r}", "+inf")
                for queue in group
                for moment in moments
            ]
            counts = iter(run_pipeline(self._redis, commands))
            found.update((queue, [next(counts) for _ in moments]) for queue in group)
        return found

    def backlog(self, queue: str, now: float) -> Backlog:
        """The work left: the larger of two reads, one right after the other. Raises WrongType.

        A job moves from delayed to waiting to active, and the sizes are read in that order, so that no job is
        missed. The second read finds a job that moved back for a retry.
        """
        keys = QueueKeys(queue)
        places = [("ZCOUNT", keys.delayed, "-inf", now), ("ZCARD", keys.waiting), ("HLEN", keys.active)]
        sizes = run_pipeline(self._redis, [*places, *places])
        due, waiting, active = map(max, zip(sizes[:3], sizes[3:], strict=True))
        return Backlog(waiting=waiting, due=due, active=active)

    def identity(self, queue: str) -> QueueIdentity:
        """Evidence by which a later check can see that the queue is still the same. Raises WrongType."""
        keys = QueueKeys(queue)
        commands = [("MGET", keys.waiting_seq), ("EXISTS", keys.waiting_seq, keys.ids, keys.states)]
        (sequence,), kept = run_pipeline(self._redis, commands)
        is_count = sequence is not None and sequence.isdigit() and len(sequence) < _LONGEST_COUNT
        return QueueIdentity(int(sequence) if is_count else None, kept > 0)

    def _count_live(self, every: Sequence[Sizes]) -> dict[str, int | None]:
        """By queue, the number of live workers; None if the heartbeats cannot be read."""
        found: dict[str, int | None] = {
            sizes.queue: None if sizes.heartbeats is None else 0 for sizes in every
        }
        read = self._workers().in_queues(sizes.queue for sizes in every if sizes.heartbeats)
        found.update(
            {
                queue: None if isinstance(one, WrongType) else sum(worker.is_live for worker in one)
                for queue, one in read
            }
        )
        return found

    def live_workers(self, queue: str) -> int:
        """The number of live workers. Raises WrongType."""
        return sum(1 for worker in self._workers().in_queue(queue) if worker.is_live)


def failed_of(sizes: Sizes, states: StateCounts) -> int | None:
    """The number of failed jobs: the dead letters that have not expired."""
    if sizes.dlq is None or states.expired is None:
        return None
    return max(0, sizes.dlq - states.expired)
