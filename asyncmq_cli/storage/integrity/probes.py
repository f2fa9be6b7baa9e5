"""Read one property of many jobs at once, and the states of the jobs that they wait for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import redis

from asyncmq_cli.models.values import chunked
from asyncmq_cli.storage.client import scan
from asyncmq_cli.storage.client.connection import run_pipeline
from asyncmq_cli.storage.schema.job import RawJob, add_record, effective_state, has_pending_parents
from asyncmq_cli.storage.schema.keys import QueueKeys, to_bytes, to_text


class Probes:
    """Reads one property of several jobs, in order. All methods may raise WrongType."""

    def __init__(self, client: redis.Redis, queue: str) -> None:
        self.client = client
        self.keys = QueueKeys(queue)

    def states(self, job_ids: Sequence[str]) -> list[str | None]:
        """The entry of each job in the states hash, or None."""
        found = self.fields(self.keys.states, job_ids)
        return [None if state is None else to_text(state) for state in found]

    def record_types(self, job_ids: Sequence[str]) -> list[bytes]:
        """The Redis type of each record: `string`, or `none` if it is missing; any other type is damage."""
        return run_pipeline(self.client, [("TYPE", self.keys.record(job_id)) for job_id in job_ids])

    def records(self, job_ids: Sequence[str]) -> Iterator[list[tuple[str, bytes | None]]]:
        """The jobs with their records, in chunks. A record that is missing or has the wrong type is None."""
        coming = iter(job_ids)
        keys = [self.keys.record(job_id) for job_id in job_ids]
        for records in scan.strings(self.client, keys, scan.Pace()):
            yield [(job_id, record) for record, job_id in zip(records, coming, strict=False)]

    def fields(self, key: bytes, job_ids: Sequence[str]) -> list[bytes | None]:
        """The value of each job in a hash of the queue, or None."""
        return scan.hash_get(self.client, key, [to_bytes(job_id) for job_id in job_ids])

    def in_ids(self, job_ids: Sequence[str]) -> list[bool]:
        """Whether each job is in the ids set."""
        if not job_ids:
            return []
        names = [to_bytes(job_id) for job_id in job_ids]
        key = self.keys.ids
        return [bool(found) for found in scan.typed(key, self.client.smismember, key, names)]

    def waits_by_id(self, job_ids: Sequence[str]) -> list[bool]:
        """Whether the id alone of each job is a member of the waiting set."""
        if not job_ids:
            return []
        names = [to_bytes(job_id) for job_id in job_ids]
        key = self.keys.waiting
        return [score is not None for score in scan.typed(key, self.client.zmscore, key, names)]


def parents_of(record: Mapping[str, Any] | None) -> list[str]:
    """The ids of the jobs that a job waits for, from its record."""
    if record is None or not has_pending_parents(record):
        return []
    return [str(parent) for parent in record["depends_on"]]


def parents_by_set(probes: Probes, job_id: str) -> list[str]:
    """The ids of the jobs that a job waits for, from its set of pending parents, sorted. Raises WrongType."""
    pieces = scan.set_members(probes.client, probes.keys.pending_parents(job_id))
    return sorted(to_text(name) for names in pieces for name in names)


def parent_states(probes: Probes, parents: Iterable[str]) -> dict[str, str | None]:
    """The state of each job; None if it has no state and no record and is not in the ids set. Raises
    WrongType."""
    found: dict[str, str | None] = {}
    for piece in chunked(dict.fromkeys(parents)):
        found.update(zip(piece, probes.states(piece), strict=True))
        stateless = [parent for parent in piece if found[parent] is None]
        listed = dict(zip(stateless, probes.in_ids(stateless), strict=True))
        for records in probes.records(stateless):
            found.update((parent, _stateless(parent, record, listed[parent])) for parent, record in records)
    return found


def has_living_child(probes: Probes, job_id: str) -> bool:
    """Whether any job in its set of children exists. Raises WrongType."""
    return any(
        probes.client.exists(*(probes.keys.record(to_text(name)) for name in piece))
        for members in scan.set_members(probes.client, probes.keys.children(job_id))
        for piece in chunked(members)
    )


def _stateless(job_id: str, record: bytes | None, in_ids: bool) -> str | None:
    """The state of a job without an entry in the states hash."""
    if record is None:
        return "unknown" if in_ids else None
    raw = RawJob(id=job_id)
    add_record(raw, record)
    return effective_state(None, raw.record, None)
