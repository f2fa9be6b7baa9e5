"""The interface of the storage layer.

Services use Redis only through a `Store` (completion through `completion.py`). From other modules of storage
they import only values, errors and rules that need no connection; test_layers.py checks both.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from threading import Event
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace
from redis.exceptions import RedisError

from asyncmq_cli.errors import ChangeRefused
from asyncmq_cli.storage.client.connection import answer_within, connect
from asyncmq_cli.storage.client.replies import Waited
from asyncmq_cli.storage.read.queue_names import QueueNames
from asyncmq_cli.storage.schema.bounds import LIMITS
from asyncmq_cli.storage.schema.keys import PLACES

if TYPE_CHECKING:
    from asyncmq_cli.config import Config
    from asyncmq_cli.models.audit.actions import Rights
    from asyncmq_cli.models.changes import Guard
    from asyncmq_cli.models.monitoring.snapshots import LatestJob
    from asyncmq_cli.storage.client.push import RuntimeEvents
    from asyncmq_cli.storage.client.scan import Pace
    from asyncmq_cli.storage.integrity.candidates import QueueWalk
    from asyncmq_cli.storage.integrity.damaged_keys import DamagedKeys
    from asyncmq_cli.storage.integrity.evidence import EvidenceReader
    from asyncmq_cli.storage.read.job_dump import JobDumps
    from asyncmq_cli.storage.read.lists import JobLists
    from asyncmq_cli.storage.read.locate import Bonds
    from asyncmq_cli.storage.read.queues import QueueReader
    from asyncmq_cli.storage.read.repeatables import Repeatables
    from asyncmq_cli.storage.read.sizes import Sizes
    from asyncmq_cli.storage.read.workers import ClaimReader, WorkerReader
    from asyncmq_cli.storage.schema.job import Location
    from asyncmq_cli.storage.write.audit_stream import AuditLog
    from asyncmq_cli.storage.write.job_changes import Changes
    from asyncmq_cli.storage.write.metrics_stream import MetricsLog
    from asyncmq_cli.storage.write.queue_changes import QueueChanges, QueueParts
    from asyncmq_cli.storage.write.scripts import Script, Scripts

_LOCKED_FOR = 30
"""Seconds after which a lock that was not released expires; the same as in AsyncMQ's producers."""
_LOCK_PAUSE, _LOCK_MARGIN = 0.05, 5


