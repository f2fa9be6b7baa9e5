"""A queue, and what it holds beside its jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

STATE_FIELDS = frozenset({"failed", "completed", "expired", "cancelled", "waiting_children", "problem"})
"""Fields of QueueStats that need a pass over the states hash: `failed` and `expired` share a sorted set."""
SIZE_FIELDS = frozenset({"paused", "waiting", "active", "delayed", "due", "dlq", "repeatables"})
"""Fields that are sizes of collections."""
ALL_FIELDS = SIZE_FIELDS | STATE_FIELDS | {"workers", "oldest_waiting_seconds"}


@dataclass(frozen=True, slots=True)
class QueueScope:
    """The queues that a command is about: the one that was named, else `names`, which were found, in their
    order. `globs` are the patterns that narrowed them."""

    queue: str | None
    names: Sequence[str]
    globs: Sequence[str] = ()

    @classmethod
    def of(cls, queue: str) -> QueueScope:
        return cls(queue, (queue,))

    @property
    def where(self) -> str:
        """The queues that were searched, in words for a message."""
        if self.queue is not None:
            return f"in queue {self.queue!r}"
        return f"in a queue like {' or '.join(map(repr, self.globs))}" if self.globs else "in any queue"


@dataclass(frozen=True, slots=True)
class QueueStats:
    """A row of `queues list`. Each count equals the total of `jobs list` for that state.

    A count is None if its key cannot be read, or if it was not requested. `oldest_waiting_seconds` is the age
    by `created_at` of the oldest among the first jobs of each priority; None if no job waits. `problem` says
    where the states hash contradicts the sizes. `states_age_seconds` is how long ago the STATE_FIELDS were
    read. `empty`: the queue has no job, definition or worker, and is not paused; it is listed only because
    the counter of its waiting set remains. `due` counts the delayed jobs whose time has come.
    `pause_seconds_left` is the time until a temporary pause ends, else None. `finding` is
    what was found besides, if anybody looked: active jobs without a worker, or repeatables that are late.
    """

    name: str
    paused: bool = False
    waiting: int | None = None
    active: int | None = None
    delayed: int | None = None
    failed: int | None = None
    completed: int | None = None
    expired: int | None = None
    cancelled: int | None = None
    waiting_children: int | None = None
    dlq: int | None = None
    repeatables: int | None = None
    workers: int | None = None
    oldest_waiting_seconds: float | None = None
    problem: str | None = None
    states_age_seconds: float | None = None
    empty: bool = False
    due: int | None = None
    pause_seconds_left: float | None = None
    finding: Literal["stuck", "overdue"] | None = None

    @property
    def state(self) -> str:
        """In a word: `empty`, `paused`, `no worker` (and jobs to run), `stuck`, `overdue`, or `running`."""
        if self.empty or self.paused:
            return "empty" if self.empty else "paused"
        return "no worker" if self.is_unattended else self.finding or "running"

    @property
    def is_unattended(self) -> bool:
        """Whether there is work and no live worker: jobs that wait, or are delayed and due, or were claimed.
        False where that is not known."""
        return self.workers == 0 and bool(self.waiting or self.due or self.active)


OWN = ("repeatables", "cancelled", "results", "heartbeats", "paused", "sequence")
"""The parts that a queue may have without a job, by their names in the scripts' table of types."""
PLURALS = {
    "repeatables": ("definition", "definitions"),
    "cancelled": ("cancel mark", "cancel marks"),
    "results": ("stray result", "stray results"),
    "heartbeats": ("stray heartbeat", "stray heartbeats"),
    "paused": ("pause mark", "pause marks"),
    "sequence": ("counter", "counters"),
    "delayed": ("delayed member without an id", "delayed members without an id"),
    "dlq": ("dead letter without an id", "dead letters without an id"),
}
"""What people call one and several elements of each part."""


@dataclass(frozen=True, slots=True)
class QueuePart:
    """Some elements of one of the queue's collections: each with its score in a sorted set, its value in a
    hash, and b"" in a set. A string is one element; its value is the time at which it expires, in epoch
    milliseconds, or b"" if never."""

    queue: bytes
    name: str
    elements: tuple[tuple[bytes, bytes], ...]

    def has_ended(self, now: float) -> bool:
        """Whether it is a string that would have expired by `now`, in epoch seconds."""
        ends = [element for element, _ in self.elements if self.name == "paused" and element]
        return any(not end.isdigit() or int(end) <= now * 1000 for end in ends)


def names_of(counts: Mapping[str, int]) -> str | None:
    """`2 definitions, 1 pause mark`; None where there is nothing."""
    found = [
        f"{counts[name]:,} {words[counts[name] > 1]}" for name, words in PLURALS.items() if counts.get(name)
    ]
    return ", ".join(found) or None
