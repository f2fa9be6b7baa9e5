"""Completion candidates."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Candidate:
    """A word that may be typed next, and its description."""

    value: str
    about: str = ""
