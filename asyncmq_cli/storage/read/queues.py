"""Find the queues that exist, and read their rows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import redis
from msgspec import Struct
from redis.exceptions import NoPermissionError

from asyncmq_cli.errors import WrongType
from asyncmq_cli.models.queues import ALL_FIELDS, STATE_FIELDS, QueueStats
from asyncmq_cli.models.values import chunked
from asyncmq_cli.storage.client import scan
from asyncmq_cli.storage.client.connection import run_pipeline
from asyncmq_cli.storage.read import queue_names
from asyncmq_cli.storage.read.sizes import Sizes, StateCounts, oldest_waiting, read_sizes, read_states
from asyncmq_cli.storage.schema.keys import DISCOVERY_PATTERN, QueueKeys, to_bytes, to_text

if TYPE_CHECKING:
    from asyncmq_cli.models.jobs import Job
    from asyncmq_cli.storage.read.workers import WorkerReader

Warn = Callable[[str], None]

_ROWS_AT_A_TIME = 500
"""The number of rows that are built before the next queues are read."""


_HOUR = 3600.0
_NAMED = 5
_LONGEST_COUNT = 20


def _some(names: Collection[bytes]) -> str:
    shown = [repr(to_text(name)) for name in sorted(names)]
    return ", ".join(shown[:_NAMED]) + (f" and {len(shown) - _NAMED} more" if len(shown) > _NAMED else "")


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

    def names(self) -> list[str]:
        """The names of all queues, sorted. AsyncMQ has no registry of queues, so this scans the names of
        keys. Queues of the RabbitMQ backend, and queues that the user may not read, are left out with a
        warning. Raises ForeignQueue if all queues belong to RabbitMQ."""
        found, certain = self._scanned()
        if secret := queue_names.hidden(self._redis, found):
            if secret == found:
                # If no queue can be read, raise Redis's own error.
                queue_names.touch(self._redis, min(secret))
            found -= secret
            self._warn(f"not listed, because the Redis user may not read them: {_some(secret)}")
        if doubtful := found - certain:
            found -= self._foreign(doubtful, alone=not certain & found)
        return sorted(to_text(name) for name in found)

    def _scanned(self) -> tuple[set[bytes], set[bytes]]:
        """All queues, and the queues among them that have a key which only the Redis backend writes."""
        found: set[bytes] = set()
        certain: set[bytes] = set()
        for keys in queue_names.key_names(self._redis, DISCOVERY_PATTERN):
            found |= queue_names.proven_by(self._redis, keys, found, certain)
        return found, certain

    def _foreign(self, names: set[bytes], *, alone: bool) -> set[bytes]:
        """The queues among these that belong to the RabbitMQ backend; prints a warning that names them."""
        from asyncmq_cli.storage.schema import rabbitmq

        foreign = rabbitmq.foreign(self._redis, names)
        shown = sorted(to_text(name) for name in foreign if not rabbitmq.is_internal(name))
        if foreign and alone and foreign == names:
            raise rabbitmq.ForeignQueue(shown or sorted(map(to_text, foreign)))
        if shown:
            self._warn(f"left out: {rabbitmq.describe(shown)}")
        return foreign

    def left_beside_sequence(self, queue: str) -> bytes | None:
        """The first key, other than the sequence of the waiting set, that proves that the queue exists; or
        None."""
        keys = QueueKeys(queue)
        others = [key for key in keys.evidence() if key != keys.waiting_seq]
        return next((key for key in others if self._redis.exists(key)), None)

    def exists(self, queue: str) -> bool:
        """Whether any key of the queue exists, as `names` would find it. Raises ForeignQueue."""
        from asyncmq_cli.storage.schema import rabbitmq

        try:
            if not queue_names.exists(self._redis, queue):
                return False
        except NoPermissionError as exc:
            # If the queue does not exist, its name is a typo; the missing right is not the problem.
            if queue_names.is_hidden(exc) and to_bytes(queue) not in self._scanned()[0]:
                return False
            raise
        rabbitmq.refuse(self._redis, to_bytes(queue))
        return True

    def is_paused(self, queue: str) -> bool:
        return bool(self._redis.exists(QueueKeys(queue).paused))

    def count_waiting(self, queue: str) -> int:
        """The size of the waiting set. Raises WrongType."""
        return scan.card(self._redis, "ZCARD", QueueKeys(queue).waiting)

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

    def deaths(self, names: Sequence[str], now: float) -> dict[str, tuple[int, int]]:
        """By queue, the number of deaths in the last hour and in the hour before. Raises WrongType."""
        found: dict[str, tuple[int, int]] = {}
        for group in chunked(names, _ROWS_AT_A_TIME):
            commands: list[tuple[Any, ...]] = []
            for key in (QueueKeys(queue).dlq for queue in group):
                commands.append(("ZCOUNT", key, now - _HOUR, "+inf"))
                commands.append(("ZCOUNT", key, now - 2 * _HOUR, f"({now - _HOUR}"))
            counts = run_pipeline(self._redis, commands)
            found.update(zip(group, zip(counts[::2], counts[1::2], strict=True), strict=True))
        return found

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
        """The work left in the queue. Raises WrongType."""
        return read_backlog(self._redis, queue, now)

    def identity(self, queue: str) -> QueueIdentity:
        """Evidence by which a later check can see that the queue is still the same. Raises WrongType."""
        return read_identity(self._redis, queue)

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

    def live_workers(self, queue: str, now: float) -> int:
        """The number of live workers. Raises WrongType."""
        return sum(1 for worker in self._workers().in_queue(queue) if worker.is_live)


def failed_of(sizes: Sizes, states: StateCounts) -> int | None:
    """The number of failed jobs: the dead letters that have not expired."""
    if sizes.dlq is None or states.expired is None:
        return None
    return max(0, sizes.dlq - states.expired)


def read_backlog(client: redis.Redis, queue: str, now: float) -> Backlog:
    """The work left: the larger of two reads, one right after the other. Raises WrongType.

    A job moves from delayed to waiting to active, and the sizes are read in that order, so that no job is
    missed. The second read finds a job that moved back for a retry.
    """
    keys = QueueKeys(queue)
    places = [("ZCOUNT", keys.delayed, "-inf", now), ("ZCARD", keys.waiting), ("HLEN", keys.active)]
    sizes = run_pipeline(client, [*places, *places])
    due, waiting, active = map(max, zip(sizes[:3], sizes[3:], strict=True))
    return Backlog(waiting=waiting, due=due, active=active)


def read_identity(client: redis.Redis, queue: str) -> QueueIdentity:
    """Read the queue's identity. Raises WrongType."""
    keys = QueueKeys(queue)
    commands = [("MGET", keys.waiting_seq), ("EXISTS", keys.waiting_seq, keys.ids, keys.states)]
    (sequence,), kept = run_pipeline(client, commands)
    is_count = sequence is not None and sequence.isdigit() and len(sequence) < _LONGEST_COUNT
    return QueueIdentity(int(sequence) if is_count else None, kept > 0)
