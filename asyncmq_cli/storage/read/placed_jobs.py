"""Build complete jobs from their stored parts, each with the state of the place in which it was
found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import redis

from asyncmq_cli.models.values import WAITING_CHILDREN, chunked
from asyncmq_cli.storage.client.pipeline import run_pipeline
from asyncmq_cli.storage.read.locate import expected_members
from asyncmq_cli.storage.schema.bounds import LIMITS, weight
from asyncmq_cli.storage.schema.codec import (
    TooLarge,
    decode_strict_member,
    is_too_large,
    large_outline,
    whole_arguments,
)
from asyncmq_cli.storage.schema.job import (
    PENDING_STATES,
    Payloads,
    RawJob,
    add_record,
    effective_state,
    has_pending_parents,
    hydrate,
)
from asyncmq_cli.storage.schema.keys import QueueKeys, to_bytes, to_text

if TYPE_CHECKING:
    from asyncmq_cli.models.jobs import Job
    from asyncmq_cli.storage.read.pieces import Piece

NAMES = {
    "waiting": "waiting set",
    "delayed": "delayed set",
    "dlq": "dead-letter queue",
    "active": "active hash",
}
_ENTRIES: dict[str, frozenset[bytes | None]] = {
    "waiting": frozenset({None, b"waiting", b"wait", b"queued"}),
    "delayed": frozenset({None, b"delayed"}),
    "dlq": frozenset({None, b"failed", b"expired"}),
    "active": frozenset({None, b"active"}),
}
"""By place, the entries of the states hash that agree with it."""
_HOMES = {"active": "active", "delayed": "delayed", "failed": "dlq", "expired": "dlq"}

_PENDING_ENTRIES = frozenset({*map(to_bytes, PENDING_STATES), b"wait", b"unknown"})

SPLIT_AND_WHOLE = 16 * 1024
"""Bytes. A split job that failed has its arguments in both parts, and then its record is at least this
large."""

_DECODED_AT_ONCE = 8 * 1024 * 1024
"""Bytes of text. If a piece has more, its jobs are decoded one at a time."""
_WEIGHED_FROM = 4096
"""Bytes. Shorter texts are not weighed: a page of them takes at most some hundred MB, whatever they
contain."""

Found = tuple[str | None, float | None]
"""The place that a job is in, or None, and its score there, or None."""


def status_in(place: str, entry: bytes | None) -> str:
    """The state of a job in this place, given its entry in the states hash."""
    if place == "dlq":
        return "expired" if entry == b"expired" else "failed"
    return place


def to_jobs(client: redis.Redis, keys: QueueKeys, piece: Piece, found: Sequence[Found]) -> Iterator[Job]:
    """The jobs of a piece, whose places and scores are `found`. Payload parts are read on first use."""
    if piece.size <= _DECODED_AT_ONCE:
        yield from _to_jobs(client, keys, piece, found)
        return
    for i in range(len(piece.ids)):
        yield from _to_jobs(client, keys, piece.only([i]), [found[i]])


def _to_jobs(client: redis.Redis, keys: QueueKeys, piece: Piece, found: Sequence[Found]) -> list[Job]:
    raws = [_raw(piece, i, *found[i]) for i in range(len(piece.ids))]
    split = [raw for raw in raws if _may_be_split(raw)]
    payloads = Payloads(client, [keys.payload(raw.id) for raw in split])
    for i, raw in enumerate(split):
        raw.payload = payloads.part(i)
    jobs = []
    for i, raw in enumerate(raws):
        place = found[i][0]
        entry = piece.states[i] if piece.states else None
        status = _status_nowhere(raw) if place is None else status_in(place, entry)
        if place is None:
            raw.problem = raw.problem or _homeless(raw, status)
        else:
            if entry not in _ENTRIES[place]:
                raw.problem = raw.problem or (
                    f"the states hash calls it {to_text(entry or b'')!r}, but it is in the {NAMES[place]}"
                )
            raw.state = None if entry is None else status
        jobs.append(hydrate(keys.queue, raw, place=place, status=status))
    return jobs


def contradicting(piece: Piece, place: str) -> list[int]:
    """The positions of jobs whose entry in the states hash contradicts the place."""
    if not set(piece.states) - _ENTRIES[place]:
        return []
    return [i for i, entry in enumerate(piece.states) if entry not in _ENTRIES[place]]


def places_of(client: redis.Redis, keys: QueueKeys, piece: Piece) -> list[Found]:
    """The place that each of these jobs is in now, and its score there. In the delayed set and the
    dead-letter queue, only the members that AsyncMQ writes together with a record are found. Also reads the
    states of the piece again. Raises WrongType."""
    names = piece.ids
    # Read in the order in which jobs move: a job that is claimed in the meantime is found in the active hash.
    waiting = run_pipeline(client, [("ZMSCORE", keys.waiting, *names)])[0]
    found: list[Found] = [("waiting", score) if score is not None else (None, None) for score in waiting]
    claims, piece.states = run_pipeline(
        client, [("HMGET", keys.active, *names), ("HMGET", keys.states, *names)]
    )
    for i, claim in enumerate(claims):
        if claim is not None:
            found[i] = ("active", None)
            piece.claims[i] = claim
    commands = [
        (i, place, ("ZMSCORE", getattr(keys, place), *expected_members(record, place)))
        for i, record in enumerate(piece.records)
        if found[i][0] is None and record is not None
        for place in _where_to_look(piece.states[i])
    ]
    for some in chunked(commands, 20):
        replies = run_pipeline(client, [command for _, _, command in some])
        for (i, place, _), scores in zip(some, replies, strict=True):
            score = next((score for score in scores if score is not None), None)
            if score is not None and found[i][0] is None:
                found[i] = (place, score)
    return found


def _where_to_look(entry: bytes | None) -> tuple[str, ...]:
    if entry in (b"completed", b"cancelled", b"active"):
        return ()
    if entry in (b"failed", b"expired"):
        return ("dlq",)
    return ("delayed",) if entry == b"delayed" else ("waiting", "delayed", "dlq")


def status_nowhere(piece: Piece, i: int) -> str:
    """The state of a job that is in no place, from the states hash or its record. If that is waiting,
    the job waits for its parents."""
    entry = piece.states[i]
    if entry is not None and entry not in _PENDING_ENTRIES:
        return to_text(entry)
    return _status_nowhere(_raw(piece, i, None, None))


def _status_nowhere(raw: RawJob) -> str:
    status = effective_state(raw.state, raw.record, None)
    if raw.is_note:
        return status
    return WAITING_CHILDREN if status in PENDING_STATES - {"delayed"} else status


def _homeless(raw: RawJob, status: str) -> str | None:
    if raw.record is None:
        # This problem is reported anyway.
        return None
    if raw.is_note:
        return "this is metadata of AsyncMQ's RabbitMQ backend: the job itself is in RabbitMQ"
    if status == WAITING_CHILDREN:
        if has_pending_parents(raw.record):
            return None
        return "it waits for no other job, but is in no place where a worker would look for it"
    home = _HOMES.get(status)
    return None if home is None else f"its state is {status}, but it is not in the {NAMES[home]}"


def _raw(piece: Piece, i: int, place: str | None, score: float | None) -> RawJob:
    raw = _from_member(place, piece.members[i]) if piece.members else RawJob(id=to_text(piece.ids[i]))
    raw.score = score
    entry = piece.states[i] if piece.states else None
    raw.state = None if entry is None else to_text(entry)
    record = piece.records[i] if piece.records else None
    if record is not None and piece.members and record == piece.members[i]:
        # AsyncMQ usually writes the same text to both, so decode it once.
        raw.record, raw.record_size = raw.member, len(record)
        if raw.member is None:
            add_record(raw, record)
    else:
        add_record(raw, record)
    raw.result, raw.claim = piece.results.get(i), piece.claims.get(i)
    raw.size = sum(map(_memory, piece.bodies(i))) + _memory(raw.result or b"")
    return raw


def _memory(text: bytes) -> int:
    """The approximate bytes that the decoded text takes in memory; 0 if it is too large to be decoded."""
    return len(text) if len(text) < _WEIGHED_FROM else weight(text, LIMITS.decoded) or 0


def _from_member(place: str | None, member: bytes) -> RawJob:
    found = decode_strict_member(member)
    if found is not None:
        job, is_strict = found
        job_id = job.get("id")
        return RawJob(
            id="" if job_id is None else str(job_id),
            member=job,
            problem="the job has no id" if job_id is None else None,
            text=member if is_strict else None,
        )
    if place == "waiting":
        return RawJob(id=to_text(member))
    if is_too_large(member):
        named, problem = large_outline(member), f"the job is {TooLarge(len(member))}"
        return RawJob(id=named.get("id") or "", member=named, problem=problem)
    return RawJob(id="", problem=f"a member is not a JSON object ({len(member)} bytes)")


def _may_be_split(raw: RawJob) -> bool:
    record = raw.record
    return record is not None and (
        "args" not in record or "kwargs" not in record or raw.record_size >= SPLIT_AND_WHOLE
    )


def maybe_split(records: Sequence[bytes | None]) -> list[int]:
    """The positions of records that may have a payload part."""
    found = whole_arguments([record or b"" for record in records])
    return [
        i
        for i, record in enumerate(records)
        if record is not None and (len(record) >= SPLIT_AND_WHOLE or not found[i])
    ]
