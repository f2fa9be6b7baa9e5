"""A job with what its traceback says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncmq_cli.models.jobs import Job


@dataclass(frozen=True, slots=True)
class Frame:
    path: str
    line: int
    function: str
    source: str


@dataclass(frozen=True, slots=True)
class JobError:
    """What a stored traceback says. `chain` starts at the root cause."""

    type: str | None
    message: str | None
    root_cause: str | None
    chain: Sequence[str]
    frames: Sequence[Frame]
    traceback: str | None


@dataclass(frozen=True, slots=True)
class JobDetail:
    job: Job
    result: Any
    error: JobError | None
