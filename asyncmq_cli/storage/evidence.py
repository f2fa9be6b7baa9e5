"""Everything that Redis holds of a job, for telling whether it is damaged.

It is read with commands that any reader may send, one after another, so it may be torn: what it
shows is damage only if it shows the same again a while later.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

import redis
from redis.exceptions import ResponseError

from asyncmq_cli.storage import scan
from asyncmq_cli.storage.codec import CorruptData, decode_member, dumps, member_id, with_payload
from asyncmq_cli.storage.hydrate import RawJob, add_record, effective_state, has_pending_parents
from asyncmq_cli.storage.jobs import PLACES
from asyncmq_cli.storage.keys import QueueKeys, to_bytes, to_text
from asyncmq_cli.storage.locate import expected_members, locate

if TYPE_CHECKING:
    from asyncmq_cli.storage.location import Location

_LOOKED_AT_TOGETHER = 200
_LIFE = ("task", "args", "kwargs", "created_at")


@dataclass(frozen=True, slots=True)
class Sighting:
    """A member of a sorted set that holds a whole job, without its text. `life` is equal for what was
    written of one life of the job, and None where that cannot be told."""

    place: str
    digest: bytes
    size: int
    life: bytes | None


@dataclass(slots=True)
class Evidence:
    """`status` is the job's effective state, `recorded` the one in its record alone, and `readable`
    whether the record could be decoded; `life` is as a sighting's. `argumentless` says that its
    separate arguments cannot be read, or that it has none at all. `sightings` are its whole members; the
    texts of those in the delayed set and the dead-letter queue are in the location once they were
    fetched. `parents` are the states of the jobs that it waits for, None for one that is gone.
    `pending` and `children` are the sizes of its sets of dependencies, where it has no record."""

    location: Location
    status: str
    readable: bool
    recorded: str | None = None
    life: bytes | None = None
    argumentless: bool = False
    created_at: float | None = None
    heartbeat: bytes | None = None
    has_result: bool = False
    unreadable_key: bool = False
    sightings: Sequence[Sighting] = ()
    parents: frozenset[str | None] = frozenset()
    parents_mark: int = 0
    pending: int = 0
    children: int = 0
    has_living_child: bool = False

    @property
    def mark(self) -> int:
        """Equal for two looks at a job on which nothing has happened between them."""
        found = self.location
        members = tuple(sorted((one.place, one.digest) for one in self.sightings))
        flags = (found.in_ids, found.cancelled, self.has_result, self.waits_by_id)
        sets = (self.parents_mark, self.pending, self.children, self.has_living_child)
        parts = (found.state, found.record, found.payload, found.claim, self.heartbeat)
        return hash((parts, members, flags, sets))

    @property
    def has_record(self) -> bool:
        return self.location.record is not None

    @property
    def waits_by_id(self) -> bool:
        return to_bytes(self.location.id) in self.location.members["waiting"]

    @property
    def size(self) -> int:
        """About how many bytes it takes with the texts of its members."""
        return self.location.size + sum(one.size for one in self.sightings)

    def seen_in(self, place: str) -> list[Sighting]:
        return [one for one in self.sightings if one.place == place]

    def times_in(self, place: str) -> int:
        """How often a worker would come upon it there."""
        return len(self.seen_in(place)) + (place == "waiting" and self.waits_by_id)


@dataclass(slots=True)
class _Sightings:
    of: dict[str, list[Sighting]] = field(default_factory=dict)
    complete: bool = True


def look(client: redis.Redis, queue: str, job_ids: Collection[str]) -> Iterator[list[Evidence]]:
    """The evidence of these jobs, in their order and in pieces that fit their size. Each sorted set is
    read through once, whatever the number of jobs.

    Raises WrongType only for what another finding tells of: see `problem` of a location.
    """
    keys = QueueKeys(queue)
    sightings = _sighted(client, keys, job_ids)
    pace = scan.Pace()
    rest = iter(job_ids)
    while piece := list(islice(rest, min(pace.count, _LOOKED_AT_TOGETHER))):
        found = _look_at(client, keys, piece, sightings)
        pace.learn(len(found), sum(one.location.size + 1 for one in found))
        yield found


def fetch_members(client: redis.Redis, queue: str, found: Sequence[Evidence]) -> list[Evidence]:
    """Those of which every delayed or dead member is where it was seen, with the members' texts."""
    missing: dict[bytes, tuple[Evidence, dict[bytes, str]]] = {}
    for one in found:
        wanted = {seen.digest: seen.place for seen in one.sightings if seen.place != "waiting"}
        for text in _likely_members(one, set(wanted.values())):
            place = wanted.pop(_digest(text), None)
            if place is not None:
                one.location.members[place].append(text)
        if wanted:
            missing[to_bytes(one.location.id)] = one, wanted
    keys = QueueKeys(queue)
    for place in {place for _, wanted in missing.values() for place in wanted.values()}:
        for members in scan.zset_members(client, getattr(keys, place)):
            for member, _ in members:
                sought = missing.get(member_id(member))
                if sought is not None and sought[1].get(digest := _digest(member)) == place:
                    del sought[1][digest]
                    sought[0].location.members[place].append(member)
    moved = {one.location.id for one, wanted in missing.values() if wanted}
    return [one for one in found if one.location.id not in moved]


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
    return [str(parent) for parent in record["depends_on"]]


