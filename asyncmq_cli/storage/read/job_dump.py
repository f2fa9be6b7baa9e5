"""Read everything that Redis stores about located jobs, for a backup; and the data that a restore checks."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import chain
from typing import Any, NoReturn

import redis

from asyncmq_cli.errors import AdminError, ChangeRefused, WrongType
from asyncmq_cli.models.values import as_number, chunked
from asyncmq_cli.storage.client import scan
from asyncmq_cli.storage.client.connection import Command, run_pipeline
from asyncmq_cli.storage.read.locate import find_jobs, read_place
from asyncmq_cli.storage.read.sizes import PRIORITY
from asyncmq_cli.storage.schema.job import Location
from asyncmq_cli.storage.schema.job_dump import JobDump
from asyncmq_cli.storage.schema.keys import PLACES, RESTORED_HASH, QueueKeys, to_bytes, to_text
from asyncmq_cli.storage.schema.records import priority_of, record_of

_IDS_AT_A_TIME = 200
MOST_RELATIVES = 10_000
"""The largest set of parents or children in a backup. A script that compares or writes larger sets would
block Redis for too long."""


class JobDumps:
    """Reads everything that Redis stores about jobs."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client

    def read(self, queue: str, locations: Sequence[Location]) -> None:
        """Set the `dump` of each location, or its `problem` if it cannot be read, in a few round trips."""
        keys = QueueKeys(queue)
        readable = [location for location in locations if location.problem is None and location.exists]
        for location in readable:
            if len(location.parents) > MOST_RELATIVES:
                location.problem = _too_many(location.id, "are waited for by it")
        readable = [location for location in readable if location.problem is None]
        try:
            results = self.results(queue, [location.id for location in readable])
        except WrongType as exc:
            for location in readable:
                location.problem = exc
            return
        per_job = [_dump_commands(keys, location) for location in readable]
        replies = iter(run_pipeline(self._redis, list(chain.from_iterable(per_job)), keep=WrongType))
        for location, commands, result in zip(readable, per_job, results, strict=True):
            of_job = [next(replies) for _ in commands]
            location.problem = next((reply for reply in of_job if isinstance(reply, WrongType)), None)
            if location.problem is None:
                try:
                    location.dump = self._dump(keys, location, result, of_job)
                except AdminError as exc:
                    location.problem = exc

    def results(self, queue: str, job_ids: Sequence[str]) -> list[bytes | None]:
        """The stored result of each job, or None. Raises WrongType."""
        names = [to_bytes(job_id) for job_id in job_ids]
        return scan.hash_get_many(self._redis, QueueKeys(queue).results, names, scan.Pace(start=8))

    def next_score(self, queue: str, dump: JobDump) -> float:
        """The score that puts the job after the waiting jobs of its priority. Raises ChangeRefused if its
        record cannot be read. Source: `enqueue` in asyncmq.backends.redis."""
        job_id = to_text(dump.id)
        record = record_of(Location(queue, job_id, record=dump.record))
        found: Any = self._redis.mget([QueueKeys(queue).waiting_seq])
        number = None if found[0] is None else as_number(to_text(found[0]))
        return float(priority_of(record, job_id) * PRIORITY + (number or 0))

    def first_restores(self, runs: Collection[str]) -> dict[str, float]:
        """By run id, for the removals whose backup was restored before: when the first restore began, in
        epoch seconds. Raises WrongType."""
        found = scan.hash_get_many(self._redis, RESTORED_HASH, [run.encode() for run in runs], scan.Pace())
        times = {
            run: as_number(to_text(value))
            for run, value in zip(runs, found, strict=True)
            if value is not None
        }
        # An entry without a valid time still proves a restore.
        return {run: 0.0 if time is None else time for run, time in times.items()}

    def existing(self, queue: str, job_ids: Sequence[str]) -> tuple[set[str], set[str]]:
        """The ids of the jobs that exist, and the ids that are in the cancelled set. Raises WrongType.

        As in every change, an id that is only in the cancelled set is not a job. Reads no record.
        """
        keys = QueueKeys(queue)
        cancelled: set[str] = set()
        for piece in chunked(job_ids, _IDS_AT_A_TIME):
            # Send this alone, because it is the first command of a restore: if the server sends an error
            # without a request, the last command of a pipeline would get no reply.
            names = list(map(to_bytes, piece))
            marks = scan.typed(keys.cancelled, self._redis.smismember, keys.cancelled, names)
            cancelled.update(job_id for job_id, mark in zip(piece, marks, strict=True) if mark)
        found = find_jobs(self._redis, [queue], job_ids, _raise)
        existing = {job_id for job_id, queues in found.items() if queues}
        # A job may exist only as a member of a sorted set.
        unfound = {job_id: Location(queue, job_id) for job_id in job_ids if job_id not in existing}
        for place in PLACES if unfound else ():
            read_place(self._redis, keys, place, unfound)
        for location in unfound.values():
            if location.problem is not None:
                raise location.problem
            if location.exists:
                existing.add(location.id)
        return existing, cancelled

    def _dump(self, keys: QueueKeys, location: Location, result: bytes | None, replies: list[Any]) -> JobDump:
        (claim,), (heartbeat,), pending, children, *rest = replies
        if children > MOST_RELATIVES:
            raise _too_many(location.id, "wait for it")
        if pending > MOST_RELATIVES:
            raise _too_many(location.id, "are waited for by it")
        scores = iter(rest)
        # A member without a score has been removed in the meantime. The script will notice that and refuse.
        places = {
            place: tuple((member, float(score)) for member in members if (score := next(scores)) is not None)
            for place, members in location.members.items()
        }
        return JobDump(
            queue=to_bytes(location.queue),
            id=to_bytes(location.id),
            state=None if location.state is None else to_bytes(location.state),
            record=location.record,
            payload=location.payload,
            result=result,
            claim=claim,
            heartbeat=heartbeat,
            in_ids=location.in_ids,
            cancelled=location.cancelled,
            **places,
            pending=self._set(keys.pending_parents(location.id)) if pending else (),
            children=self._set(keys.children(location.id)) if children else (),
            parents=tuple(
                to_bytes(parent) for parent, is_in in zip(location.parents, scores, strict=True) if is_in
            ),
        )

    def _set(self, key: bytes) -> tuple[bytes, ...]:
        found: set[bytes] = set()
        for members in scan.set_members(self._redis, key):
            found.update(members)
            if len(found) > MOST_RELATIVES:
                break
        return tuple(sorted(found))


def _dump_commands(keys: QueueKeys, location: Location) -> list[Command]:
    """The commands whose replies `_dump` needs, in this order."""
    name = to_bytes(location.id)
    return [
        ("HMGET", keys.active, name),
        ("HMGET", keys.heartbeats, name),
        ("SCARD", keys.pending_parents(location.id)),
        ("SCARD", keys.children(location.id)),
        *(
            ("ZSCORE", getattr(keys, place), member)
            for place, members in location.members.items()
            for member in members
        ),
        *(("SISMEMBER", keys.children(parent), name) for parent in location.parents),
    ]


def _raise(problem: WrongType) -> NoReturn:
    raise problem


def _too_many(job_id: str, relation: str) -> AdminError:
    return ChangeRefused(
        "job_too_large",
        f"job {job_id!r} has too many relatives for a backup: more than {MOST_RELATIVES:,} jobs {relation}",
        cause="backup",
    )
