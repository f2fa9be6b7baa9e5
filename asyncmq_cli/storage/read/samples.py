"""Random samples of a queue's jobs, by commands that every reader may use."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

import redis

from asyncmq_cli.models.values import chunked
from asyncmq_cli.storage.client import scan
from asyncmq_cli.storage.client.pipeline import run_pipeline
from asyncmq_cli.storage.read import pieces
from asyncmq_cli.storage.read.pieces import Piece

if TYPE_CHECKING:
    from asyncmq_cli.storage.schema.keys import QueueKeys

_AT_A_TIME = 100
_A_BUCKET = 10
_CURSORS = 2**32


def of_sorted_set(client: redis.Redis, keys: QueueKeys, place: str, size: int, count: int) -> Iterator[Piece]:
    """Members at `count` random ranks of a sorted set of that size, each at most once."""
    key: bytes = getattr(keys, place)
    ranks = random.sample(range(size), min(size, count))
    for some in chunked(ranks, _AT_A_TIME):
        replies = run_pipeline(client, [("ZRANGE", key, rank, rank, "WITHSCORES") for rank in some])
        # The set may have shrunk meanwhile.
        found = [reply for reply in replies if reply]
        members = [reply[0] for reply in found]
        if members:
            yield Piece(
                pieces.ids_of_members(place, members),
                members=members,
                scores=[float(reply[1]) for reply in found],
            )


def of_active(client: redis.Redis, keys: QueueKeys, count: int) -> Iterator[Piece]:
    """Random claims: the hash is small beside the jobs, so its fields are all read."""
    claims = [item for fields in scan.hash_fields(client, keys.active) for item in fields.items()]
    for some in chunked(random.sample(claims, min(len(claims), count)), _AT_A_TIME):
        yield Piece([name for name, _ in some], claims={i: claim for i, (_, claim) in enumerate(some)})


def of_ids(client: redis.Redis, keys: QueueKeys, count: int) -> Iterator[Piece]:
    """About `count` ids of the ids set, by buckets of its hash table: SSCAN goes on from any cursor, and
    where an id lies does not depend on what job it is."""
    left = count
    while left > 0:
        cursor = random.randrange(_CURSORS)  # noqa: S311
        found = scan.typed(keys.ids, client.sscan, keys.ids, cursor=cursor, count=_A_BUCKET)[1]
        if found:
            yield Piece(list(islice(found, left)))
        left -= max(1, len(found))
