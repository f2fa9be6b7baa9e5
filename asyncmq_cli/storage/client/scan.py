"""Read collections, and the values of many keys, in chunks of bounded size.

Every command here is a bounded amount of work for Redis, however large the collection is, and only one chunk
is in memory at a time. All functions raise WrongType.
"""

from __future__ import annotations

import math
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import redis
from redis.exceptions import ResponseError

from asyncmq_cli.errors import WrongType
from asyncmq_cli.storage.client.connection import PipelinedConnection, pack, pack_scan
from asyncmq_cli.storage.client.replies import ReplyTooLarge, at_most, several

CHUNK = 1000
"""The number of elements requested at a time. A SCAN of this size takes Redis well under a millisecond."""
PIECE_BYTES = 512 * 1024
"""The approximate size of a reply, in bytes."""
_SHORT = 0.004
"""Seconds. If a scan with MATCH took less, the next one is larger."""
_MOST_MATCHED = 4000


def fitting(size: float, piece_bytes: int) -> int:
    """How many elements of `size` bytes make a reply of about `piece_bytes` bytes."""
    return max(1, min(CHUNK, int(piece_bytes / max(1, size))))


class Pace:
    """Computes the number of elements to request next (`count`), so that replies have about `piece_bytes`
    bytes.

    Records have between a hundred bytes and some megabytes. The size of the next reply is estimated from the
    last one.
    """

    def __init__(self, start: int = 16, piece_bytes: int = PIECE_BYTES) -> None:
        self.count = start
        self._piece_bytes = piece_bytes

    def learn(self, elements: int, size: int) -> None:
        """Adapt `count` to a reply that had `elements` elements and `size` bytes in all."""
        if not elements or not size:
            return
        # Grow slowly: after many small records, a large one may follow.
        self.count = min(fitting(size / elements, self._piece_bytes), self.count * 2)

    @property
    def most(self) -> int | None:
        """The limit in bytes for the next reply; None if it is for a single element, which may have any
        size."""
        return several() if self.count > 1 else None

    @contextmanager
    def smaller(self) -> Iterator[None]:
        """A context for one request. If the reply is too large, `count` becomes 1, for a repetition of the
        request. Raises ReplyTooLarge if `count` was 1 already."""
        try:
            with at_most(self.most):
                yield
        except ReplyTooLarge:
            if self.count == 1:
                raise
            self.count = 1


def set_members(client: redis.Redis, key: bytes, match: bytes | None = None) -> Iterator[list[bytes]]:
    """The members of a set that match, read by SSCAN. A member may be yielded twice."""
    if match is None:
        yield from _steps(client, b"SSCAN", key, Pace(CHUNK), 1)
        return
    cursor: int | None = None
    while cursor != 0:
        cursor, found = typed(key, client.sscan, key, cursor=cursor or 0, match=match, count=CHUNK)
        if found:
            yield list(found)


def hash_fields(client: redis.Redis, key: bytes) -> Iterator[dict[bytes, bytes]]:
    """The fields of a hash with their values, read by HSCAN. A field may be yielded twice."""
    try:
        for found in _steps(client, b"HSCAN", key, Pace(), 2):
            yield dict(zip(found[::2], found[1::2], strict=True))
    except ReplyTooLarge:
        yield from _field_by_field(client, key)


