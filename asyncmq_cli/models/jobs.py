"""A job, as every layer sees it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from asyncmq_cli.models.values import as_number

NOT_SHOWN = "[not shown: too large]"
_OUTSIDE = ("status", "result", "active_since")
"""Members that are stored outside the record."""

_SMALL = 1000
"""Characters. Of a job that is too large for its page, longer texts and all collections are left out."""


class SplitPart(Protocol):
    """The payload part of a job, read on use."""

    def read(self, most: int | None = None) -> tuple[Mapping[str, Any], str | None, int]:
        """Its fields, the problem with them or None, and their approximate size in memory in bytes."""


@dataclass(frozen=True, slots=True)
class Job:
    """One job, as AsyncMQ would load it.

    `record` is the decoded record with the state, result and claim that are stored outside it. If it is
    missing or cannot be read, it is None and `problem` says why. `due_at` is the score in the delayed set
    or the repeatables, `dead_at` that in the dead-letter queue.
    """

    queue: str
    id: str
    status: str
    record: Mapping[str, Any] | None
    problem: str | None = None
    due_at: float | None = None
    dead_at: float | None = None
    split: SplitPart | None = field(default=None, compare=False, repr=False)
    """Its payload part, if it may have one. Most commands do not need the arguments."""
    text: bytes | None = field(default=None, compare=False, repr=False)
    """The record as JSON that every strict reader takes, mostly as stored; None if it is not at hand."""
    size: int = field(default=0, compare=False, repr=False)
    """About how many bytes of memory the record takes."""

    def whole(self, most: int | None = None) -> Job:
        """The same job with its arguments. If they take more than `most` bytes in memory, or exceed the limit
        for one job, a placeholder replaces them and `problem` says so."""
        return self._with_arguments(most)[0]

    def _with_arguments(self, most: int | None) -> tuple[Job, int]:
        if self.split is None or self.record is None:
            return self, 0
        fields, problem, size = self.split.read(most)
        outside = {name: self.record[name] for name in _OUTSIDE if name in self.record}
        record = {**self.record, **fields, **outside}
        return replace(self, record=record, problem=problem or self.problem, split=None, text=None), size

    def _without_large_values(self) -> Job:
        values = (self.record or {}).items()
        record = {name: value if _is_small(value) else NOT_SHOWN for name, value in values}
        why = "the job is not shown whole: with those before it, it is too large for one page"
        return replace(self, record=record, problem=self.problem or why, size=0, text=None)

    @property
    def task_id(self) -> str | None:
        """The name of its task, or None."""
        # In the order of AsyncMQ's inspection.
        for key in ("task_id", "task", "name"):
            if value := self.get(key):
                return str(value)
        return None

    @property
    def sort_time(self) -> float:
        """`run_at`, else `created_at`, else `timestamp`; 0.0 if none is a number.

        Source: `extract_job_timestamp` in asyncmq.core.inspection.
        """
        value = self.run_at or self.get("created_at") or self.get("timestamp") or 0
        return as_number(value) or 0.0

    @property
    def moment(self) -> float:
        """The time from which its age is counted: its death, if known, else `sort_time`."""
        return self.dead_at if self.dead_at is not None else self.sort_time

    @property
    def run_at(self) -> Any:
        """`run_at` as stored; for a repeatable, the score of its definition."""
        return self.due_at if self.status == "repeatable" else self.get("run_at")

    @property
    def created_at(self) -> float | None:
        """Epoch seconds; None if it is not a number."""
        return as_number(self.get("created_at"))

    @property
    def delay_until(self) -> float | None:
        """Epoch seconds, by its record; for a delayed job without one, its score."""
        stored = as_number(self.get("delay_until"))
        return self.due_at if stored is None and self.status == "delayed" else stored

    def get(self, key: str) -> Any:
        """A value of the record, or None."""
        return None if self.record is None else self.record.get(key)


def _is_small(value: Any) -> bool:
    return len(value) <= _SMALL if isinstance(value, str) else not value or not isinstance(value, dict | list)


def page_within(jobs: Iterable[Job], most: int) -> list[Job]:
    """The jobs. Once they take more than so many bytes of memory, a placeholder replaces the large values of
    each further one that does not fit, and its `problem` says so."""
    found: list[Job] = []
    for job in jobs:
        one = job if job.size <= most else job._without_large_values()
        most -= one.size
        found.append(one)
    return found


def whole_page(jobs: Sequence[Job], most: int) -> list[Job]:
    """The jobs with their arguments. In all they take at most so many bytes of memory."""
    found: list[Job] = []
    most -= sum(job.size for job in jobs)
    for job in jobs:
        one, size = job._with_arguments(most)
        most -= size
        found.append(one)
    return found
