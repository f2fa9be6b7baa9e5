"""How many there are of something, in words."""

from __future__ import annotations


def counted(count: int | None, noun: str) -> str:
    """`1 job`, `1,204 jobs`; a number that could not be had is said to be unknown."""
    if count is None:
        return f"an unknown number of {noun}s"
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
