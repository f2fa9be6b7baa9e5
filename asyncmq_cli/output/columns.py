"""What a table shows, whatever it is drawn with: a title and a kind of value for each column."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, Generic, Literal, TypeVar

from asyncmq_cli.errors import UsageProblem

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

    @property
    def field(self) -> str:
        """What it is called on the command line: `next_run` for `NEXT RUN`."""
        return self.title.lower().replace(" ", "_")


def chosen(columns: Sequence[Column[T]], fields: Sequence[str]) -> list[Column[T]]:
    """Those that were asked for by name, in that order, and none of them to be left out. Raises
    UsageProblem for one that there is not."""
    known = {column.field: column for column in columns}
    for field in fields:
        if field not in known:
            near = get_close_matches(field, known, n=1)
            raise UsageProblem(
                f"there is no field {field!r} here, but {', '.join(known)}",
                hint=f"did you mean {near[0]}?" if near else None,
            )
    return [replace(known[field], wide=False) for field in fields]
