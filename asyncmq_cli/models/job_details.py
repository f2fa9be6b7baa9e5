"""A job with what its traceback says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from asyncmq_cli.models.jobs import Job


@dataclass(frozen=True, slots=True)
class Frame:
    """One call of a traceback; `source` is its line of code, empty where it was not printed."""

    path: str
    line: int
    function: str
    source: str


@dataclass(frozen=True, slots=True)
class Raised:
    """One exception of a chain: what was raised, and the calls that led there, the last called last.

    `led_to` says how it stands to the one that was raised after it: as its cause, or as what was
    being handled; None for the one that nothing followed.
    """

    text: str
    frames: Sequence[Frame]
    led_to: Literal["cause", "context"] | None = None


@dataclass(frozen=True, slots=True)
class JobError:
    """What a stored traceback says. `chain` and `raised` start at the root cause, and `frames` are
    those of all of them in that order, a bounded number."""

    type: str | None
    message: str | None
    root_cause: str | None
    chain: Sequence[str]
    frames: Sequence[Frame]
    traceback: str | None
    raised: Sequence[Raised] = ()


@dataclass(frozen=True, slots=True)
class JobDetail:
    """`result` is decoded JSON; `error` is None where the job holds none."""

    job: Job
    result: Any
    error: JobError | None
