"""Find members of sorted sets that contain whole jobs."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import redis
from msgspec import Struct, field

from asyncmq_cli.errors import WrongType
from asyncmq_cli.storage.client import scan
from asyncmq_cli.storage.read.locate import expected_members
from asyncmq_cli.storage.schema.codec import dumps, member_ids, named_member
from asyncmq_cli.storage.schema.keys import PLACES, QueueKeys, to_bytes

if TYPE_CHECKING:
    from asyncmq_cli.storage.integrity.evidence import Evidence


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


def find_whole_members(
    client: redis.Redis, keys: QueueKeys, job_ids: Collection[str], places: Sequence[str] = PLACES
) -> ZsetMembers:
    """The members of these sorted sets that contain these jobs. Each set is read once, however many jobs
    there are."""
    wanted = {to_bytes(job_id): job_id for job_id in job_ids}
    found = ZsetMembers()
    for place in places if wanted else ():
        try:
            for members in scan.zset_members(client, getattr(keys, place)):
                texts = [member for member, _ in members]
                for name, member in zip(member_ids(texts), texts, strict=True):
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


def fetch_members(client: redis.Redis, queue: str, found: Sequence[Evidence]) -> list[Evidence]:
    """The jobs whose members of the delayed set and the dead-letter queue all still exist, with the members'
    texts in their locations."""
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
        for members in scan.zset_members(client, getattr(keys, place)):
            texts = [member for member, _ in members]
            for name, member in zip(member_ids(texts), texts, strict=True):
                sought = missing.get(name)
                if sought is not None and sought[1].get(digest := digest_of(member)) == place:
                    del sought[1][digest]
                    sought[0].location.members[place].append(member)
    moved = {one.location.id for one, wanted in missing.values() if wanted}
    return [one for one in found if one.location.id not in moved]


def _likely_members(found: Evidence, places: Collection[str]) -> Iterator[bytes]:
    """The members that AsyncMQ writes together with a record, which need not be read."""
    record = found.location.record
    if record is not None:
        for place in places:
            yield from expected_members(record, place)
