"""Read everything that Redis stores about a job, as evidence of damage.

It is read by several commands, one after the other, so it may be inconsistent. It proves damage only if a
second read, some time later, gives the same result.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import redis
from msgspec import Struct, field

from asyncmq_cli.errors import WrongType
from asyncmq_cli.models.values import WAITING_CHILDREN, as_number, chunked
from asyncmq_cli.storage.client import scan
from asyncmq_cli.storage.client.connection import run_pipeline
from asyncmq_cli.storage.integrity.probes import (
    Probes,
    has_living_child,
    parent_states,
    parents_by_set,
    parents_of,
)
from asyncmq_cli.storage.read import pieces
from asyncmq_cli.storage.read.locate import expected_members, locate
from asyncmq_cli.storage.schema.codec import (
    CorruptData,
    TooLarge,
    dumps,
    named_member,
    with_payload,
)
from asyncmq_cli.storage.schema.job import RawJob, add_record, effective_state, has_unreadable_arguments
from asyncmq_cli.storage.schema.keys import PLACES, QueueKeys, to_bytes

if TYPE_CHECKING:
    from asyncmq_cli.storage.schema.job import Location

_JOBS_AT_A_TIME = 200
_LIFE = ("task", "args", "kwargs", "created_at")


class ZsetMember(Struct, frozen=True):
    """A member of a sorted set that contains a whole job, without its text. `life` is the result of
    `life_of`."""

    place: str
    digest: bytes
    size: int
    life: bytes | None


class ZsetMembers(Struct):
    """The members of each job, by id. `complete` says that no sorted set has the wrong type."""

    of: dict[str, list[ZsetMember]] = field(default_factory=dict)
    complete: bool = True


class Evidence(Struct):
    """The data that was read about one job.

    `status` is its effective state, `recorded` the state in its record, and `readable` says whether the
    record could be decoded. `life` is as in `ZsetMember`. `argumentless` says that its payload part cannot be
    read, or that it has no arguments. `zset_members` are its members that contain the whole job; once
    fetched, their texts are in the location. `created_at` is epoch seconds. `parents` are the states of the
    jobs that it waits for, with None for a job that is gone. `pending` and `children` are the sizes of its
    sets of parents and children, if it has no record.
    """

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
    zset_members: Sequence[ZsetMember] = ()
    parents: frozenset[str | None] = frozenset()
    parents_mark: int = 0
    pending: int = 0
    children: int = 0
    has_living_child: bool = False

    @property
    def mark(self) -> int:
        """A hash of the evidence. If two reads have the same hash, nothing about the job has changed."""
        found = self.location
        members = tuple(sorted((one.place, one.digest) for one in self.zset_members))
        flags = (found.in_ids, found.cancelled, self.has_result, self.waits_by_id)
        sets = (self.parents_mark, self.pending, self.children, self.has_living_child)
        parts = (found.state, found.record, found.payload, found.claim, self.heartbeat)
        return hash((parts, members, flags, sets))

    @property
    def has_record(self) -> bool:
        """Whether it has a record, readable or not."""
        return self.location.record is not None

    @property
    def waits_by_id(self) -> bool:
        """Whether its id alone is a member of the waiting set."""
        return to_bytes(self.location.id) in self.location.members["waiting"]

    @property
    def size(self) -> int:
        """The approximate size in bytes, including its members' texts."""
        return self.location.size + sum(one.size for one in self.zset_members)

    def members_in(self, place: str) -> list[ZsetMember]:
        """Its members in this sorted set that contain the whole job."""
        return [one for one in self.zset_members if one.place == place]

    def times_in(self, place: str) -> int:
        """How often a worker would find it in this sorted set."""
        return len(self.members_in(place)) + (place == "waiting" and self.waits_by_id)


