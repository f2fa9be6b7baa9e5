"""A queue, its counts, and what it holds besides jobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

STATE_FIELDS = frozenset({"failed", "completed", "expired", "cancelled", "waiting_children", "problem"})
"""Fields of QueueStats that need a pass over the states hash. `failed` and `expired` are among them because
both are in the dead-letter queue."""
SIZE_FIELDS = frozenset({"paused", "waiting", "active", "delayed", "due", "dlq", "repeatables"})
"""Fields of QueueStats that are sizes of collections, which Redis returns without reading them."""
ALL_FIELDS = SIZE_FIELDS | STATE_FIELDS | {"workers", "oldest_waiting_seconds"}


class QueueStats(Struct, frozen=True):
    """A row of `queues list`. Each count equals the total of `jobs list` for that state.

    A count is None if its key cannot be read, or if it was not requested. `oldest_waiting_seconds` is the
    age, by `created_at`, of the oldest among the first jobs of each priority; None if no job waits. `problem`
    says where the states hash contradicts the sizes. `states_age_seconds` is how long ago the STATE_FIELDS
    were read. An `empty` queue has no job, definition or worker and is not paused; it is listed only because
    the counter of its waiting set remains. `due` counts the delayed jobs that are due. `pause_seconds_left`
    is the time until a temporary pause ends; None for any other. `finding` is `stuck` if active jobs are
    without a worker, `overdue` if repeatables are late, and None if neither holds or this was not checked.
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
        """One of `empty`, `paused`, `no worker` (but jobs to run), `stuck`, `overdue` and `running`."""
        if self.empty or self.paused:
            return "empty" if self.empty else "paused"
        return "no worker" if self.is_unattended else self.finding or "running"

    @property
    def is_unattended(self) -> bool:
        """Whether the queue has work (waiting, delayed and due, or active jobs) but no live worker. False if
        that is unknown."""
        return self.workers == 0 and bool(self.waiting or self.due or self.active)


JOBLESS_PARTS = ("repeatables", "cancelled", "results", "heartbeats", "paused", "sequence")
"""The parts of a queue that can exist without a job, by their names in the table of types of the Lua
scripts."""
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
"""By part: what messages call one element, and several."""


class QueuePart(Struct, frozen=True):
    """Some elements of one of the queue's collections, as pairs of an element and its score (sorted set), its
    value (hash) or b"" (set). A string is a single element, paired with the time at which it expires, in
    epoch milliseconds, or b"" if it does not expire."""

    queue: bytes
    name: str
    elements: tuple[tuple[bytes, bytes], ...]

    def has_ended(self, now: float) -> bool:
        """Whether it is a pause that has expired by `now`, in epoch seconds."""
        ends = [element for element, _ in self.elements if self.name == "paused" and element]
        return any(not end.isdigit() or int(end) <= now * 1000 for end in ends)


def names_of(counts: Mapping[str, int]) -> str | None:
    """The counts as text, such as `2 definitions, 1 pause mark`; None if all are 0."""
    found = [
        f"{counts[name]:,} {words[counts[name] > 1]}" for name, words in PLURALS.items() if counts.get(name)
    ]
    return ", ".join(found) or None
