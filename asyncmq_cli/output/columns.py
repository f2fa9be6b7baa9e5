"""What a table shows, whatever it is drawn with: a title and a kind of value for each column."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

T = TypeVar("T")

Kind = Literal["id", "text", "path", "number", "time", "seconds", "state"]


@dataclass(frozen=True, slots=True)
class Column(Generic[T]):
    """`kind` says how the value is written: an `id` is never cut, a `text` at its end and a
    dotted `path` at its start, a `time` is epoch seconds, `seconds` a duration, and a `state`
    has a colour. `short` is what people are shown of a value, where that is less.

    `least` is the width below which a text says nothing any more and is not cut further.
    A `wide` column is left out where the terminal has no room for it, but never out of a pipe.
    """

    title: str
    value: Callable[[T], Any]
    kind: Kind = "text"
    wide: bool = False
    short: Callable[[Any], Any] | None = None
    least: int = 10