def _steps(
    client: redis.Redis, command: bytes, key: bytes, pace: Pace, width: int, most: int | None = None
) -> Iterator[list[bytes]]:
    """The replies of a scan, in which each element has `width` parts. Redis works on the next step while the
    caller processes this one. Raises ReplyTooLarge if a step of COUNT 1 is too large."""
    cursor = b""
    with PipelinedConnection(client) as connection:
        connection.send(pack_scan(command, key, b"0", pace.count))
        while cursor != b"0":
            try:
                cursor, found = connection.receive(most=most or pace.most)
            except ReplyTooLarge:
                if pace.count == 1:
                    raise
                pace.count = 1
                connection.abandon()
                connection.send(pack_scan(command, key, cursor or b"0", 1))
                continue
            pace.learn(len(found) // width, sum(map(len, found)))
            if cursor != b"0":
                connection.send(pack_scan(command, key, cursor, pace.count))
            if found:
                yield found


def _field_by_field(client: redis.Redis, key: bytes) -> Iterator[dict[bytes, bytes]]:
    """Read a hash whose values are so large that one step of HSCAN (with Valkey, several fields) exceeds the
    limit. Raises ReplyTooLarge if the server cannot scan without values; on such a server, a step is one
    field anyway."""
    cursor: int | None = None
    while cursor != 0:
        try:
            cursor, fields = typed(key, client.hscan, key, cursor=cursor or 0, count=CHUNK, no_values=True)
        except ResponseError as exc:
            raise ReplyTooLarge from exc
        for field in fields:
            (value,) = hash_get(client, key, [field])
            if value is not None:
                yield {field: value}


def zset_members(
    client: redis.Redis, key: bytes, match: bytes | None = None
) -> Iterator[list[tuple[bytes, float]]]:
    """The members of a sorted set that match, with their scores, read by ZSCAN. A member that exists during
    the whole scan is yielded at least once. Sets with very large members are read by `by_score`."""
    steps = (
        _steps(client, b"ZSCAN", key, Pace(), 2, several())
        if match is None
        else _matching(client, key, match)
    )
    seen = array("d")
    try:
        for found in steps:
            scores = list(map(float, found[1::2]))
            seen.extend(scores)
            yield list(zip(found[::2], scores, strict=True))
    except ReplyTooLarge:
        yield from _others(client, key, Counter(seen))


def _others(
    client: redis.Redis, key: bytes, seen: Mapping[float, int]
) -> Iterator[list[tuple[bytes, float]]]:
    """The members by score, without the members of a score of which all were already seen."""
    for piece in by_score(client, key):
        known = {
            score
            for score in {score for _, score in piece if score in seen}
            if int(typed(key, client.zcount, key, score, score)) <= seen[score]
        }
        others = [pair for pair in piece if pair[1] not in known]
        if others:
            yield others


def _matching(client: redis.Redis, key: bytes, match: bytes) -> Iterator[list[bytes]]:
    """Read the members that match. The others are not returned, so the time that a step takes is the only
    measure of their size."""
    cursor, count = b"", 16
    with PipelinedConnection(client) as connection:
        while cursor != b"0":
            asked = time.monotonic()
            connection.send((key, pack(b"ZSCAN", key, cursor or b"0", b"MATCH", match, b"COUNT", count)))
            cursor, found = connection.receive(most=several())
            count = min(count * 2, _MOST_MATCHED) if time.monotonic() - asked < _SHORT else max(count // 2, 1)
            if found:
                yield found


def by_score(client: redis.Redis, key: bytes) -> Iterator[list[tuple[bytes, float]]]:
    """All members of a sorted set in order, for sets whose members are so large that one step of ZSCAN (with
    Valkey, several members) exceeds the limit. A member that exists during the whole read is yielded at least
    once, unless a member with the same score is added while an earlier member is removed."""
    pace = Pace(start=1)
    start, seen, of_score = -math.inf, 0, 0
    while True:
        if seen:
            # Members of this score that were already seen may be gone by now.
            left = int(typed(key, client.zcount, key, start, start))
            seen, of_score = max(0, seen - max(0, of_score - left)), left
        found: list[tuple[bytes, float]] | None = None
        with pace.smaller():
            found = typed(
                key, client.zrangebyscore, key, start, "+inf", start=seen, num=pace.count, withscores=True
            )
        if found is None:
            continue
        if not found:
            return
        pace.learn(len(found), sum(len(member) for member, _ in found))
        last = found[-1][1]
        same = sum(score == last for _, score in found)
        if last == start and of_score:
            seen += same
        else:
            start, seen = last, same
            of_score = int(typed(key, client.zcount, key, last, last))
        yield found


StreamEntry = tuple[bytes, dict[bytes, bytes]]
"""The id of an entry, and its fields."""


def stream_entries(client: redis.Redis, key: bytes, end: bytes = b"+") -> Iterator[StreamEntry]:
    """The entries of a stream with ids up to `end`, newest first. The first chunks are small, for callers
    that need only a few entries."""
    pace = Pace()
    while True:
        entries = typed(key, client.xrevrange, key, max=end, min="-", count=pace.count)
        yield from entries
        if len(entries) < pace.count:
            return
        end = b"(" + entries[-1][0]
        pace.learn(len(entries), sum(len(value) for _, fields in entries for value in fields.values()))


def stream_entries_after(client: redis.Redis, key: bytes, after: bytes = b"") -> Iterator[StreamEntry]:
    """The entries of a stream with ids above `after`, or all if it is b"", oldest first."""
    pace = Pace()
    start = b"(" + after if after else b"-"
    while True:
        entries = typed(key, client.xrange, key, min=start, max="+", count=pace.count)
        yield from entries
        if len(entries) < pace.count:
            return
        start = b"(" + entries[-1][0]
        pace.learn(len(entries), sum(len(value) for _, fields in entries for value in fields.values()))


Values = list["bytes | None"]


def strings(client: redis.Redis, keys: Sequence[bytes], pace: Pace) -> Iterator[Values]:
    """The same as `get_many`, but in chunks, in the order of the keys."""
    return _paced(lambda start, end: typed(keys[0], client.mget, keys[start:end]), len(keys), pace)


def get_many(client: redis.Redis, keys: Sequence[bytes], pace: Pace) -> Values:
    """The values of these keys; None if the key does not exist or is not a string."""
    return [value for piece in strings(client, keys, pace) for value in piece]


def _paced(read: Callable[[int, int], Values], size: int, pace: Pace) -> Iterator[Values]:
    """The values at all positions up to `size`, in replies of bounded size."""
    done = 0
    while done < size:
        piece: Values = []
        with pace.smaller():
            piece = read(done, done + pace.count)
        pace.learn(len(piece), sum(len(value) for value in piece if value is not None))
        done += len(piece)
        if piece:
            yield piece


def hash_get(client: redis.Redis, key: bytes, fields: Iterable[bytes]) -> list[bytes | None]:
    """The values of these fields of a hash, in one reply; None for a missing field."""
    wanted = list(fields)
    if not wanted:
        return []
    found: list[bytes | None] = typed(key, client.hmget, key, wanted)
    return found


def hash_get_many(client: redis.Redis, key: bytes, fields: Sequence[bytes], pace: Pace) -> Values:
    """The same as `hash_get`, but in replies of bounded size."""
    pieces = _paced(lambda start, end: hash_get(client, key, fields[start:end]), len(fields), pace)
    return [value for piece in pieces for value in piece]


def card(client: redis.Redis, command: str, key: bytes) -> int:
    """The size of a collection, by ZCARD, SCARD or HLEN."""
    return int(typed(key, client.execute_command, command, key))


def typed(key: bytes, call: Any, *args: Any, **kwargs: Any) -> Any:
    """Call `call`. An error about the type of `key` is raised as WrongType."""
    try:
        return call(*args, **kwargs)
    except ResponseError as exc:
        if "WRONGTYPE" in str(exc):
            raise WrongType(key) from exc
        raise
