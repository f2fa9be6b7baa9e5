"""Values that several layers use: states, colours, counts in words, numbers in job data, and batches."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

T = TypeVar("T")

COLOR_CHOICES = ("auto", "always", "never")
CONTEXT_COLORS = ("red", "yellow", "green", "cyan", "blue", "magenta")
"""The colours in which the name of a context can be shown."""

WAITING_CHILDREN = "waiting-children"
JOB_STATES = (
    "waiting",
    "active",
    "completed",
    "failed",
    "delayed",
    "expired",
    "cancelled",
    WAITING_CHILDREN,
)
OPEN_STATES = ("waiting", "active", "delayed", WAITING_CHILDREN)
"""States of jobs that have not ended."""
ENDED_STATES = ("completed", "failed", "expired", "cancelled")
DEAD_STATES = ("failed", "expired")
"""States of jobs in the dead-letter queue."""
_MOST_BYTES = 8 * 1024 * 1024
END_OF_CALENDAR = 253_402_300_800.0
"""The end of the year 9999, the last year of datetime, in epoch seconds."""
LISTED_STATES = (*JOB_STATES, "repeatable", "all")


def page_count(total: int, size: int) -> int:
    """The number of pages: at least 1, as on the dashboard."""
    return max(1, math.ceil(total / size))


def as_number(value: Any) -> float | None:
    """`value` as a finite float, or None if it is not one: job data may hold any value."""
    if value is None or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def counted(count: int | None, noun: str) -> str:
    """`1 job`, `1,204 jobs`; None is `an unknown number of jobs`."""
    if count is None:
        return f"an unknown number of {noun}s"
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def few(texts: Sequence[str], most: int = 5, between: str = ", ") -> str:
    """The first of these texts, and how many more there are."""
    more = len(texts) - most
    return between.join(texts[:most]) + (f" and {more:,} more" if more > 0 else "")


def chunked(items: Iterable[T], size: int = 1000) -> Iterator[list[T]]:
    """Split into lists of `size` items; the last may be shorter. (`itertools.batched` needs Python 3.12.)"""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def in_parts(items: Iterable[T], size_of: Callable[[T], int], count: int) -> Iterator[list[T]]:
    """Split into lists of at most `count` items and 8 MiB; `size_of` gives the bytes of an item. A larger
    item is a list by itself."""
    part: list[T] = []
    size = 0
    for item in items:
        if part and (len(part) == count or size + size_of(item) > _MOST_BYTES):
            yield part
            part, size = [], 0
        part.append(item)
        size += size_of(item)
    if part:
        yield part
