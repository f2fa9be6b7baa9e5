"""What TAB has to offer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Candidate:
    """What may be typed next, and what it is."""

    value: str
    about: str = ""
