"""How large a queue's collections are: a few small commands for many queues in one round trip.

A size is not a count of jobs: a member of the waiting set need not be one that waits. But where a
collection is empty, every count of what is in it is 0, and nothing more has to be read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import redis
from redis.exceptions import ResponseError

from asyncmq_cli.storage import scan
from asyncmq_cli.storage.keys import QueueKeys

_QUEUES_AT_A_TIME = 100


@dataclass(frozen=True, slots=True)
class Vitals:
    """`due` counts the delayed jobs whose time has come, `active` the claims of workers, and
    `heartbeats` the entries among which workers may be. None where the key is of another type."""

    queue: str
    paused: bool
    waiting: int | None
    due: int | None
    active: int | None
    dlq: int | None
    repeatables: int | None
    heartbeats: int | None


@dataclass(frozen=True, slots=True)
class Backlog:
    """What is still to be done: members of the waiting set, delayed jobs that are due, and claims."""

    waiting: int
    due: int
    active: int


class VitalsReader:
    def __init__(self, client: redis.Redis) -> None:
        self._redis = client

    def of(self, queues: Iterable[str], now: float) -> Iterator[Vitals]:
        for piece in scan.chunked(queues, _QUEUES_AT_A_TIME):
            pipe: Any = self._redis.pipeline(transaction=False)
            for queue in piece:
                _ask(pipe, QueueKeys(queue), now)
            replies = iter(pipe.execute(raise_on_error=False))
            for queue in piece:
                yield _vitals(queue, [_size(next(replies)) for _ in range(8)])

    def due(self, queue: str, now: float) -> int:
        """How many delayed jobs are due. Raises WrongType."""
        key = QueueKeys(queue).delayed
        return int(scan.typed(key, self._redis.zcount, key, "-inf", now))

    def backlog(self, queue: str, now: float) -> Backlog:
        """The larger of two looks, one right after the other. Raises WrongType.

        A job goes from delayed to waiting to active; read in that order it is met wherever it is
        by then. One that goes back, for another try, meanwhile, is met by the second look.
        """
        keys = QueueKeys(queue)
        pipe: Any = self._redis.pipeline(transaction=False)
        for _ in range(2):
            pipe.zcount(keys.delayed, "-inf", now)
            pipe.zcard(keys.waiting)
            pipe.hlen(keys.active)
        asked = (keys.delayed, keys.waiting, keys.active) * 2
        replies = pipe.execute(raise_on_error=False)
        for key, reply in zip(asked, replies, strict=True):
            if _size(reply) is None:
                raise scan.WrongType(key)
        due, waiting, active = (max(pair) for pair in zip(replies[:3], replies[3:], strict=True))
        return Backlog(waiting=waiting, due=due, active=active)


def _ask(pipe: Any, keys: QueueKeys, now: float) -> None:
    pipe.exists(keys.paused)
    pipe.zcard(keys.waiting)
    pipe.zcount(keys.delayed, "-inf", now)
    pipe.hlen(keys.active)
    pipe.zcard(keys.dlq)
    pipe.zcard(keys.repeatables)
    pipe.hlen(keys.worker_heartbeats)
    pipe.hlen(keys.heartbeats)


def _vitals(queue: str, sizes: list[int | None]) -> Vitals:
    paused, waiting, due, active, dlq, repeatables, workers, heartbeats = sizes
    return Vitals(
        queue=queue,
        paused=bool(paused),
        waiting=waiting,
        due=due,
        active=active,
        dlq=dlq,
        repeatables=repeatables,
        heartbeats=None if workers is None or heartbeats is None else workers + heartbeats,
    )


def _size(reply: Any) -> int | None:
    if isinstance(reply, ResponseError) and "WRONGTYPE" in str(reply):
        return None
    if isinstance(reply, Exception):
        raise reply
    return int(reply)
