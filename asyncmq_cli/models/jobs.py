"""A job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from asyncmq_cli.models.values import as_number


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
