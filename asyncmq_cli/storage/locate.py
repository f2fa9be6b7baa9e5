"""Finding one job in every place where it may lie, as a change needs it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import redis
from redis.exceptions import ResponseError

from asyncmq_cli.storage import scan
from asyncmq_cli.storage.codec import CorruptData, decode_member, decode_record, dumps
from asyncmq_cli.storage.hydrate import RawJob, add_record, hydrate
from asyncmq_cli.storage.jobs import PLACE_OF_STATE, PLACES
from asyncmq_cli.storage.keys import QueueKeys, to_bytes, to_text

if TYPE_CHECKING:
    from asyncmq_cli.errors import AdminError
    from asyncmq_cli.models.jobs import Job
    from asyncmq_cli.storage.parts import Parts

# An id of these characters alone stands in JSON as it is.
_PLAIN_ID = re.compile(r"[A-Za-z0-9_.\-]+")
_FEW = 8
_ASKED_BYTES = 512 * 1024
"""Of members that are asked for at once."""


@dataclass(slots=True)
class Location:
    """Where a job was found, byte for byte. `members` holds its members of each sorted set, and
    `score` the score of the last one that is not in the waiting set. `children` is the number
    of jobs that wait for this one, where all places were asked for. `claim` is when a worker took
    it, as that was written. `parts` are all that there is of it, where they were read for a
    backup."""

    queue: str
    id: str
    state: str | None = None
    record: bytes | None = None
    payload: bytes | None = None
    active: bool = False
    claim: bytes | None = None
    cancelled: bool = False
    in_ids: bool = False
    members: dict[str, list[bytes]] = field(default_factory=lambda: {place: [] for place in PLACES})
    score: float | None = None
    children: int = 0
    parts: Parts | None = None
    problem: AdminError | None = None
    _decoded: tuple[bytes, dict[str, Any] | None] | None = field(default=None, repr=False, compare=False)

    @property
    def exists(self) -> bool:
        """A mark in the cancelled set alone is no job."""
        return (
            self.state is not None
            or self.record is not None
            or self.active
            or self.in_ids
            or any(self.members.values())
        )

    @property
    def size(self) -> int:
        """About how many bytes are held of it."""
        members = sum(len(member) for found in self.members.values() for member in found)
        return len(self.record or b"") + len(self.payload or b"") + members

    @property
    def job(self) -> Job:
        place = next((place for place in PLACES if self.members[place]), None)
        member = self.decoded(self.members[place][0]) if place else None
        raw = RawJob(id=self.id, state=self.state, payload=self.payload, member=member, score=self.score)
        if member is not None and place and self.members[place][0] == self.record:
            # As AsyncMQ writes both.
            raw.record, raw.record_size = member, len(self.record)
        else:
            add_record(raw, self.record)
        return hydrate(self.queue, raw, place=place)

    def decoded(self, member: bytes) -> dict[str, Any] | None:
        """What `decode_member` says of it; the last one asked about is kept, not to be changed."""
        if self._decoded is None or self._decoded[0] is not member:
            self._decoded = (member, decode_member(member))
        return self._decoded[1]

    @property
    def parents(self) -> list[str]:
        """The jobs that this one waits for. A record that cannot be read names none."""
        depends_on = self.job.get("depends_on")
        if not isinstance(depends_on, list):
            return []
        return list(dict.fromkeys(str(parent) for parent in depends_on))


def job_of(parts: Parts) -> Job:
    """The job that a backup holds, as it would be found again."""
    return Location(
        to_text(parts.queue),
        to_text(parts.id),
        state=None if parts.state is None else to_text(parts.state),
        record=parts.record,
        payload=parts.payload,
        members={place: [member for member, _ in getattr(parts, place)] for place in PLACES},
    ).job


def locate(
    client: redis.Redis, queue: str, job_ids: Sequence[str], places: Sequence[str], *, thorough: bool = False
) -> list[Location]:
    """The locations of these jobs, with their members of `places`.

    A job that lies where its state says is found without reading the sorted sets; only for the
    others are they read, once for all of them, in bounded pieces. `thorough` reads them for every
    job, and so finds what lies where no state would have it.
    """
    keys = QueueKeys(queue)
    found: list[Location] = []
    for piece in scan.chunked(job_ids, 200):
        found.extend(_read_fixed(client, keys, piece))
    if len(places) == len(PLACES) and not thorough:
        # Who takes a job out of everywhere wants to know who waits for it.
        _count_children(client, keys, found)
    _look_where_expected(client, keys, found, places)
    unsettled = {location.id: location for location in found if thorough or _unsettled(location, places)}
    if unsettled:
        for place in places:
            read_place(client, keys, place, unsettled)
    return found


def _read_fixed(client: redis.Redis, keys: QueueKeys, job_ids: Sequence[str]) -> list[Location]:
    """What lies under a name that the job's id makes known: a round trip or two for all of them."""
    names = [to_bytes(job_id) for job_id in job_ids]
    records = scan.get_many(client, [keys.record(job_id) for job_id in job_ids], scan.Pace())
    payloads = scan.get_many(client, [keys.payload(job_id) for job_id in job_ids], scan.Pace(start=50))
    pipe: Any = client.pipeline(transaction=False)
    pipe.hmget(keys.states, names)
    pipe.zmscore(keys.waiting, names)
    pipe.hmget(keys.active, names)
    pipe.smismember(keys.cancelled, names)
    pipe.smismember(keys.ids, names)
    asked = (keys.states, keys.waiting, keys.active, keys.cancelled, keys.ids)
    replies = pipe.execute(raise_on_error=False)
    for key, reply in zip(asked, replies, strict=True):
        if isinstance(reply, ResponseError) and "WRONGTYPE" in str(reply):
            return [Location(keys.queue, i, in_ids=True, problem=scan.WrongType(key)) for i in job_ids]
        if isinstance(reply, Exception):
            raise reply
    return [_located(keys.queue, *found) for found in zip(job_ids, records, payloads, *replies, strict=True)]


