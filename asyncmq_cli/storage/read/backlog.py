"""What is still to be done in a queue, and whether it is still the same queue: what `wait` reads."""

from __future__ import annotations

from dataclasses import dataclass

import redis

from asyncmq_cli.storage.client.pipeline import run_pipeline
from asyncmq_cli.storage.schema.keys import QueueKeys

_LONGEST_COUNT = 20


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


def read_backlog(client: redis.Redis, queue: str, now: float) -> Backlog:
    """The larger of two readings, one right after the other. Raises WrongType.

    A job goes from delayed to waiting to active; read in that order it is met wherever it is by then. One
    that goes back, for another try, meanwhile, is met by the second reading.
    """
    keys = QueueKeys(queue)
    places = [("ZCOUNT", keys.delayed, "-inf", now), ("ZCARD", keys.waiting), ("HLEN", keys.active)]
    sizes = run_pipeline(client, [*places, *places])
    due, waiting, active = map(max, zip(sizes[:3], sizes[3:], strict=True))
    return Backlog(waiting=waiting, due=due, active=active)


def read_traces(client: redis.Redis, queue: str) -> Traces:
    """What there is of the queue now. Raises WrongType."""
    keys = QueueKeys(queue)
    commands = [("MGET", keys.waiting_seq), ("EXISTS", keys.waiting_seq, keys.ids, keys.states)]
    (sequence,), kept = run_pipeline(client, commands)
    is_count = sequence is not None and sequence.isdigit() and len(sequence) < _LONGEST_COUNT
    return Traces(int(sequence) if is_count else None, kept > 0)
