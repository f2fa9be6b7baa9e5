"""How large a queue's collections are: a few small commands for many queues in one round trip.

A size is not a count of jobs: a member of the waiting set need not be one that waits. But where a
collection is empty, every count of what is in it is 0, and nothing more has to be read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import redis

from asyncmq_cli.storage import scan
from asyncmq_cli.storage.keys import QueueKeys
from asyncmq_cli.storage.questions import Question, answer, ask

_QUEUES_AT_A_TIME = 100
_LONGEST_COUNT = 20


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


@dataclass(frozen=True, slots=True)
class Traces:
    """What stays of a queue when it is empty: the counter behind its waiting jobs, which only grows, and
    whether there is that or any job, ended ones too."""

    sequence: int | None
    any: bool

    def are_lost_in(self, later: Traces) -> bool:
        """Whether the queue cannot be the same any more: its data has gone, or begun anew."""
        if self.sequence is not None and (later.sequence is None or later.sequence < self.sequence):
            return True
        return self.any and not later.any


class VitalsReader:
    """Reads sizes, a hundred queues a round trip."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client

    def of(self, queues: Iterable[str], now: float) -> Iterator[Vitals]:
        """The sizes of each of these queues; `now` is the server's time, epoch seconds."""
        for piece in scan.chunked(queues, _QUEUES_AT_A_TIME):
            asked = [_sizes_of(QueueKeys(queue), now) for queue in piece]
            replies = iter(ask(self._redis, [question for questions in asked for question in questions]))
            for queue, questions in zip(piece, asked, strict=True):
                yield _vitals(queue, [_size(next(replies)) for _ in questions])

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
        look = [("ZCOUNT", keys.delayed, "-inf", now), ("ZCARD", keys.waiting), ("HLEN", keys.active)]
        sizes = [int(answer(reply)) for reply in ask(self._redis, [*look, *look])]
        due, waiting, active = map(max, zip(sizes[:3], sizes[3:], strict=True))
        return Backlog(waiting=waiting, due=due, active=active)

    def traces(self, queue: str) -> Traces:
        keys = QueueKeys(queue)
        asked = [("MGET", keys.waiting_seq), ("EXISTS", keys.waiting_seq, keys.ids, keys.states)]
        (sequence,), kept = (answer(reply) for reply in ask(self._redis, asked))
        is_count = sequence is not None and sequence.isdigit() and len(sequence) < _LONGEST_COUNT
        return Traces(int(sequence) if is_count else None, kept > 0)


def _sizes_of(keys: QueueKeys, now: float) -> list[Question]:
    return [
        ("EXISTS", keys.paused),
        ("ZCARD", keys.waiting),
        ("ZCOUNT", keys.delayed, "-inf", now),
        ("HLEN", keys.active),
        ("ZCARD", keys.dlq),
        ("ZCARD", keys.repeatables),
        ("HLEN", keys.worker_heartbeats),
        ("HLEN", keys.heartbeats),
    ]


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
    return None if isinstance(reply, scan.WrongType) else int(reply)
