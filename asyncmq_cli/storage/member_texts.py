"""The texts of the members that hold a job, which are kept of none that is only looked at."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

import redis

from asyncmq_cli.storage import scan
from asyncmq_cli.storage.codec import member_id
from asyncmq_cli.storage.keys import QueueKeys, to_bytes
from asyncmq_cli.storage.locate import expected_members
from asyncmq_cli.storage.sightings import digest_of

if TYPE_CHECKING:
    from asyncmq_cli.storage.evidence import Evidence


def fetch_members(client: redis.Redis, queue: str, found: Sequence[Evidence]) -> list[Evidence]:
    """Those of which every delayed or dead member is where it was seen, with the members' texts."""
    missing: dict[bytes, tuple[Evidence, dict[bytes, str]]] = {}
    for one in found:
        wanted = {seen.digest: seen.place for seen in one.sightings if seen.place != "waiting"}
        for text in _likely_members(one, set(wanted.values())):
            place = wanted.pop(digest_of(text), None)
            if place is not None:
                one.location.members[place].append(text)
        if wanted:
            missing[to_bytes(one.location.id)] = one, wanted
    keys = QueueKeys(queue)
    for place in {place for _, wanted in missing.values() for place in wanted.values()}:
        for members in scan.zset_members(client, getattr(keys, place)):
            for member, _ in members:
                sought = missing.get(member_id(member))
                if sought is not None and sought[1].get(digest := digest_of(member)) == place:
                    del sought[1][digest]
                    sought[0].location.members[place].append(member)
    moved = {one.location.id for one, wanted in missing.values() if wanted}
    return [one for one in found if one.location.id not in moved]


def _likely_members(found: Evidence, places: Collection[str]) -> Iterator[bytes]:
    """The texts that AsyncMQ writes beside a record, of which nothing need be asked."""
    record = found.location.record
    if record is not None:
        for place in places:
            yield from expected_members(record, place)
