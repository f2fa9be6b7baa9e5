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
from asyncmq_cli.storage.codec import member_ids
from asyncmq_cli.storage.jobs import JobReader
from asyncmq_cli.storage.keys import PLACES, QueueKeys
from asyncmq_cli.storage.tally import Tally, told, untold
from asyncmq_cli.storage.walk import IdsOf, Listed
from asyncmq_cli.storage.wire import Line, packed, packed_for, scan_command

_TOGETHER = 16
"""Small queues asked for at a time: that must not hold Redis up, nor fill the memory where jobs are
large."""
_FEW_IDS, _FEW, _LITTLE = 100, 32, 64 * 1024
"""Ids, members of a sorted set or records, and bytes of these: what has more is walked over alone."""

_STEPS = {"waiting": scan.CHUNK, "delayed": 64, "dlq": 64}
"""How many members lie between two of which the size is looked at: bodies may be large."""
_IDS: dict[str, IdsOf] = {"waiting": list, "delayed": member_ids, "dlq": member_ids}


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
        for read in (walk.in_order(client, key, _STEPS[place]), walk.scanned(client, key)):
            try:
                for members in read:
                    if members is None:
                        yield
                    else:
                        tally.add_members(place, members, _IDS[place](members))
                break
            except walk.Crowded:
                tally.forget_members(place)


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
    for ask, take in (
        (_Look.first, _Look.take_first),
        (_Look.second, _Look.take_second),
        (_Look.third, _Look.take_third),
    ):
        asked = [(look, ask(look)) for look in looks if look.is_small]
        if commands := [command for _, each in asked for command in each]:
            line.send(*commands)
        yield None
        for look, each in asked:
            replies = _received(line, len(each))
            if replies is None:
                look.is_small = False
            else:
                take(look, replies)
    yield [look.glance() for look in looks]


class _Look:
    """One queue on its way through the three rounds of questions. How much all of something is, is
    guessed from one of it, before it is asked for."""

    def __init__(self, keys: QueueKeys) -> None:
        self.keys = keys
        self.is_small = True
        self.ids: list[bytes] = []
        self.unread = Listed((), ())
        self._tally = Tally()
        self._counts: list[int] = []
        self._stated = 0
        self._cards: list[int] = []

    def first(self) -> list[tuple[bytes, bytes]]:
        keys = self.keys
        places: list[bytes] = [getattr(keys, place) for place in PLACES]
        return [
            (keys.paused, packed(b"EXISTS", keys.paused)),
            (keys.repeatables, packed(b"ZCARD", keys.repeatables)),
            (keys.worker_heartbeats, packed(b"HLEN", keys.worker_heartbeats)),
            (keys.heartbeats, packed(b"HLEN", keys.heartbeats)),
            (keys.states, packed(b"HLEN", keys.states)),
            scan_command(b"SSCAN", keys.ids, b"0", _FEW_IDS),
            *((key, packed(b"ZCARD", key)) for key in places),
            *(_members(key, 1) for key in places),
        ]

    def take_first(self, replies: list[Any]) -> None:
        *self._counts, self._stated = replies[:5]
        (cursor, self.ids), *placed = replies[5:]
        self._cards, samples = placed[: len(PLACES)], placed[len(PLACES) :]
        self.is_small = cursor == b"0" and all(map(_is_little, self._cards, samples))
        if not self.ids and self._stated:
            # Something is only in the states hash.
            self.is_small = False

    def second(self) -> list[tuple[bytes, bytes]]:
        keys = self.keys
        asked = [_members(getattr(keys, place), _FEW + 1) for place in self._occupied]
        if self.ids:
            asked += [
                (keys.states, packed_for((b"HMGET", keys.states), self.ids)),
                (keys.record(""), packed_for((b"MGET",), self.ids[:1], keys.record(""))),
            ]
        return asked

    def take_second(self, replies: list[Any]) -> None:
        for place, members in zip(self._occupied, replies, strict=False):
            self._tally.add_members(place, members, _IDS[place](members))
            self.is_small = self.is_small and len(members) <= _FEW
        if not self.ids:
            return
        *_, states, samples = replies
        listed = Listed(self.ids, states)
        if len(self.ids) - states.count(None) != self._stated:
            self.is_small = False
            return
        self._tally.add_listed(listed)
        self.unread = untold(listed)
        self.is_small = self.is_small and _is_little(len(self.unread.ids), samples)

    def third(self) -> list[tuple[bytes, bytes]]:
        prefix = self.keys.record("")
        return [(prefix, packed_for((b"MGET",), self.unread.ids, prefix))] if self.unread.ids else []

    def take_third(self, replies: list[Any]) -> None:
        if replies:
            self._tally.add_records(self.unread, replies[0])

    def glance(self) -> Glance | None:
        if not self.is_small:
            return None
        paused, repeatables, *workers = self._counts
        dead = self._cards[PLACES.index("dlq")]
        return Glance(self._tally, bool(paused), dead, repeatables, any(workers))

    @property
    def _occupied(self) -> list[str]:
        return [place for place, card in zip(PLACES, self._cards, strict=True) if card]


def _members(key: bytes, count: int) -> tuple[bytes, bytes]:
    return key, packed(b"ZRANGEBYSCORE", key, b"-inf", b"+inf", b"LIMIT", b"0", b"%d" % count)


def _is_little(count: int, samples: Sequence[bytes | None]) -> bool:
    """Whether so many like the sample are soon read."""
    return count <= _FEW and count * max((len(text) for text in samples if text), default=0) <= _LITTLE


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
