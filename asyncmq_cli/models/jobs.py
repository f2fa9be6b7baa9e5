"""A job."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from asyncmq_cli.models.values import as_number

_OUTSIDE = ("status", "result", "active_since")
"""What lives outside of the record."""


class SplitPart(Protocol):
    """A part of a job that is read when it is asked for."""

    def read(self, most: int | None = None) -> tuple[Mapping[str, Any], str | None, int]:
        """Its fields, what is wrong with them, and about how many bytes of memory they take."""


@dataclass(frozen=True, slots=True)
class Job:
    """One job as AsyncMQ would hydrate it.

    `record` is the decoded record with the state, result and claim that live outside it;
    None where it is missing or cannot be read, and then `problem` says why.
    `due_at` is the score of the delayed set or of the repeatables, `dead_at` that of the
    dead-letter queue.
    """

    queue: str
    id: str
    status: str
    record: Mapping[str, Any] | None
    problem: str | None = None
    due_at: float | None = None
    dead_at: float | None = None
    split: SplitPart | None = field(default=None, compare=False, repr=False)
    """Where its arguments are, if these may lie beside the record: most looks at a job need none of them."""

    def whole(self, most: int | None = None) -> Job:
        """The same with its arguments. Those of more than `most` bytes of memory, or beyond the bound of a
        job, are replaced by a word that says so, and `problem` says it too."""
        return self._with_arguments(most)[0]

    def _with_arguments(self, most: int | None) -> tuple[Job, int]:
        if self.split is None or self.record is None:
            return self, 0
        fields, problem, size = self.split.read(most)
        outside = {name: self.record[name] for name in _OUTSIDE if name in self.record}
        record = {**self.record, **fields, **outside}
        return replace(self, record=record, problem=problem or self.problem, split=None), size

    @property
    def task_id(self) -> str | None:
        """The name of its task, None where it has none."""
        # The order in which AsyncMQ's inspection looks for the name.
        for key in ("task_id", "task", "name"):
            if value := self.get(key):
                return str(value)
        return None

    @property
    def sort_time(self) -> float:
        """`run_at`, else `created_at`, else `timestamp`; 0.0 where none is a number.

        Source: `extract_job_timestamp` in asyncmq.core.inspection.
        """
        value = self.run_at or self.get("created_at") or self.get("timestamp") or 0
        return as_number(value) or 0.0

    @property
    def moment(self) -> float:
        """When it died where that is known, else `sort_time`: by which its age is told."""
        return self.dead_at if self.dead_at is not None else self.sort_time

    @property
    def run_at(self) -> Any:
        """As stored; a repeatable's is its next run, which is stored beside its definition."""
        return self.due_at if self.status == "repeatable" else self.get("run_at")

    @property
    def created_at(self) -> float | None:
        """Epoch seconds, None where it is no number."""
        return as_number(self.get("created_at"))

    @property
    def delay_until(self) -> float | None:
        """Epoch seconds: as its record says, else, of a delayed job, when it is due."""
        stored = as_number(self.get("delay_until"))
        return self.due_at if stored is None and self.status == "delayed" else stored

    def get(self, key: str) -> Any:
        """A value of the record; None where it is not there."""
        return None if self.record is None else self.record.get(key)


def whole_page(jobs: Iterable[Job], most: int) -> list[Job]:
    """The jobs with their arguments, of at most so many bytes of memory in all."""
    found: list[Job] = []
    for job in jobs:
        one, size = job._with_arguments(most)
        most -= size
        found.append(one)
    return found
