"""Reading what a queue's row of counts is made of: one large queue, or many small ones at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import redis
from redis.exceptions import ResponseError

from asyncmq_cli.storage import scan, walk
from asyncmq_cli.storage.jobs import PLACES, JobReader
from asyncmq_cli.storage.keys import QueueKeys
from asyncmq_cli.storage.tally import Tally, told, untold
from asyncmq_cli.storage.walk import IdsOf, Listed
from asyncmq_cli.storage.wire import Line, packed, packed_for, scan_command

_TOGETHER = 16
"""Small queues asked for at a time: that must not hold Redis up, nor fill the memory where jobs are
large."""
_FEW_IDS, _FEW_BODIES = 100, 32

_IDS: dict[str, IdsOf] = {"waiting": list, "delayed": walk.read_ids, "dlq": walk.read_ids}


@dataclass(frozen=True, slots=True)
class Beside:
    """What is asked of each key alone, when it is asked for. Each may raise WrongType."""

    client: redis.Redis
    keys: QueueKeys

    @property
    def paused(self) -> bool:
        return bool(self.client.exists(self.keys.paused))

    @property
    def dlq(self) -> int:
        return scan.card(self.client, "ZCARD", self.keys.dlq)

    @property
    def repeatables(self) -> int:
        return scan.card(self.client, "ZCARD", self.keys.repeatables)

    @property
    def workers(self) -> bool:
        """Whether there may be any: to know it they must be read."""
        return True


@dataclass(frozen=True, slots=True)
class Glance:
    """A small queue, read whole. `workers` is whether it may have any."""

    tally: Tally
    paused: bool
    dlq: int
    repeatables: int
    workers: bool


def tally_of(client: redis.Redis, keys: QueueKeys) -> Tally:
    """Walk over all of a queue. Raises WrongType."""
    tally = Tally()
    # What the one asks for costs Redis most, what the other brings costs us most.
    walks = deque((_count_listed(client, keys, tally), _count_members(client, keys, tally)))
    while walks:
        for _ in walks[0]:
            walks.rotate()
            break
        else:
            walks.popleft()
    return tally


def _count_listed(client: redis.Redis, keys: QueueKeys, tally: Tally) -> Iterator[None]:
    pieces = told(JobReader(client).listed_anywhere(keys), tally)
    for read in walk.with_records(client, keys, pieces, lambda entry: True, beside=False):
        tally.add_records(read.listed, read.records)
        yield


def _count_members(client: redis.Redis, keys: QueueKeys, tally: Tally) -> Iterator[None]:
    for place in PLACES:
        key: bytes = getattr(keys, place)
        try:
            for members in walk.in_order(client, key):
                yield
                tally.add_members(place, members, _IDS[place](members))
        except walk.Crowded:
            tally.forget_members(place)
            for found in scan.zset_members(client, key):
                members = [member for member, _ in found]
                tally.add_members(place, members, _IDS[place](members))
                yield


def glances(client: redis.Redis, queues: Sequence[str]) -> list[Glance | None]:
    """Of each queue; None for one that is not small, or of which a key cannot be read."""
    found: list[Glance | None] = []
    with Line(client) as line:
        groups = (_looked_at(line, group) for group in scan.chunked(queues, _TOGETHER))
        going: deque[Iterator[list[Glance | None] | None]] = deque()
        while True:
            # Replies come in the order of the commands: two groups take turns at listening and asking,
            # so that Redis looks at the one while the other is counted.
            for new in islice(groups, 2 - len(going)):
                next(new)
                going.append(new)
            if not going:
                return found
            glanced = next(going[0])
            if glanced is None:
                going.rotate(-1)
            else:
                found += glanced
                going.popleft()


def _looked_at(line: Line, queues: Sequence[str]) -> Iterator[list[Glance | None] | None]:
    """Yields whenever it has asked; each takes as many turns as the others, and so ends in its order."""
    looks = [_Look(QueueKeys(queue)) for queue in queues]
    line.send(*[command for look in looks for command in look.first()])
    yield None
    for look in looks:
        look.take(_received(line, len(look.first())))
    small = [look for look in looks if look.is_small and look.ids]
    if small:
        line.send(*[look.second() for look in small])
    yield None
    for look in small:
        look.take_states(_received(line, 1))
    unread = [look for look in small if look.is_small and look.unread.ids]
    if unread:
        line.send(*[look.third() for look in unread])
    yield None
    for look in unread:
        look.take_records(_received(line, 1))
    yield [look.glance() for look in looks]


class _Look:
    """One queue on its way through the three rounds of questions."""

    def __init__(self, keys: QueueKeys) -> None:
        self.keys = keys
        self.is_small = True
        self.ids: list[bytes] = []
        self.unread = Listed((), ())
        self._tally = Tally()
        self._counts: list[int] = []
        self._stated = 0

    def first(self) -> list[tuple[bytes, bytes]]:
        keys = self.keys
        asked: list[tuple[bytes, bytes]] = [
            (keys.paused, packed(b"EXISTS", keys.paused)),
            (keys.dlq, packed(b"ZCARD", keys.dlq)),
            (keys.repeatables, packed(b"ZCARD", keys.repeatables)),
            (keys.worker_heartbeats, packed(b"HLEN", keys.worker_heartbeats)),
            (keys.heartbeats, packed(b"HLEN", keys.heartbeats)),
            (keys.states, packed(b"HLEN", keys.states)),
            scan_command(b"SSCAN", keys.ids, b"0", _FEW_IDS),
        ]
        return asked + [
            (key, packed(b"ZRANGEBYSCORE", key, b"-inf", b"+inf", b"LIMIT", b"0", b"%d" % (_FEW_BODIES + 1)))
            for key in (getattr(keys, place) for place in PLACES)
        ]

    def take(self, replies: list[Any] | None) -> None:
        if replies is None:
            self.is_small = False
            return
        *self._counts, self._stated = replies[:6]
        (cursor, self.ids), *placed = replies[6:]
        self.is_small = cursor == b"0" and all(len(members) <= _FEW_BODIES for members in placed)
        if not self.ids and self._stated:
            # Something is only in the states hash.
            self.is_small = False
        if self.is_small:
            for place, members in zip(PLACES, placed, strict=True):
                self._tally.add_members(place, members, _IDS[place](members))

    def second(self) -> tuple[bytes, bytes]:
        return self.keys.states, packed_for((b"HMGET", self.keys.states), self.ids)

    def take_states(self, replies: list[Any] | None) -> None:
        listed = Listed(self.ids, () if replies is None else replies[0])
        if replies is None or len(self.ids) - listed.states.count(None) != self._stated:
            self.is_small = False
            return
        self._tally.add_listed(listed)
        self.unread = untold(listed)
        self.is_small = len(self.unread.ids) <= _FEW_BODIES

    def third(self) -> tuple[bytes, bytes]:
        prefix = self.keys.record("")
        return prefix, packed_for((b"MGET",), self.unread.ids, prefix)

    def take_records(self, replies: list[Any] | None) -> None:
        if replies is None:
            self.is_small = False
        else:
            self._tally.add_records(self.unread, replies[0])

    def glance(self) -> Glance | None:
        if not self.is_small:
            return None
        paused, dlq, repeatables, *workers = self._counts
        return Glance(self._tally, bool(paused), dlq, repeatables, any(workers))


def _received(line: Line, count: int) -> list[Any] | None:
    """So many replies, None where one of them is a refusal: whoever asks alone is told which."""
    replies: list[Any] | None = []
    for _ in range(count):
        try:
            reply = line.receive()
        except (ResponseError, scan.WrongType):
            replies = None
        else:
            if replies is not None:
                replies.append(reply)
    return replies
