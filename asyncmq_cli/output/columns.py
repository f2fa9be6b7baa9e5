"""What a table shows, whatever it is drawn with: a title and a kind of value for each column."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

T = TypeVar("T")

Kind = Literal["id", "text", "number", "time", "seconds", "state"]


@dataclass(frozen=True, slots=True)
class Column(Generic[T]):
    """`kind` says how the value is written: an `id` is never cut, a `time` is epoch seconds,
    `seconds` a duration, and a `state` has a colour.

    A `wide` column is left out where the terminal has no room for it, but never out of a pipe.
    """

    title: str
    value: Callable[[T], Any]
    kind: Kind = "text"
    wide: bool = False
