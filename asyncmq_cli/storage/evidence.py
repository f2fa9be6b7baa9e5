"""Everything that Redis holds of a job, for telling whether it is damaged.

It is read with commands that any reader may send, one after another, so it may be torn: what it
shows is damage only if it shows the same again a while later.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import redis

from asyncmq_cli.storage import scan
from asyncmq_cli.storage.codec import decode_member
from asyncmq_cli.storage.hydrate import RawJob, add_record, effective_state, has_pending_parents
from asyncmq_cli.storage.jobs import PLACES
from asyncmq_cli.storage.keys import QueueKeys, to_bytes, to_text
from asyncmq_cli.storage.locate import Location, locate

MOST_PARENTS = 1000
"""Of a job that waits for more, the first so many are looked at."""


@dataclass(slots=True)
class Evidence:
    """`status` is the job's effective state and `readable` whether its record could be decoded.
    `parents` has the state of each job that this one waits for, None for one that is gone."""

    location: Location
    status: str
    readable: bool
    heartbeat: bytes | None = None
    has_result: bool = False
    unreadable_key: bool = False
    parents: dict[str, str | None] = field(default_factory=dict)

    @property
    def mark(self) -> int:
        """Equal for two looks at a job on which nothing has happened between them."""
        found = self.location
        members = tuple((place, tuple(sorted(found.members[place]))) for place in PLACES)
        flags = (found.in_ids, found.cancelled, self.has_result, found.payload is None)
        parents = tuple(sorted(self.parents.items(), key=lambda item: item[0]))
        return hash((found.state, found.record, found.claim, self.heartbeat, members, flags, parents))

    @property
    def has_record(self) -> bool:
        return self.location.record is not None

    @property
    def whole_members(self) -> dict[str, list[bytes]]:
        """The members that hold a whole job; a bare id is none."""
        found = self.location.members
        return {place: [one for one in found[place] if decode_member(one) is not None] for place in PLACES}


def look(client: redis.Redis, queue: str, job_ids: Sequence[str]) -> list[Evidence]:
    """Raises WrongType only for what another finding tells of: see `problem` of a location."""
    keys = QueueKeys(queue)
    names = [to_bytes(job_id) for job_id in job_ids]
    found = [_judged(one) for one in locate(client, queue, job_ids, PLACES, thorough=True)]
    types = record_types(client, keys, job_ids)
    heartbeats = _fields(client, keys.heartbeats, names)
    for one, kind, heartbeat in zip(found, types, heartbeats, strict=True):
        one.unreadable_key = kind not in (b"none", b"string") or one.location.problem is not None
        one.heartbeat = heartbeat
    _add_results(client, keys, [one for one in found if not one.has_record])
    _add_parents(client, keys, [one for one in found if one.status == "waiting-children"])
    return found


def record_types(client: redis.Redis, keys: QueueKeys, job_ids: Iterable[str]) -> list[bytes]:
    """Redis's word for what lies where each record should: `string`, `none`, or what is wrong."""
    pipe: Any = client.pipeline(transaction=False)
    for job_id in job_ids:
        pipe.type(keys.record(job_id))
    kinds: list[bytes] = pipe.execute()
    return kinds


def parents_of(record: Mapping[str, Any] | None) -> list[str]:
    if record is None or not has_pending_parents(record):
        return []
    return [str(parent) for parent in record["depends_on"][:MOST_PARENTS]]


def parent_states(client: redis.Redis, keys: QueueKeys, parents: Sequence[str]) -> dict[str, str | None]:
    """The state of each, None for a job of which there is neither a state nor a record nor an id."""
    found: dict[str, str | None] = {}
    for piece in scan.chunked(dict.fromkeys(parents)):
        names = [to_bytes(parent) for parent in piece]
        states = scan.hash_get(client, keys.states, names)
        stateless = [parent for parent, state in zip(piece, states, strict=True) if state is None]
        records = scan.get_many(client, [keys.record(parent) for parent in stateless], scan.Pace())
        listed = _listed(client, keys, stateless)
        recorded = dict(zip(stateless, zip(records, listed, strict=True), strict=True))
        for parent, state in zip(piece, states, strict=True):
            found[parent] = to_text(state) if state is not None else _stateless(parent, *recorded[parent])
    return found


def _listed(client: redis.Redis, keys: QueueKeys, job_ids: Sequence[str]) -> list[int]:
    if not job_ids:
        return []
    names = [to_bytes(job_id) for job_id in job_ids]
    found: list[int] = scan.typed(keys.ids, client.smismember, keys.ids, names)
    return found


def _stateless(job_id: str, record: bytes | None, in_ids: int) -> str | None:
    if record is None:
        return "unknown" if in_ids else None
    raw = RawJob(id=job_id)
    add_record(raw, record)
    return effective_state(None, raw.record, None)


def _judged(location: Location) -> Evidence:
    raw = RawJob(id=location.id, state=location.state)
    add_record(raw, location.record)
    return Evidence(location, location.job.status, readable=raw.record is not None)


def _add_results(client: redis.Redis, keys: QueueKeys, found: Sequence[Evidence]) -> None:
    # Few at a time: results can be large, and that there is one is all that counts.
    for piece in scan.chunked(found, 50):
        results = _fields(client, keys.results, [to_bytes(one.location.id) for one in piece])
        for one, result in zip(piece, results, strict=True):
            one.has_result = result is not None


def _add_parents(client: redis.Redis, keys: QueueKeys, found: Sequence[Evidence]) -> None:
    wanted = {one.location.id: parents_of(one.location.job.record) for one in found}
    states = parent_states(client, keys, [parent for parents in wanted.values() for parent in parents])
    for one in found:
        one.parents = {parent: states[parent] for parent in wanted[one.location.id]}


def _fields(client: redis.Redis, key: bytes, names: list[bytes]) -> list[bytes | None]:
    """Nothing where the key is of a wrong type, which is a finding of its own."""
    try:
        return scan.hash_get(client, key, names)
    except scan.WrongType:
        return [None] * len(names)
