"""Contexts and settings, as `context` lists them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ContextRow:
    """A context of the configuration file. `in_use`: it is chosen by a flag, a variable or `context use`.
    `redis_url` is without its password, and None if it has a `problem`."""

    name: str
    in_use: bool
    redis_url: str | None
    guard: str | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Setting:
    """What holds, and where it comes from. The value is a number, a text, a list of texts or None."""

    name: str
    value: Any
    origin: str
