"""Walking the names of all keys, and a queue's jobs in pieces: their ids and states first, then the
records of those wanted.

All of these read ahead: Redis works on the next piece while the one before it is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

import redis

from asyncmq_cli.storage.codec import member_id, named_member
from asyncmq_cli.storage.scan import CHUNK, MIN_CHUNK, PIECE_BYTES, Pace, fitting
from asyncmq_cli.storage.wire import Line, packed, packed_for, scan_command

if TYPE_CHECKING:
    from asyncmq_cli.storage.keys import QueueKeys

_COMPLETED, _ACTIVE = b"completed", b"active"
_MOST = 2 * CHUNK
"""Members between two scores: there may be some of one score at the end."""
_MOST_LOOKS = 16
"""Members looked at together, and so pieces asked for together."""


@dataclass(slots=True)
class Listed:
    """Jobs found together; the lists run side by side. `ids` are as stored, b"" where a member tells
    none. `members` and `scores` are those of a sorted set, and empty elsewhere."""

    ids: Sequence[bytes]
    states: Sequence[bytes | None]
    members: Sequence[bytes] = ()
    scores: Sequence[bytes] = ()

    def only(self, chosen: Sequence[int]) -> Listed:
        if len(chosen) == len(self.ids):
            return self
        return Listed(
            [self.ids[i] for i in chosen],
            [self.states[i] for i in chosen],
            [self.members[i] for i in chosen] if self.members else (),
            [self.scores[i] for i in chosen] if self.scores else (),
        )

    def parts(self, size: Callable[[], int]) -> Iterator[Listed]:
        start = 0
        while start < len(self.ids):
            end = start + size()
            yield Listed(
                self.ids[start:end], self.states[start:end], self.members[start:end], self.scores[start:end]
            )
            start = end


@dataclass(slots=True)
class Read:
    """Listed jobs with their records. `results` and `claims` are by position; only a job that can
    have one was asked for it. `payloads` is how many have a payload part, where that was asked."""

    listed: Listed
    records: Sequence[bytes | None]
    results: dict[int, bytes | None] = field(default_factory=dict)
    claims: dict[int, bytes | None] = field(default_factory=dict)
    payloads: int | None = None

    def only(self, chosen: Sequence[int]) -> Read:
        if len(chosen) == len(self.records):
            return self
        return Read(
            self.listed.only(chosen),
            [self.records[i] for i in chosen],
            {new: self.results[old] for new, old in enumerate(chosen) if old in self.results},
            {new: self.claims[old] for new, old in enumerate(chosen) if old in self.claims},
            self.payloads,
        )


IdsOf = Callable[[Sequence[bytes]], list[bytes]]
Wanted = Callable[["bytes | None"], bool]


def key_names(client: redis.Redis, pattern: bytes) -> Iterator[list[bytes]]:
    """The names of all keys that match. Redis looks for the next while those before are looked at."""
    with Line(client) as line:
        cursor = b""
        line.send(_keys_after(b"0", pattern))
        while cursor != b"0":
            cursor, found = line.receive()
            if cursor != b"0":
                line.send(_keys_after(cursor, pattern))
            if found:
                yield found


def _keys_after(cursor: bytes, pattern: bytes) -> tuple[bytes, bytes]:
    # Few match: what a piece costs is mostly its round trip, not what it brings.
    return pattern, packed(b"SCAN", cursor, b"MATCH", pattern, b"COUNT", b"%d" % (2 * CHUNK))


class Crowded(Exception):
    """More lies at one score, or between two, than a piece may hold."""


def in_order(client: redis.Redis, key: bytes, widest: int) -> Iterator[list[bytes] | None]:
    """As `scanned`, of a sorted set; each that keeps its score meanwhile comes once. ZSCAN, which prints
    every score, costs Redis more than twice as much, but mixes large members with small ones; here they
    may lie together. So one in every few, at most `widest`, is looked at before those between are asked
    for. Raises WrongType, and Crowded."""
    low, step, ahead = b"-inf", MIN_CHUNK, 1
    with Line(client) as line:
        line.send(*_looks(key, low, step, ahead))
        while low != b"(+inf":
            looks = [line.receive() for _ in range(ahead)]
            seen = [look for look in looks if look]
            counts = [fitting(len(member), PIECE_BYTES) for member, _ in seen]
            good = next((i for i, count in enumerate(counts) if count < step), len(seen))
            pieces: list[list[bytes]] = []
            if good or not seen:
                # Others may have moved in between two looks.
                ends = sorted((score for _, score in seen[:good]), key=float)
                if good == len(seen) < ahead:
                    ends.append(b"+inf")
                lows = [low, *(b"(" + end for end in ends)]
                most = min([_MOST, *(2 * count for count in counts[:good])])
                line.send(*(_between(key, *pair, most) for pair in zip(lows, ends, strict=False)))
                pieces = [line.receive() for _ in ends]
                if any(len(piece) == most for piece in pieces):
                    raise Crowded
                yield None
                low = lows[-1]
            least = min(counts, default=CHUNK)
            step = min(widest, least, 2 * step)
            ahead = max(1, min(_MOST_LOOKS, least // step))
            if low != b"(+inf":
                line.send(*_looks(key, low, step, ahead))
            if pieces:
                yield list(chain.from_iterable(pieces))


def _looks(key: bytes, low: bytes, step: int, count: int) -> list[tuple[bytes, bytes]]:
    """Asks for each member that comes `step` after the one before, with its score."""
    head = (b"ZRANGEBYSCORE", key, low, b"+inf", b"WITHSCORES", b"LIMIT")
    return [(key, packed(*head, b"%d" % (step * i), b"1")) for i in range(1, count + 1)]


def _between(key: bytes, low: bytes, high: bytes, most: int) -> tuple[bytes, bytes]:
    return key, packed(b"ZRANGEBYSCORE", key, low, high, b"LIMIT", b"0", b"%d" % most)


def scanned(client: redis.Redis, key: bytes) -> Iterator[list[bytes] | None]:
    """The members of a sorted set. Every one that is there from the first piece to the last comes at
    least once. Before each piece comes None, when it is there and the next is not asked for: it is the
    time to listen to whatever else was asked, because what is not read yet of a long reply waits for
    the next command. Raises WrongType."""
    pace = Pace()
    with Line(client) as line:
        cursor = b""
        line.send(scan_command(b"ZSCAN", key, b"0", pace.count))
        while cursor != b"0":
            cursor, found = line.receive()
            members = found[::2]
            pace.learn(len(members), sum(map(len, members)))
            yield None
            if cursor != b"0":
                line.send(scan_command(b"ZSCAN", key, cursor, pace.count))
            yield members


def members_of(client: redis.Redis, keys: QueueKeys, place: str, ids_of: IdsOf) -> Iterator[Listed]:
    """The members of a sorted set. Every one that is there from the first piece to the last comes at
    least once. Raises WrongType."""
    pace = Pace()
    key: bytes = getattr(keys, place)
    with Line(client) as line:
        line.send(scan_command(b"ZSCAN", key, b"0", pace.count))
        cursor, before = None, None
        while cursor != b"0":
            cursor, found = line.receive()
            members, scores = found[::2], found[1::2]
            pace.learn(len(members), sum(map(len, members)))
            following = None if cursor == b"0" else scan_command(b"ZSCAN", key, cursor, pace.count)
            ids = ids_of(members)
            _ask(line, keys, ids, following)
            # While Redis is busy with these.
            if before is not None:
                yield before
            before = Listed(ids, line.receive() if ids else (), members, scores)
        if before is not None:
            yield before


def by_ids(client: redis.Redis, keys: QueueKeys) -> Iterator[Listed]:
    """All jobs of the ids set. Raises WrongType."""
    with Line(client) as line:
        line.send(scan_command(b"SSCAN", keys.ids, b"0", CHUNK))
        cursor, before = None, None
        while cursor != b"0":
            cursor, ids = line.receive()
            _ask(line, keys, ids, None if cursor == b"0" else scan_command(b"SSCAN", keys.ids, cursor, CHUNK))
            # While Redis is busy with these.
            if before is not None:
                yield before
            before = Listed(ids, line.receive()) if ids else None
        if before is not None:
            yield before


def _ask(line: Line, keys: QueueKeys, ids: Sequence[bytes], following: tuple[bytes, bytes] | None) -> None:
    """The states of these, and then the next piece if there is one."""
    commands = [(keys.states, packed_for((b"HMGET", keys.states), ids))] if ids else []
    if following is not None:
        commands.append(following)
    if commands:
        line.send(*commands)


def with_records(
    client: redis.Redis,
    keys: QueueKeys,
    pieces: Iterable[Listed],
    wanted: Wanted,
    *,
    beside: bool = True,
    count_payloads: bool = False,
) -> Iterator[Read]:
    """The records of the jobs whose entry in the states hash is wanted; with `beside` also the result
    of each that has ended and the claim of each that runs. Raises WrongType."""
    pace = Pace()
    before: Read | None = None
    with Line(client) as line:
        for piece in pieces:
            chosen = piece.only([i for i, state in enumerate(piece.states) if wanted(state)])
            for part in chosen.parts(lambda: pace.count):
                following = Read(part, ())
                _ask_records(line, keys, following, beside=beside, count_payloads=count_payloads)
                if before is not None:
                    yield before
                # Before the next piece is asked for: what is not read yet of a long reply waits for
                # whatever Redis is busy with by then.
                before = _received(line, following, pace, count_payloads=count_payloads)
        if before is not None:
            yield before


def _ask_records(line: Line, keys: QueueKeys, read: Read, *, beside: bool, count_payloads: bool) -> None:
    ids, states = read.listed.ids, read.listed.states
    prefix = keys.record("")
    commands = [(prefix, packed_for((b"MGET",), ids, prefix))]
    if beside:
        read.results = dict.fromkeys(i for i, state in enumerate(states) if state in (_COMPLETED, None))
        read.claims = dict.fromkeys(i for i, state in enumerate(states) if state == _ACTIVE)
    for key, positions in ((keys.results, read.results), (keys.active, read.claims)):
        if positions:
            commands.append((key, packed_for((b"HMGET", key), [ids[i] for i in positions])))
    if count_payloads:
        commands.append((prefix, packed_for((b"EXISTS",), ids, prefix, b":payload")))
    line.send(*commands)


def _received(line: Line, read: Read, pace: Pace, *, count_payloads: bool) -> Read:
    read.records = line.receive()
    size = sum([len(record) for record in read.records if record is not None])
    for asked in (read.results, read.claims):
        if asked:
            asked.update(zip(asked, line.receive(), strict=True))
            size += sum([len(value) for value in asked.values() if value is not None])
    if count_payloads:
        read.payloads = line.receive()
    pace.learn(len(read.records), size)
    return read


def waiting_ids(members: Sequence[bytes]) -> list[bytes]:
    """The ids of members that are one, as AsyncMQ writes them, or hold a whole job, as it once did."""
    if b"{" not in b"".join(members):
        return list(members)
    return [member if named_member(member) is None else member_id(member) for member in members]
