"""The door to the storage layer for completion: names and ids that start with what was typed.

Everything is read piece by piece. The caller stops when it has enough or its time is up, so each piece is
useful on its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from asyncmq_cli.storage.client import scan
from asyncmq_cli.storage.client.connection import connect
from asyncmq_cli.storage.read import queue_names
from asyncmq_cli.storage.schema.keys import (
    QueueKeys,
    beginning_with,
    discovery_pattern,
    possible_queues,
    to_bytes,
    to_text,
)

if TYPE_CHECKING:
    from typing_extensions import Self

    from asyncmq_cli.config import Config
    from asyncmq_cli.models.changes import AuditEvent
    from asyncmq_cli.models.jobs import Job
    from asyncmq_cli.storage.read.repeatables import Member

_GUESSES = 200
"""Queue names tried at most. Each costs a round trip, and ids that hold colons yield useless ones."""


class CandidateReader:
    """A context manager: a connection that gives no warnings. Its methods raise AdminError or RedisError."""

    def __init__(self, config: Config) -> None:
        self._redis = connect(config, warn=lambda _: None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._redis.close()

    def queues(self, prefix: str) -> Iterator[set[str]]:
        """The queues whose name starts with `prefix`, as they are found.

        The name of a job's record proves no queue, but nearly every key is one. So the queues that a record
        may belong to are checked, which finds large queues long before the scan ends.
        """
        start = to_bytes(prefix)
        found: set[bytes] = set()
        guessed: set[bytes] = set()
        for keys in queue_names.key_names(self._redis, discovery_pattern(start)):
            new = {name for name in queue_names.proven_by(self._redis, keys, found) if name.startswith(start)}
            records = (key for key in keys if key.startswith(b"jobs:"))
            guesses = {name for key in records for name in possible_queues(key) if name.startswith(start)}
            for name in sorted(guesses - guessed - found - new)[: _GUESSES - len(guessed)]:
                guessed.add(name)
                if queue_names.exists(self._redis, to_text(name)):
                    new.add(name)
            found |= new
            yield {to_text(name) for name in new}

    def has_queue(self, queue: str) -> bool:
        """Whether any key proves this queue."""
        return queue_names.exists(self._redis, queue)

    def job_ids(self, queue: str, prefix: str) -> Iterator[dict[str, str | None]]:
        """The job ids that start with `prefix`, each with its entry in the states hash."""
        keys = QueueKeys(queue)
        match = beginning_with(to_bytes(prefix))
        for members in scan.set_members(self._redis, keys.ids, match):
            states = scan.hash_get(self._redis, keys.states, members)
            yield {
                to_text(member): None if state is None else to_text(state)
                for member, state in zip(members, states, strict=True)
            }

    def definitions(self, queue: str) -> Iterator[Member]:
        """The queue's repeatable definitions, the next to run first."""
        from asyncmq_cli.storage.read.repeatables import read

        return read(self._redis, queue)

    def events(self) -> Iterator[AuditEvent]:
        """The audit trail, newest first."""
        from asyncmq_cli.storage.write.audit_stream import AuditLog
        from asyncmq_cli.storage.write.scripts import Scripts

        return AuditLog(self._redis, Scripts(self._redis), 0).newest_first(lambda message: None)

    def dead_jobs(self, queue: str) -> Iterator[Job]:
        """The jobs of the dead-letter queue."""
        from asyncmq_cli.storage.read.lists import JobLists

        return JobLists(self._redis).in_state(queue, "dlq")

    def sample(self, queue: str, count: int) -> list[Job]:
        """At most so many jobs of the queue, as they come."""
        from asyncmq_cli.storage.read.lists import JobLists

        key = QueueKeys(queue).ids
        members = scan.typed(key, self._redis.sscan, key, count=count)[1]
        jobs = JobLists(self._redis).load(queue, [to_text(member) for member in islice(members, count)])
        return [job for job in jobs if job is not None]
