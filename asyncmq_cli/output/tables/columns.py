"""What a table shows, whatever it is drawn with: a title and a kind of value for each column."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Literal, TypeVar

from asyncmq_cli.errors import UsageProblem
from asyncmq_cli.nearest import did_you_mean, nearest

T = TypeVar("T")

Kind = Literal["id", "name", "text", "path", "number", "time", "seconds", "state"]


@dataclass(frozen=True, slots=True)
class Column(Generic[T]):
    """`kind` says how the value is written: an `id` is never cut, a `text` at its end, a `name` in its
    middle and a dotted `path` within its module, a `time` is epoch seconds, `seconds` a duration, and a
    `state` has a colour. `short` is what people are shown of a value, where that is less, and `told` what
    they are told of the row in its place.

    A `wide` column is left out where a terminal has no room for it, but never out of a pipe. Others
    follow where that is not enough; of several the one of the least `worth` goes first, and of equals
    the last. So it is with cutting. Before a text has less than `ample`, wide columns are left out for
    it; before it has less than `least`, any.

    `name` is what it is called on the command line, where that is not its title, and `key` the name of its
    value in the JSON document, where that must be known; each does as well as the other.

    `may_be_cut` is for an id that nobody takes from here to another command. What is in `alarm` is red.
    """

    title: str
    value: Callable[[T], Any]
    kind: Kind = "text"
    wide: bool = False
    short: Callable[[Any], Any] | None = None
    told: Callable[[T], Any] | None = None
    ample: int = 10
    least: int = 6
    worth: int = 0
    may_be_cut: bool = False
    alarm: Callable[[T], bool] | None = None
    name: str | None = None
    key: str = ""

    @property
    def field(self) -> str:
        """What it is called on the command line: `next_run` for `NEXT RUN`."""
        return self.name or self.title.lower().replace(" ", "_")

    def for_people(self, row: T) -> Any:
        if self.told is not None:
            return self.told(row)
        value = self.value(row)
        return self.short(value) if self.short is not None and value else value

    @property
    def is_elastic(self) -> bool:
        """Whether a part of it will do."""
        return self.may_be_cut or self.kind in ("text", "name", "path")


def chosen(columns: Sequence[Column[T]], fields: Sequence[str]) -> list[Column[T]]:
    """Those that were asked for by name, in that order, and none of them to be left out for another.
    Raises UsageProblem for one that there is not. A title does as well as the name."""
    every = {column.field: column for column in columns}
    known = {
        name: column for column in columns for name in (column.title.lower().replace(" ", "_"), column.key)
    }
    known = {**known, **every}
    names = [field.lower().replace(" ", "_") for field in fields]
    for field in names:
        if field not in known:
            raise UsageProblem(
                f"unknown field {field!r}; choose from {', '.join(every)}",
                hint=did_you_mean(nearest(field, every, most=1)),
            )
    return [replace(known[field], wide=False) for field in names]