class Store:
    """One connection to Redis with its readers and writers. It is open until `close`.

    `warn` is called with every warning, for example that data could be read only in part. Modules that only
    some commands need are imported on first use, so that the other commands start faster.
    """

    def __init__(
        self, config: Config, warn: Callable[[str], None], guard: Callable[[], Guard] | None = None
    ) -> None:
        """`guard` returns the guard that every change must pass; it is called before the first change."""
        self.config = config
        self._given_guard = guard
        self.source: str | None = None
        """The `source` in audit events, instead of the usual one of the command."""
        self._on_warning = warn
        self.warnings = 0
        """The number of warnings so far. A caller that caches a read compares it before and after the
        read."""
        LIMITS.text = config.max_payload
        self._halted = Event()
        self.doubt: str | None = None
        """Why the data of this server, a replica, may be outdated; known after the first read."""
        self._redis = connect(config, warn=self._warn_of_server, is_halted=self._halted.is_set)
        self.queue_names = QueueNames(self._redis, self.warn)

    def _warn_of_server(self, message: str) -> None:
        self.doubt = message
        self.warn(message)

    def warn(self, message: str) -> None:
        """Pass on a warning, for example that data could be read only in part."""
        self.warnings += 1
        self._on_warning(message)

    def warn_of(self, queue: str, problem: str) -> None:
        """Pass on a warning about one queue."""
        self.warn(f"queue {queue!r}: {problem}")

    @cached_property
    def guard(self) -> Guard:
        """The guard that every change must pass."""
        if self._given_guard is not None:
            return self._given_guard()
        from asyncmq_cli.models.changes import Guard

        return Guard(self.config.guard)

    @cached_property
    def queues(self) -> QueueReader:
        from asyncmq_cli.storage.read.queues import QueueReader

        return QueueReader(self._redis, lambda: self.workers, self.warn)

    @cached_property
    def workers(self) -> WorkerReader:
        from asyncmq_cli.storage.read.workers import WorkerReader

        return WorkerReader(self._redis, self.config.heartbeat_ttl, self.warn)

    @cached_property
    def jobs(self) -> JobLists:
        from asyncmq_cli.storage.read.lists import JobLists

        return JobLists(self._redis)

    @cached_property
    def _scripts(self) -> Scripts:
        from asyncmq_cli.storage.write.scripts import Scripts

        return Scripts(self._redis, self._require_writable)

    def _require_writable(self, script: Script) -> None:
        if not (script.records and self.config.records):
            self.guard.require_writable()

    @cached_property
    def audit(self) -> AuditLog:
        from asyncmq_cli.storage.write.audit_stream import AuditLog

        return AuditLog(self._redis, self._scripts, self.config.audit_maxlen)

    @cached_property
    def changes(self) -> Changes:
        from asyncmq_cli.storage.write.job_changes import Changes

        return Changes(self._redis, self._scripts, self.audit)

    @cached_property
    def queue_changes(self) -> QueueChanges:
        from asyncmq_cli.storage.write.queue_changes import QueueChanges

        return QueueChanges(self._redis, self._scripts, self.audit)

    @cached_property
    def parts(self) -> QueueParts:
        from asyncmq_cli.storage.write.queue_changes import QueueParts

        return QueueParts(self._redis, self._scripts, self.audit)

    @cached_property
    def repeatables(self) -> Repeatables:
        from asyncmq_cli.storage.read.repeatables import Repeatables

        return Repeatables(self._redis, self._scripts, self.audit)

    @cached_property
    def claims(self) -> ClaimReader:
        from asyncmq_cli.storage.read.workers import ClaimReader

        return ClaimReader(self._redis, self.jobs)

    @cached_property
    def dumps(self) -> JobDumps:
        from asyncmq_cli.storage.read.job_dump import JobDumps

        return JobDumps(self._redis)

    @cached_property
    def evidence(self) -> EvidenceReader:
        from asyncmq_cli.storage.integrity.evidence import EvidenceReader

        return EvidenceReader(self._redis)

    @cached_property
    def damaged_keys(self) -> DamagedKeys:
        from asyncmq_cli.storage.integrity.damaged_keys import DamagedKeys

        return DamagedKeys(self._redis, self.queue_names.all, self.warn)

    @cached_property
    def metrics(self) -> MetricsLog:
        from asyncmq_cli.storage.write.metrics_stream import MetricsLog

        return MetricsLog(self._redis, self._scripts)

    @cached_property
    def runtime(self) -> RuntimeEvents:
        from asyncmq_cli.storage.client.push import RuntimeEvents

        timeout = self.config.timeout
        return RuntimeEvents(lambda: connect(self.config, subscribes=True), self.warn, timeout)

    def rights(self, queue: str) -> Rights:
        """The commands that the server lets this user run on the keys of that queue. Changes nothing."""
        from asyncmq_cli.storage.client.rights import rights

        return rights(self._redis, queue)

    def now(self) -> float:
        """The server's time in epoch seconds, which is the same for every operator."""
        seconds, microseconds = self._redis.time()
        return float(seconds) + float(microseconds) / 1e6

    @property
    def waited(self) -> float:
        """Seconds that this process has waited for replies of Redis."""
        return Waited.seconds

    def newest_placed(self, sizes: Sequence[Sizes], count: int) -> Iterator[LatestJob]:
        """The newest jobs of these queues, found without reading all jobs."""
        from asyncmq_cli.storage.read.latest_jobs import newest_placed

        return newest_placed(self._redis, sizes, count)

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold a lock that AsyncMQ's producers also use, for at most 30 seconds. Raises ChangeRefused if
        another process holds it for longer than the timeout."""
        self.guard.require_writable()
        until = time.monotonic() + self.config.timeout
        while True:
            began = time.monotonic()
            if self._redis.set(name, uuid.uuid4().hex, nx=True, px=_LOCKED_FOR * 1000):
                break
            if began >= until:
                raise ChangeRefused("lock_held", f"a producer holds the lock {name!r}; nothing was changed")
            time.sleep(_LOCK_PAUSE)
        try:
            yield
        finally:
            # If the lock has expired, it may belong to another process by now.
            if time.monotonic() - began < _LOCKED_FOR - _LOCK_MARGIN:
                self._redis.delete(name)

    def locate(
        self,
        queue: str,
        job_ids: list[str],
        places: tuple[str, ...] = PLACES,
        repeating: Collection[str] = (),
        *,
        with_children: bool = False,
        pace: Pace | None = None,
    ) -> list[Location]:
        """The location of each of these jobs, with its members of the sorted sets in `places`. `problem` is
        set on a location that could not be read. For the jobs in `repeating`, all dead letters are read. The
        number of children is read if `with_children` is set or `places` has all sorted sets. `pace` is kept
        from one call to the next if many jobs are located."""
        from asyncmq_cli.storage.read.locate import locate

        return locate(
            self._redis,
            queue,
            job_ids,
            places,
            repeating=repeating,
            with_children=with_children,
            pace=pace,
        )

    def find_jobs(self, queues: Sequence[str], job_ids: Sequence[str]) -> dict[str, list[str]]:
        """By id, the queues that have such a job. Takes one round trip for many ids. Warns about keys that
        cannot be read. A job that is only a member of a sorted set is not found."""
        from asyncmq_cli.storage.read.locate import find_jobs

        return find_jobs(self._redis, queues, job_ids, lambda problem: self.warn(problem.message))

    def bonds(self, queue: str, job_ids: Sequence[str], most: int) -> list[Bonds]:
        """The dependencies of a few jobs, at most `most` ids per set. Warns about damaged sets."""
        from asyncmq_cli.storage.read.locate import read_bonds

        return read_bonds(self._redis, queue, job_ids, most, lambda problem: self.warn(problem.message))

    def find_repeating(self, queue: str, job_ids: Collection[str]) -> set[str]:
        """The jobs among these that have several dead letters. Empty if the queue has too many to read."""
        from asyncmq_cli.storage.read.locate import find_repeating

        return find_repeating(self._redis, queue, job_ids)

    def walk(self, queue: str) -> QueueWalk:
        """The walks through a queue's collections that find jobs which may be damaged."""
        from asyncmq_cli.storage.integrity.candidates import QueueWalk

        return QueueWalk(self._redis, queue)

    @contextmanager
    def errors(self) -> Iterator[None]:
        """A context in which every error of Redis is raised as RedisProblem."""
        try:
            yield
        except RedisError as exc:
            from asyncmq_cli.storage.client.refusals import as_problem

            raise as_problem(exc, self.config) from exc

    def halt(self) -> None:
        """Make the read that runs in another thread raise Halted at its next reply. Do not use it for
        changes."""
        self._halted.set()

    @property
    def primary(self) -> tuple[str, int] | None:
        """Host and port of the primary that Sentinels named; None without Sentinels, or before the first
        connection."""
        pool: Any = self._redis.connection_pool
        return pool.master_address if self.config.address.sentinels else None

    def ask_for_primary(self) -> None:
        """Ask the Sentinels for the primary: the next command is sent to the one that they name now."""
        pool: Any = self._redis.connection_pool
        pool.get_master_address()

    def answer_within(self, seconds: float) -> None:
        """Set the timeout for all further commands, in seconds."""
        if seconds != self.config.timeout:
            self.config = replace(self.config, timeout=seconds)
            answer_within(self._redis, seconds)

    def close(self) -> None:
        """Close all connections."""
        if "runtime" in self.__dict__:
            self.runtime.close()
        self._redis.close()
