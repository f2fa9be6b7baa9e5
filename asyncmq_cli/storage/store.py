"""The door to the storage layer: one connection and all that reads or changes through it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from asyncmq_cli.config import Config
from asyncmq_cli.storage.audit import AuditLog
from asyncmq_cli.storage.changes import Changes
from asyncmq_cli.storage.connection import connect, redis_errors
from asyncmq_cli.storage.jobs import JobReader
from asyncmq_cli.storage.locate import Location, locate
from asyncmq_cli.storage.queues import QueueReader
from asyncmq_cli.storage.repeatables import Repeatables
from asyncmq_cli.storage.scripts import Scripts
from asyncmq_cli.storage.workers import WorkerReader


class Store:
    """Open until `close`. `warn` is told what could be read only in part."""

    def __init__(self, config: Config, warn: Callable[[str], None]) -> None:
        self.config = config
        self.warn = warn
        self._redis = connect(config)
        scripts = Scripts(self._redis)
        self.workers = WorkerReader(self._redis, config.heartbeat_ttl, warn)
        self.queues = QueueReader(self._redis, self.workers, warn)
        self.jobs = JobReader(self._redis)
        self.audit = AuditLog(self._redis, scripts, config.audit_maxlen)
        self.changes = Changes(self._redis, scripts, self.audit)
        self.repeatables = Repeatables(self._redis, scripts, self.audit)

    def now(self) -> float:
        """The server's time, epoch seconds: the same for every operator."""
        seconds, microseconds = self._redis.time()
        return float(seconds) + float(microseconds) / 1e6

    def locate(self, queue: str, job_ids: list[str], places: tuple[str, ...]) -> list[Location]:
        return locate(self._redis, queue, job_ids, places)

    def errors(self) -> AbstractContextManager[None]:
        """Within it, what Redis refuses is raised as RedisProblem."""
        return redis_errors(self.config)

    def close(self) -> None:
        self._redis.close()