class EvidenceReader:
    """Reads evidence."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client

    def read(
        self, queue: str, job_ids: Collection[str], places: Sequence[str] = PLACES
    ) -> Iterator[list[Evidence]]:
        """The evidence of these jobs, in order, in chunks that depend on their size. Each sorted set of
        `places` is read once, however many jobs there are; the others are known to hold none of them as a
        whole.

        Raises WrongType only for keys that no other finding reports; see `Location.problem`.
        """
        probes = Probes(self._redis, queue)
        zset_members = find_whole_members(self._redis, probes.keys, job_ids, places)
        pace = scan.Pace()
        rest = iter(job_ids)
        while piece := list(islice(rest, min(pace.count, _JOBS_AT_A_TIME))):
            found = _read(probes, piece, zset_members)
            pace.learn(len(found), sum(one.location.size + 1 for one in found))
            yield found

    def fetch_members(self, queue: str, found: Sequence[Evidence]) -> list[Evidence]:
        """The jobs whose members of the delayed set and the dead-letter queue all still exist, with the
        members' texts in their locations."""
        missing: dict[bytes, tuple[Evidence, dict[bytes, str]]] = {}
        for one in found:
            wanted = {seen.digest: seen.place for seen in one.zset_members if seen.place != "waiting"}
            for text in _likely_members(one, set(wanted.values())):
                place = wanted.pop(digest_of(text), None)
                if place is not None:
                    one.location.members[place].append(text)
            if wanted:
                missing[to_bytes(one.location.id)] = one, wanted
        keys = QueueKeys(queue)
        for place in {place for _, wanted in missing.values() for place in wanted.values()}:
            for piece in pieces.scanned(self._redis, keys, place):
                for name, member in zip(piece.ids, piece.members, strict=True):
                    sought = missing.get(name)
                    if sought is not None and sought[1].get(digest := digest_of(member)) == place:
                        del sought[1][digest]
                        sought[0].location.members[place].append(member)
        moved = {one.location.id for one, wanted in missing.values() if wanted}
        return [one for one in found if one.location.id not in moved]


def _read(probes: Probes, job_ids: list[str], members: ZsetMembers) -> list[Evidence]:
    found: list[Evidence] = []
    waiting_for: dict[str, list[str]] = {}
    for location in locate(probes.client, probes.keys.queue, job_ids, ()):
        raw = RawJob(id=location.id, state=location.state)
        add_record(raw, location.record)
        one = _judged(location, raw, members.of.get(location.id, []))
        if one.status == WAITING_CHILDREN:
            waiting_for[location.id] = parents_of(raw.record)
        found.append(one)
    types = probes.record_types(job_ids)
    heartbeats = _fields(probes, probes.keys.heartbeats, job_ids)
    for one, kind, heartbeat in zip(found, types, heartbeats, strict=True):
        wrong = kind not in (b"none", b"string") or one.location.problem is not None
        one.unreadable_key = wrong or not members.complete
        one.heartbeat = heartbeat
    recordless = [one for one in found if not one.has_record]
    _add_results(probes, recordless)
    _add_dependencies(probes, recordless)
    _add_parents(probes, found, waiting_for)
    return found


def _judged(location: Location, raw: RawJob, zset_members: Sequence[ZsetMember]) -> Evidence:
    place = next((one.place for one in zset_members), "waiting" if location.members["waiting"] else None)
    record = raw.record
    whole: Mapping[str, Any] | None = record
    if record is not None and location.payload is not None:
        try:
            whole = with_payload(record, location.payload)
        except TooLarge:
            # Only the record shows which life of the job this is.
            whole = record
        except CorruptData:
            whole = None
    return Evidence(
        location,
        effective_state(location.state, record, place),
        readable=record is not None,
        recorded=None if record is None or record.get("status") is None else str(record["status"]),
        life=None if whole is None else life_of(whole),
        argumentless=record is not None and has_unreadable_arguments(record, location.payload),
        created_at=None if record is None else as_number(record.get("created_at")),
        zset_members=zset_members,
    )


def _add_results(probes: Probes, found: Sequence[Evidence]) -> None:
    # Read few at a time: only the existence of results matters, but they can be large.
    for piece in chunked(found, 50):
        results = _fields(probes, probes.keys.results, [one.location.id for one in piece])
        for one, result in zip(piece, results, strict=True):
            one.has_result = result is not None


