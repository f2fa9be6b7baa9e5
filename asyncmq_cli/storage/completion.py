"""The interface of the storage layer for completion: names and ids that begin with a prefix.

Everything is read in chunks. The caller stops when it has enough or its time is up, so each chunk must be
useful by itself.
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
"""At most this many possible queue names are tried. Each costs a round trip, and ids with colons lead to
useless ones."""


class CandidateReader:
    """Reads candidates; a context manager with its own connection. Prints no warnings. Its methods raise
    AdminError or RedisError."""

    def __init__(self, config: Config) -> None:
        self._redis = connect(config, warn=lambda _: None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._redis.close()

    def queues(self, prefix: str) -> Iterator[set[str]]:
        """Yield the queues whose name begins with `prefix`, as they are found.

        The name of a job's record does not prove that its queue exists, but nearly every key is a record. So
        the queues to which a record may belong are checked, which finds large queues long before the scan
        ends.
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
        """Whether any key proves that this queue exists."""
        return queue_names.exists(self._redis, queue)

    def job_ids(self, queue: str, prefix: str) -> Iterator[dict[str, str | None]]:
        """The job ids that begin with `prefix`, each with its entry in the states hash, or None."""
        keys = QueueKeys(queue)
        match = beginning_with(to_bytes(prefix))
        for members in scan.set_members(self._redis, keys.ids, match):
            states = scan.hash_get(self._redis, keys.states, members)
            yield {
                to_text(member): None if state is None else to_text(state)
                for member, state in zip(members, states, strict=True)
            }

    def definitions(self, queue: str) -> Iterator[Member]:
        """The queue's repeatable definitions, next run first."""
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
        """At most `count` jobs of the queue, in no particular order."""
        from asyncmq_cli.storage.read.lists import JobLists

        key = QueueKeys(queue).ids
        members = scan.typed(key, self._redis.sscan, key, count=count)[1]
        jobs = JobLists(self._redis).load(queue, [to_text(member) for member in islice(members, count)])
        return [job for job in jobs if job is not None]
