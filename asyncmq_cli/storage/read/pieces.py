"""Read many jobs in pieces of bounded size.

A piece is the content of one reply to a scan. Each generator requests the next piece before it yields the
current one, so that Redis works while the caller processes jobs. All functions raise WrongType.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import redis
from msgspec import Struct, field

from asyncmq_cli.errors import WrongType
from asyncmq_cli.models.values import chunked
from asyncmq_cli.storage.client import scan
from asyncmq_cli.storage.client.connection import PipelinedConnection, pack_for_names, run_pipeline
from asyncmq_cli.storage.client.replies import ReplyTooLarge, several
from asyncmq_cli.storage.schema.codec import member_id, member_ids, named_member

if TYPE_CHECKING:
    from asyncmq_cli.storage.schema.keys import QueueKeys


_FIRST_BY_RANK = 32

T = TypeVar("T")


class Piece(Struct):
    """Jobs that were found together, as parallel lists. A list that was not read is empty.

    `ids` are as stored; b"" for a member that contains no job, or a job without an id. `members` and `scores`
    are from a sorted set. `claims` are from the active hash and `results` from the results hash, by position,
    for the jobs that can have one.
    """

    ids: Sequence[bytes]
    states: Sequence[bytes | None] = ()
    members: Sequence[bytes] = ()
    scores: Sequence[float] = ()
    records: Sequence[bytes | None] = ()
    claims: dict[int, bytes | None] = field(default_factory=dict)
    results: dict[int, bytes | None] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """The size of the members and the records in bytes."""
        return sum(map(len, self.members)) + sum(len(record) for record in self.records if record)

    def only(self, chosen: Sequence[int]) -> Piece:
        """A piece with only the jobs at these positions."""
        if len(chosen) == len(self.ids):
            return self
        return Piece(
            [self.ids[i] for i in chosen],
            [self.states[i] for i in chosen] if self.states else (),
            [self.members[i] for i in chosen] if self.members else (),
            [self.scores[i] for i in chosen] if self.scores else (),
            [self.records[i] for i in chosen] if self.records else (),
            {new: self.claims[old] for new, old in enumerate(chosen) if old in self.claims},
            {new: self.results[old] for new, old in enumerate(chosen) if old in self.results},
        )

    def bodies(self, i: int) -> list[bytes]:
        """The texts that may contain the job: its record, and its member if that differs."""
        record = self.records[i] if self.records else None
        if not self.members:
            return [] if record is None else [record]
        member = self.members[i]
        return [member] if record is None or record == member else [record, member]


class Prefilter(Protocol):
    """Skips jobs that certainly do not match."""

    def passing(self, piece: Piece) -> list[int]:
        """The positions of jobs that may match, judged by these texts without their payload parts."""


def ids_of_members(place: str, members: Sequence[bytes]) -> list[bytes]:
    """The ids of the jobs that these members of a sorted set stand for: the member itself, or the id in
    it."""
    if place != "waiting":
        return member_ids(members)
    if b"{" not in b"".join(members):
        return list(members)
    # Old versions of AsyncMQ stored whole jobs there.
    return [member if named_member(member) is None else member_id(member) for member in members]


def scanned(client: redis.Redis, keys: QueueKeys, place: str) -> Iterator[Piece]:
    """The members of a sorted set, read by ZSCAN. A member that exists during the whole scan is yielded at
    least once."""
    for pairs in scan.zset_members(client, getattr(keys, place)):
        yield _of_pairs(place, [member for member, _ in pairs], [score for _, score in pairs])


def _of_pairs(place: str, members: Sequence[bytes], scores: Sequence[float]) -> Piece:
    return Piece(ids_of_members(place, members), members=members, scores=scores)


def by_rank(
    client: redis.Redis,
    keys: QueueKeys,
    place: str,
    start: int,
    *,
    last_first: bool,
    count: int | None = None,
) -> Iterator[Piece]:
    """The members of a sorted set in order, from the rank `start` on: `count` of them, or all."""
    pace = scan.Pace(_FIRST_BY_RANK)
    key: bytes = getattr(keys, place)
    while count is None or count > 0:
        found: list[tuple[bytes, float]] | None = None
        while found is None:
            asked = pace.count if count is None else min(count, pace.count)
            with pace.smaller():
                found = scan.typed(
                    key, client.zrange, key, start, start + asked - 1, desc=last_first, withscores=True
                )
        if not found:
            return
        members = [member for member, _ in found]
        pace.learn(len(members), sum(map(len, members)))
        yield _of_pairs(place, members, [score for _, score in found])
        start += len(found)
        count = None if count is None else count - len(found)


def claimed(client: redis.Redis, keys: QueueKeys) -> Iterator[Piece]:
    """The jobs of the active hash, with their claims."""
    for fields in scan.hash_fields(client, keys.active):
        yield Piece(list(fields), claims=dict(enumerate(fields.values())))


def indexed(client: redis.Redis, keys: QueueKeys) -> Iterator[Piece]:
    """The jobs of the ids set with their states, then the jobs that are only in the states hash."""
    stated = 0
    for piece in with_states(client, keys, map(Piece, scan.set_members(client, keys.ids))):
        stated += len(piece.ids) - piece.states.count(None)
        yield piece
    if scan.card(client, "HLEN", keys.states) > stated:
        for fields in scan.hash_fields(client, keys.states):
            names = list(fields)
            inside = scan.typed(keys.ids, client.smismember, keys.ids, names)
            outside = [i for i, is_in in enumerate(inside) if not is_in]
            yield Piece(names, list(fields.values())).only(outside)


def with_states(client: redis.Redis, keys: QueueKeys, pieces: Iterable[Piece]) -> Iterator[Piece]:
    """Yield the same pieces with the entries of the states hash."""

    def commands_for(piece: Piece) -> list[tuple[bytes, bytes]]:
        return [(keys.states, pack_for_names((b"HMGET", keys.states), piece.ids))]

    def receive(piece: Piece, connection: PipelinedConnection) -> None:
        piece.states = connection.receive()

    return _with_replies(client, pieces, commands_for, receive)


def with_records(
    client: redis.Redis, keys: QueueKeys, pieces: Iterable[Piece], *, results: bool = True
) -> Iterator[Piece]:
    """Yield the same jobs with their records and, if the states are known, with the `results` of jobs that
    are completed or have no state. The pieces depend on the size of the records."""
    pace = scan.Pace()
    prefix = keys.record("")

    def commands_for(piece: Piece) -> list[tuple[bytes, bytes]]:
        named = prefix if len(piece.ids) > 1 else prefix + piece.ids[0]
        commands = [(named, pack_for_names((b"MGET",), piece.ids, prefix))]
        piece.results = dict.fromkeys(
            i for i, state in enumerate(piece.states) if results and state in (b"completed", None)
        )
        if piece.results:
            names = [piece.ids[i] for i in piece.results]
            commands.append((keys.results, pack_for_names((b"HMGET", keys.results), names)))
        return commands

    def receive(piece: Piece, connection: PipelinedConnection) -> None:
        most = several() if len(piece.ids) > 1 else None
        piece.records = connection.receive(most=most)
        size = sum([len(record) for record in piece.records if record is not None])
        if piece.results:
            piece.results.update(zip(piece.results, connection.receive(most=most), strict=True))
            size += sum([len(result) for result in piece.results.values() if result is not None])
        pace.learn(len(piece.ids), size)

    return _with_replies(client, _cut(pieces, lambda: pace.count), commands_for, receive)


def _cut(pieces: Iterable[Piece], size: Callable[[], int]) -> Iterator[Piece]:
    for piece in pieces:
        start = 0
        while start < len(piece.ids):
            end = min(len(piece.ids), start + size())
            yield piece.only(range(start, end))
            start = end


def _with_replies(
    client: redis.Redis,
    pieces: Iterable[Piece],
    commands_for: Callable[[Piece], list[tuple[bytes, bytes]]],
    receive: Callable[[Piece, PipelinedConnection], None],
) -> Iterator[Piece]:
    before: Piece | None = None
    with PipelinedConnection(client) as connection:
        for piece in pieces:
            if not piece.ids:
                continue
            connection.send(*commands_for(piece))
            if before is not None:
                yield before
            before = None
            try:
                receive(piece, connection)
                before = piece
            except ReplyTooLarge:
                if len(piece.ids) == 1:
                    raise
                connection.abandon()
                for one in _cut([piece], lambda: 1):
                    connection.send(*commands_for(one))
                    receive(one, connection)
                    yield one
        if before is not None:
            yield before


def asked_ahead(
    client: redis.Redis, items: Iterable[T], commands_for: Callable[[T], list[tuple[bytes, bytes]]]
) -> Iterator[tuple[T, list[Any]]]:
    """Yield each item with the replies to its commands, which are arguments of `PipelinedConnection.send`. A
    reply may be a WrongType. Redis works on the commands of an item while the caller processes the one
    before."""
    before: tuple[T, list[Any]] | None = None
    with PipelinedConnection(client) as connection:
        for item in items:
            commands = commands_for(item)
            if commands:
                connection.send(*commands)
            if before is not None:
                yield before
            before = item, [connection.receive(keep=WrongType) for _ in commands]
        if before is not None:
            yield before


class SeenNames:
    """Remembers names by eight bytes of their hash: a set of a million names would take ten times the memory.
    Collisions are practically impossible, and Python salts its hashes in each process."""

    def __init__(self) -> None:
        self._size = 1024
        self._slots = array("Q", bytes(8 * self._size))
        self.count = 0
        """The number of names."""

    def new(self, names: Sequence[bytes]) -> list[int]:
        """The positions of the names that are new, which are then remembered. An empty name always counts as
        new."""
        return [i for i, name in enumerate(names) if not name or self._add(name)]

    def __contains__(self, name: bytes) -> bool:
        return self._slots[self._slot(_number(name))] != 0

    def _add(self, name: bytes) -> bool:
        number = _number(name)
        slot = self._slot(number)
        if self._slots[slot]:
            return False
        self._slots[slot] = number
        self.count += 1
        if 2 * self.count > self._size:
            self._grow()
        return True

    def _slot(self, number: int) -> int:
        slots, last = self._slots, self._size - 1
        slot = number & last
        while (held := slots[slot]) and held != number:
            slot = (slot + 1) & last
        return slot

    def _grow(self) -> None:
        before, self._size = self._slots, 2 * self._size
        self._slots = array("Q", bytes(8 * self._size))
        for number in before:
            if number:
                self._slots[self._slot(number)] = number


def _number(name: bytes) -> int:
    return hash(name) & 0xFFFFFFFFFFFFFFFF or 1


_AT_A_TIME = 100
_A_BUCKET = 10
_CURSORS = 2**32


def of_sorted_set(client: redis.Redis, keys: QueueKeys, place: str, size: int, count: int) -> Iterator[Piece]:
    """The members at `count` random ranks of a sorted set with `size` members, each at most once."""
    key: bytes = getattr(keys, place)
    ranks = random.sample(range(size), min(size, count))
    for some in chunked(ranks, _AT_A_TIME):
        replies = run_pipeline(client, [("ZRANGE", key, rank, rank, "WITHSCORES") for rank in some])
        # The set may have shrunk in the meantime.
        found = [reply for reply in replies if reply]
        members = [reply[0] for reply in found]
        if members:
            yield Piece(
                ids_of_members(place, members),
                members=members,
                scores=[float(reply[1]) for reply in found],
            )


def of_active(client: redis.Redis, keys: QueueKeys, count: int) -> Iterator[Piece]:
    """`count` random claims. All fields of the active hash are read, because it is small compared with the
    jobs."""
    claims = [item for fields in scan.hash_fields(client, keys.active) for item in fields.items()]
    for some in chunked(random.sample(claims, min(len(claims), count)), _AT_A_TIME):
        yield Piece([name for name, _ in some], claims={i: claim for i, (_, claim) in enumerate(some)})


def of_ids(client: redis.Redis, keys: QueueKeys, count: int) -> Iterator[Piece]:
    """About `count` random ids of the ids set. This works because SSCAN accepts any cursor, and the position
    of an id in the hash table does not depend on its job."""
    left = count
    while left > 0:
        cursor = random.randrange(_CURSORS)  # noqa: S311
        found = scan.typed(keys.ids, client.sscan, keys.ids, cursor=cursor, count=_A_BUCKET)[1]
        if found:
            yield Piece(list(islice(found, left)))
        left -= max(1, len(found))