def _add_dependencies(probes: Probes, found: Sequence[Evidence]) -> None:
    sets = (probes.keys.pending_parents, probes.keys.children)
    sizes = run_pipeline(
        probes.client, [("SCARD", of(one.location.id)) for one in found for of in sets], keep=WrongType
    )
    for one, pending, children in zip(found, sizes[::2], sizes[1::2], strict=True):
        if isinstance(pending, WrongType) or isinstance(children, WrongType):
            one.unreadable_key = True
        elif not one.unreadable_key:
            one.pending, one.children = pending, children
            one.has_living_child = bool(children) and has_living_child(probes, one.location.id)


def _add_parents(probes: Probes, found: Sequence[Evidence], wanted: Mapping[str, Sequence[str]]) -> None:
    states = parent_states(probes, chain.from_iterable(wanted.values()))
    for one in found:
        parents = {parent: states[parent] for parent in wanted.get(one.location.id, ())}
        if set(parents.values()) == {"completed"}:
            # A parent that is added later is added to the set before the record.
            parents.update(parent_states(probes, _pending(probes, one)))
        one.parents = frozenset(parents.values())
        one.parents_mark = hash(tuple(parents.items()))


def _pending(probes: Probes, found: Evidence) -> list[str]:
    try:
        return parents_by_set(probes, found.location.id)
    except WrongType:
        found.unreadable_key = True
        return []


def _fields(probes: Probes, key: bytes, job_ids: Sequence[str]) -> list[bytes | None]:
    """The values of a hash; None if its key has the wrong type, which is reported separately."""
    try:
        return probes.fields(key, job_ids)
    except WrongType:
        return [None] * len(job_ids)


def find_whole_members(
    client: redis.Redis, keys: QueueKeys, job_ids: Collection[str], places: Sequence[str] = PLACES
) -> ZsetMembers:
    """The members of these sorted sets that contain these jobs. Each set is read once, however many jobs
    there are."""
    wanted = {to_bytes(job_id): job_id for job_id in job_ids}
    found = ZsetMembers()
    for place in places if wanted else ():
        try:
            for piece in pieces.scanned(client, keys, place):
                for name, member in zip(piece.ids, piece.members, strict=True):
                    if name in wanted:
                        _add_member(found.of, wanted[name], place, member)
        except WrongType:
            found.complete = False
    return found


def _add_member(found: dict[str, list[ZsetMember]], job_id: str, place: str, member: bytes) -> None:
    job = named_member(member)
    # The id is empty for a member without a job, but also for a job with an empty id.
    if job is None or job.get("id") is None:
        return
    found_member = ZsetMember(place, digest_of(member), len(member), life_of(job))
    of_job = found.setdefault(job_id, [])
    # Redis may return a member twice while the set grows.
    if all((one.place, one.digest) != (place, found_member.digest) for one in of_job):
        of_job.append(found_member)


def life_of(job: Mapping[str, Any]) -> bytes | None:
    """A hash that is equal for all copies of a job from when it is enqueued until it is enqueued again under
    the same id: one life of the job. None if the job has no `created_at`, or is nested too deeply."""
    if job.get("created_at") is None:
        return None
    try:
        parts = [_as_claimed(job.get(name)) for name in (*_LIFE, "depends_on")]
    except RecursionError:
        return None
    return digest_of(dumps(parts).encode())


def _as_claimed(value: Any) -> Any:
    """The value as it is after a worker has claimed the job: the claim re-encodes it by Lua's JSON in Redis,
    which shortens numbers and turns empty lists into empty objects."""
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


def digest_of(text: bytes) -> bytes:
    """A hash that identifies a member without its text."""
    return hashlib.blake2b(text, digest_size=16).digest()


def _likely_members(found: Evidence, places: Collection[str]) -> Iterator[bytes]:
    """The members that AsyncMQ writes together with a record, which need not be read."""
    record = found.location.record
    if record is not None:
        for place in places:
            yield from expected_members(record, place)
