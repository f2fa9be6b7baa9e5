"""Counting what is found, and keeping the first few of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

_KEPT = 5


@dataclass(slots=True)
class Samples:
    """How many there were, and the first few."""

    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, text: str) -> None:
        """One more."""
        self.add_all(1, [text])

    def add_all(self, count: int, first: Sequence[str]) -> None:
        """So many more, of which these are the first few."""
        self.count += count
        self.first += first[: _KEPT - len(self.first)]
