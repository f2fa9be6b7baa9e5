"""Keys that hold something else than AsyncMQ, or the tool itself, keeps there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import redis

from asyncmq_cli.storage.client import scan
from asyncmq_cli.storage.client.pipeline import run_pipeline
from asyncmq_cli.storage.read.lists import JobLists
from asyncmq_cli.storage.schema.keys import AUDIT_STREAM, METRICS_STREAM, QueueKeys, to_bytes, to_text

_COUNTABLE = re.compile(rb"0|[1-9][0-9]{0,14}")
"""As the scripts that count on look at it; INCR refuses a number that is written otherwise."""


def wrong_streams(client: redis.Redis) -> list[str]:
    """Those of the tool's own streams that are none."""
    return [
        to_text(key) for key in (AUDIT_STREAM, METRICS_STREAM) if client.type(key) not in (b"none", b"stream")
    ]


def wrong_keys(client: redis.Redis, queue: str) -> list[str]:
    """The keys of the queue that do not hold what AsyncMQ keeps there."""
    keys = QueueKeys(queue)
    wrong = _of_wrong_type(client, keys)
    if not _is_countable(client, keys.waiting_seq):
        wrong.append(keys.waiting_seq)
    return [to_text(key) for key in dict.fromkeys(wrong)]


def _of_wrong_type(client: redis.Redis, keys: QueueKeys) -> list[bytes]:
    expected = keys.evidence()
    types = run_pipeline(client, [("TYPE", key) for key in expected])
    # Whatever type the pause mark is of, the queue is paused: workers look whether it exists.
    return [
        key
        for (key, kind), found in zip(expected.items(), types, strict=True)
        if found not in (b"none", kind) and not key.endswith(b":paused")
    ]


def _is_countable(client: redis.Redis, sequence: bytes) -> bool:
    """Whether the counter behind the waiting set's order can be counted on; absent, it can."""
    value = scan.get_many(client, [sequence], scan.Pace())[0]
    return value is None or _COUNTABLE.fullmatch(value) is not None


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
        return run_pipeline(self.client, [("TYPE", self.keys.record(job_id)) for job_id in job_ids])

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
