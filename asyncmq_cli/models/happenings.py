"""What happens in queues, as a person who watches them is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class QueueHappening:
    """What happened in a queue. `causes` are those of the newest of the failed jobs, the most frequent first.
    `waiting` is the number before and now, where it changed. `marks` are words such as `paused`."""

    queue: str
    completed: int = 0
    failed: int = 0
    expired: int = 0
    causes: Mapping[str, int] = field(default_factory=dict)
    waiting: tuple[int, int] | None = None
    marks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WorkerHappening:
    """A worker that is new (`started`), heard of again (`back`), or not heard of any more (`silent`)."""

    worker: str
    queue: str
    what: str


Happening = QueueHappening | WorkerHappening