def parent_states(client: redis.Redis, keys: QueueKeys, parents: Iterable[str]) -> dict[str, str | None]:
    """The state of each, None for a job of which there is neither a state nor a record nor an id."""
    found: dict[str, str | None] = {}
    pace = scan.Pace()
    for piece in scan.chunked(dict.fromkeys(parents)):
        states = scan.hash_get(client, keys.states, [to_bytes(parent) for parent in piece])
        for parent, state in zip(piece, states, strict=True):
            found[parent] = None if state is None else to_text(state)
        stateless = [parent for parent, state in zip(piece, states, strict=True) if state is None]
        listed = iter(zip(stateless, _listed(client, keys, stateless), strict=True))
        for records in scan.strings(client, [keys.record(parent) for parent in stateless], pace):
            for record, (parent, in_ids) in zip(records, listed, strict=False):
                found[parent] = _stateless(parent, record, in_ids)
    return found


def has_unreadable_arguments(record: Mapping[str, Any], payload: bytes | None) -> bool:
    """Whether a worker cannot run the job with what was stored apart from its record, or has nothing to
    run it with. Source: `dequeue` in asyncmq.backends.redis, which asks for the part only where the
    record lacks one of the two."""
    if "args" in record and "kwargs" in record:
        return False
    if payload is None:
        # The library gives every job both; another producer's may have none, and runs without.
        return "args" not in record and "kwargs" not in record and "max_retries" in record
    try:
        with_payload(record, payload)
    except CorruptData:
        return True
    return False


def _sighted(client: redis.Redis, keys: QueueKeys, job_ids: Collection[str]) -> _Sightings:
    wanted = {to_bytes(job_id): job_id for job_id in job_ids}
    found = _Sightings()
    for place in PLACES if wanted else ():
        try:
            for members in scan.zset_members(client, getattr(keys, place)):
                for member, _ in members:
                    _add_sighting(found.of, wanted, place, member)
        except scan.WrongType:
            found.complete = False
    return found


def _add_sighting(
    found: dict[str, list[Sighting]], wanted: Mapping[bytes, str], place: str, member: bytes
) -> None:
    job_id = wanted.get(member_id(member))
    job = decode_member(member) if job_id is not None else None
    # Of a member that holds no job the id is as empty as the one that a job may have.
    if job_id is None or job is None or job.get("id") is None:
        return
    sighting = Sighting(place, _digest(member), len(member), _life(job))
    of_job = found.setdefault(job_id, [])
    # Redis may give a member twice while the set grows.
    if all((one.place, one.digest) != (place, sighting.digest) for one in of_job):
        of_job.append(sighting)


def _look_at(
    client: redis.Redis, keys: QueueKeys, job_ids: list[str], sightings: _Sightings
) -> list[Evidence]:
    found: list[Evidence] = []
    waiting_for: dict[str, list[str]] = {}
    for location in locate(client, keys.queue, job_ids, ()):
        raw = RawJob(id=location.id, state=location.state)
        add_record(raw, location.record)
        one = _judged(location, raw, sightings.of.get(location.id, []))
        if one.status == "waiting-children":
            waiting_for[location.id] = parents_of(raw.record)
        found.append(one)
    types = record_types(client, keys, job_ids)
    heartbeats = _fields(client, keys.heartbeats, [to_bytes(job_id) for job_id in job_ids])
    for one, kind, heartbeat in zip(found, types, heartbeats, strict=True):
        wrong = kind not in (b"none", b"string") or one.location.problem is not None
        one.unreadable_key = wrong or not sightings.complete
        one.heartbeat = heartbeat
    recordless = [one for one in found if not one.has_record]
    _add_results(client, keys, recordless)
    _add_dependencies(client, keys, recordless)
    _add_parents(client, keys, found, waiting_for)
    return found