def _located(
    queue: str,
    job_id: str,
    record: bytes | None,
    payload: bytes | None,
    state: bytes | None,
    waiting: float | None,
    claim: bytes | None,
    cancelled: int,
    in_ids: int,
) -> Location:
    location = Location(
        queue=queue,
        id=job_id,
        state=None if state is None else to_text(state),
        record=record,
        payload=payload,
        active=claim is not None,
        claim=claim,
        cancelled=bool(cancelled),
        in_ids=bool(in_ids),
    )
    if waiting is not None:
        location.members["waiting"].append(to_bytes(job_id))
    return location


def _count_children(client: redis.Redis, keys: QueueKeys, found: Sequence[Location]) -> None:
    pipe: Any = client.pipeline(transaction=False)
    for location in found:
        pipe.scard(keys.children(location.id))
    for location, count in zip(found, pipe.execute(raise_on_error=False), strict=True):
        if isinstance(count, int):
            location.children = count
        elif "WRONGTYPE" in str(count):
            location.problem = scan.WrongType(keys.children(location.id))
        else:
            raise count


def _look_where_expected(
    client: redis.Redis, keys: QueueKeys, found: Iterable[Location], places: Sequence[str]
) -> None:
    """Ask for the members that AsyncMQ would have written beside the record."""
    asked: dict[str, list[tuple[Location, bytes]]] = {}
    for location in found:
        home = PLACE_OF_STATE.get(location.state or "")
        if home in ("delayed", "dlq") and home in places and location.record is not None:
            for member in expected_members(location.record, home):
                asked.setdefault(home, []).append((location, member))
    for home, pairs in asked.items():
        key = getattr(keys, home)
        try:
            scores = _scores(client, key, [member for _, member in pairs])
        except scan.WrongType as exc:
            for location, _ in pairs:
                location.problem = exc
            continue
        for (location, member), score in zip(pairs, scores, strict=True):
            if score is not None:
                location.members[home].append(member)
                location.score = score


def _scores(client: redis.Redis, key: bytes, members: Sequence[bytes]) -> list[float | None]:
    found: list[float | None] = []
    piece: list[bytes] = []
    size = 0
    for member in members:
        piece.append(member)
        size += len(member)
        if size >= _ASKED_BYTES:
            found += scan.typed(key, client.zmscore, key, piece)
            piece, size = [], 0
    return found + scan.typed(key, client.zmscore, key, piece) if piece else found


def expected_members(record: bytes, place: str) -> list[bytes]:
    """What the member beside this record is where AsyncMQ wrote both.

    Its scripts write one text to both. `enqueue_delayed` writes the record as `delayed` and
    the member with the status that the producer gave the job, which is `waiting`.
    """
    members = [record]
    if place == "delayed":
        try:
            data: Mapping[str, Any] = decode_record(record)
        except CorruptData:
            return members
        members.append(dumps({**data, "status": "waiting"}).encode())
    return members


def _unsettled(location: Location, places: Sequence[str]) -> bool:
    if location.problem is not None or location.state in ("active", "completed"):
        return False
    home = PLACE_OF_STATE.get(location.state or "")
    if home is None:
        return True
    return home in places and not location.members[home]


def read_place(client: redis.Redis, keys: QueueKeys, place: str, wanted: Mapping[str, Location]) -> None:
    """Look for the members of these jobs in the whole of a sorted set, in bounded pieces."""
    plain = all(_PLAIN_ID.fullmatch(job_id) for job_id in wanted) and len(wanted) <= _FEW
    needles = [to_bytes(job_id) for job_id in wanted] if plain else []
    # Redis itself passes over the members that cannot hold the one id looked for.
    match = b"*" + needles[0] + b"*" if len(needles) == 1 else None
    try:
        for members in scan.zset_members(client, getattr(keys, place), match):
            for member, score in members:
                if needles and not any(needle in member for needle in needles):
                    continue
                job = decode_member(member)
                location = wanted.get(str(job.get("id"))) if job is not None else None
                if location is not None and member not in location.members[place]:
                    location.members[place].append(member)
                    location.score = location.score if place == "waiting" else score
    except scan.WrongType as exc:
        for location in wanted.values():
            location.problem = exc
