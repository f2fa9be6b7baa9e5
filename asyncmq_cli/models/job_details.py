"""A job with its parsed traceback."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from asyncmq_cli.models.jobs import Job


@dataclass(frozen=True, slots=True)
class Frame:
    """One call in a traceback. `source` is its line of code, or empty."""

    path: str
    line: int
    function: str
    source: str


@dataclass(frozen=True, slots=True)
class Raised:
    """One exception of a chain, and its frames, the innermost last.

    `led_to` is its relation to the next exception: `cause` (raise … from), or `context` (raised while this
    one was handled); None for the last.
    """

    text: str
    frames: Sequence[Frame]
    led_to: Literal["cause", "context"] | None = None


@dataclass(frozen=True, slots=True)
class JobError:
    """A parsed traceback. `chain` and `raised` start at the root cause. `frames` are those of all exceptions,
    in the same order, up to a bound."""

    type: str | None
    message: str | None
    root_cause: str | None
    chain: Sequence[str]
    frames: Sequence[Frame]
    traceback: str | None
    raised: Sequence[Raised] = ()


@dataclass(frozen=True, slots=True)
class JobDetail:
    """A job, its decoded result, and its error, or None."""

    job: Job
    result: Any
    error: JobError | None