def _judged(location: Location, raw: RawJob, sightings: Sequence[Sighting]) -> Evidence:
    place = next((one.place for one in sightings), "waiting" if location.members["waiting"] else None)
    record = raw.record
    whole: Mapping[str, Any] | None = record
    if record is not None and location.payload is not None:
        try:
            whole = with_payload(record, location.payload)
        except CorruptData:
            whole = None
    created_at = record.get("created_at") if record is not None else None
    return Evidence(
        location,
        effective_state(location.state, record, place),
        readable=record is not None,
        recorded=None if record is None or record.get("status") is None else str(record["status"]),
        life=None if whole is None else _life(whole),
        argumentless=record is not None and has_unreadable_arguments(record, location.payload),
        created_at=created_at if isinstance(created_at, int | float) else None,
        sightings=sightings,
    )


def _life(job: Mapping[str, Any]) -> bytes | None:
    if job.get("created_at") is None:
        return None
    try:
        parts = [_as_claimed(job.get(name)) for name in (*_LIFE, "depends_on")]
    except RecursionError:
        return None
    return _digest(dumps(parts).encode())


def _as_claimed(value: Any) -> Any:
    """Equal for a value and for what a worker's claim makes of it, by which a dead letter may be written:
    Redis's JSON shortens numbers, and knows no empty list."""
    if isinstance(value, Mapping):
        return {name: _as_claimed(each) for name, each in sorted(value.items())} or None
    if isinstance(value, list):
        return [_as_claimed(each) for each in value] or None
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return f"{value:.14g}"
        except OverflowError:
            return "inf"
    return value


def _digest(text: bytes) -> bytes:
    return hashlib.blake2b(text, digest_size=16).digest()


def _likely_members(found: Evidence, places: Collection[str]) -> Iterator[bytes]:
    """The texts that AsyncMQ writes beside a record, of which nothing need be asked."""
    record = found.location.record
    if record is not None:
        for place in places:
            yield from expected_members(record, place)


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


def _add_results(client: redis.Redis, keys: QueueKeys, found: Sequence[Evidence]) -> None:
    # Few at a time: results can be large, and that there is one is all that counts.
    for piece in scan.chunked(found, 50):
        results = _fields(client, keys.results, [to_bytes(one.location.id) for one in piece])
        for one, result in zip(piece, results, strict=True):
            one.has_result = result is not None


def _add_dependencies(client: redis.Redis, keys: QueueKeys, found: Sequence[Evidence]) -> None:
    pipe: Any = client.pipeline(transaction=False)
    for one in found:
        pipe.scard(keys.pending_parents(one.location.id))
        pipe.scard(keys.children(one.location.id))
    replies = pipe.execute(raise_on_error=False) if found else []
    for one, pending, children in zip(found, replies[::2], replies[1::2], strict=True):
        for reply in (pending, children):
            if isinstance(reply, ResponseError) and "WRONGTYPE" in str(reply):
                one.unreadable_key = True
            elif isinstance(reply, Exception):
                raise reply
        if not one.unreadable_key:
            one.pending, one.children = pending, children
            one.has_living_child = bool(children) and _lives(client, keys, keys.children(one.location.id))


def _lives(client: redis.Redis, keys: QueueKeys, of_jobs: bytes) -> bool:
    """Whether there is one of the jobs of a set."""
    return any(
        client.exists(*(keys.record(to_text(name)) for name in piece))
        for members in scan.set_members(client, of_jobs)
        for piece in scan.chunked(members)
    )


def _add_parents(
    client: redis.Redis, keys: QueueKeys, found: Sequence[Evidence], wanted: Mapping[str, Sequence[str]]
) -> None:
    states = parent_states(client, keys, (parent for parents in wanted.values() for parent in parents))
    for one in found:
        parents = {parent: states[parent] for parent in wanted.get(one.location.id, ())}
        if set(parents.values()) == {"completed"}:
            # A parent that was added later is in the set before it is in the record.
            parents.update(parent_states(client, keys, _pending(client, keys, one)))
        one.parents = frozenset(parents.values())
        one.parents_mark = hash(tuple(parents.items()))


def _pending(client: redis.Redis, keys: QueueKeys, found: Evidence) -> list[str]:
    key = keys.pending_parents(found.location.id)
    try:
        return sorted(to_text(name) for names in scan.set_members(client, key) for name in names)
    except scan.WrongType:
        found.unreadable_key = True
        return []


def _fields(client: redis.Redis, key: bytes, names: list[bytes]) -> list[bytes | None]:
    """Nothing where the key is of a wrong type, which is a finding of its own."""
    try:
        return scan.hash_get(client, key, names)
    except scan.WrongType:
        return [None] * len(names)
