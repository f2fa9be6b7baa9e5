"""Find the newest jobs without reading all jobs: waiting jobs by their sequence, active jobs by their claims,
the others by the time at which they are due or died."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import redis
from msgspec import Struct

from asyncmq_cli.errors import WrongType
from asyncmq_cli.models.monitoring.snapshots import LatestJob
from asyncmq_cli.models.values import as_number, chunked
from asyncmq_cli.storage.client.connection import PipelinedConnection, pack, pack_scan, run_pipeline
from asyncmq_cli.storage.read.sizes import QUEUES_AT_A_TIME, first_of_priorities, outlined
from asyncmq_cli.storage.read.state_reader import status_in
from asyncmq_cli.storage.schema.codec import member_ids, outlines
from asyncmq_cli.storage.schema.keys import QueueKeys, to_text

if TYPE_CHECKING:
    from asyncmq_cli.storage.read.sizes import Sizes
    from asyncmq_cli.storage.schema.codec import Outline

_CLAIMS = 1000
"""At most this many claims are read per queue."""


class _PlacedJob(Struct, frozen=True):
    """A job, and the place that it is in. `created` is epoch seconds, or 0.0 if unknown."""

    queue: str
    place: str
    id: bytes
    created: float


def newest_placed(client: redis.Redis, sizes: Sequence[Sizes], count: int) -> Iterator[LatestJob]:
    """The newest job of each place of each queue, and `count` jobs of each of the `count` places
    with the newest jobs."""
    places = [
        (one.queue, place)
        for one in sizes
        for place in ("waiting", "active", "delayed", "dlq")
        if getattr(one, place)
    ]
    first = [job for piece in chunked(places, QUEUES_AT_A_TIME) for job in _newest(client, piece, 1)]
    newest: dict[tuple[str, str], float] = {}
    for job in first:
        at = (job.queue, job.place)
        newest[at] = max(job.created, newest.get(at, 0.0))
    best = sorted(newest, key=lambda at: -newest[at])[:count]
    jobs = list(dict.fromkeys([*first, *_newest(client, best, count)]))
    entries = _entries_of_dead(client, jobs)
    for job in jobs:
        state = status_in(job.place, entries.get(job))
        yield LatestJob(job.created, job.queue, to_text(job.id), state)


def _entries_of_dead(client: redis.Redis, jobs: Sequence[_PlacedJob]) -> dict[_PlacedJob, bytes | None]:
    """The entries of the dead jobs in the states hash."""
    entries: dict[_PlacedJob, bytes | None] = {}
    for piece in chunked([job for job in jobs if job.place == "dlq"], QUEUES_AT_A_TIME):
        commands = [("HMGET", QueueKeys(job.queue).states, job.id) for job in piece]
        for job, reply in zip(piece, run_pipeline(client, commands, keep=WrongType), strict=True):
            entries[job] = None if isinstance(reply, WrongType) else reply[0]
    return entries


def _newest(client: redis.Redis, places: Sequence[tuple[str, str]], count: int) -> Iterator[_PlacedJob]:
    for kind, members in (
        ("waiting", _last_enqueued(client, _of(places, "waiting"), count)),
        ("active", _last_claimed(client, _of(places, "active"), count)),
    ):
        for queue, job_id, outline in outlined(client, members):
            yield _PlacedJob(queue, kind, job_id, _created(outline))
    for kind in ("delayed", "dlq"):
        for queue, bodies in _last_members(client, _of(places, kind), kind, count):
            for job_id, read in zip(member_ids(bodies), outlines(bodies), strict=True):
                yield _PlacedJob(queue, kind, job_id, _created(read or {}))


def _of(places: Sequence[tuple[str, str]], kind: str) -> list[str]:
    return [queue for queue, place in places if place == kind]


def _last_enqueued(client: redis.Redis, queues: Sequence[str], count: int) -> list[tuple[str, bytes]]:
    ends = first_of_priorities(client, queues, count, last=True)
    return [(queue, member) for queue, members in ends for member in members]


def _last_claimed(client: redis.Redis, queues: Sequence[str], count: int) -> list[tuple[str, bytes]]:
    commands = []
    for queue in queues:
        commands.append(pack_scan(b"HSCAN", QueueKeys(queue).active, b"0", _CLAIMS))
    found: list[tuple[str, bytes]] = []
    for queue, (_, fields) in _asked(client, queues, commands):
        pairs = zip(fields[::2], fields[1::2], strict=True)
        claims = sorted(((as_number(to_text(since)) or 0.0, job_id) for job_id, since in pairs), reverse=True)
        found += [(queue, job_id) for _, job_id in claims[:count]]
    return found


def _last_members(
    client: redis.Redis, queues: Sequence[str], place: str, count: int
) -> Iterator[tuple[str, list[bytes]]]:
    keys: list[bytes] = [getattr(QueueKeys(queue), place) for queue in queues]
    last = b"%d" % (count - 1)
    return _asked(client, queues, [(key, pack(b"ZRANGE", key, b"0", last, b"REV")) for key in keys])


def _asked(
    client: redis.Redis, queues: Sequence[str], commands: Sequence[tuple[bytes, bytes]]
) -> Iterator[tuple[str, Any]]:
    """Yield each queue with its reply. Queues whose key has the wrong type are left out."""
    if not commands:
        return
    with PipelinedConnection(client) as connection:
        connection.send(*commands)
        for queue in queues:
            try:
                yield queue, connection.receive()
            except WrongType:
                continue


def _created(outline: Outline) -> float:
    # The same order of precedence as in the dashboard.
    return as_number(outline.get("timestamp")) or as_number(outline.get("created_at")) or 0.0
