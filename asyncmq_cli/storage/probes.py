"""Asking about jobs of one queue, many at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import redis

from asyncmq_cli.storage import scan
from asyncmq_cli.storage.keys import QueueKeys, to_bytes
from asyncmq_cli.storage.lists import JobLists
from asyncmq_cli.storage.questions import ask


class Probes:
    """What it is asked of each of some jobs comes in their order. All may raise WrongType."""

    def __init__(self, client: redis.Redis, queue: str) -> None:
        self.client = client
        self.keys = QueueKeys(queue)
        self._jobs = JobLists(client)

    def states(self, job_ids: Sequence[str]) -> list[str | None]:
        """What the states hash says."""
        return self._jobs.states(self.keys.queue, job_ids)

    def record_types(self, job_ids: Sequence[str]) -> list[bytes]:
        """Redis's word for what lies where the record should: `string`, `none`, or what is wrong."""
        return ask(self.client, [("TYPE", self.keys.record(job_id)) for job_id in job_ids])

    def records(self, job_ids: Sequence[str]) -> Iterator[list[tuple[str, bytes | None]]]:
        """Each with its record, in bounded pieces."""
        coming = iter(job_ids)
        keys = [self.keys.record(job_id) for job_id in job_ids]
        for records in scan.strings(self.client, keys, scan.Pace()):
            yield [(job_id, record) for record, job_id in zip(records, coming, strict=False)]

    def fields(self, key: bytes, job_ids: Sequence[str]) -> list[bytes | None]:
        """What a hash of the queue holds of it."""
        return scan.hash_get(self.client, key, [to_bytes(job_id) for job_id in job_ids])

    def in_ids(self, job_ids: Sequence[str]) -> list[bool]:
        """Whether it is in the ids set."""
        if not job_ids:
            return []
        names = [to_bytes(job_id) for job_id in job_ids]
        key = self.keys.ids
        return [bool(found) for found in scan.typed(key, self.client.smismember, key, names)]

    def waits_by_id(self, job_ids: Sequence[str]) -> list[bool]:
        """Whether its id is in the waiting set."""
        if not job_ids:
            return []
        names = [to_bytes(job_id) for job_id in job_ids]
        key = self.keys.waiting
        return [score is not None for score in scan.typed(key, self.client.zmscore, key, names)]
