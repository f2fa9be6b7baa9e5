"""Tables one under the other on a screen: each with as many rows as there is room for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from asyncmq_cli.output.canvas import dim
from asyncmq_cli.output.counts import counted
from asyncmq_cli.output.tables import no_room_for, table

if TYPE_CHECKING:
    from asyncmq_cli.output.canvas import Canvas
    from asyncmq_cli.output.columns import Column

T = TypeVar("T")


@dataclass(frozen=True)
class Section(Generic[T]):
    """A table. Where not all of its rows have room, those of the most `trouble` stay, in their order.
    `trouble` is false where there is none."""

    noun: str
    columns: Sequence[Column[T]]
    rows: Sequence[T]
    trouble: Callable[[T], Any] | None = None
    remedy: str = ""

    def parts(self, count: int, now: float, canvas: Canvas) -> list[Any]:
        if not self.rows:
            return []
        shown, hidden = self._chosen(count)
        drawn, left_out = table(shown, self.columns, now=now, width=canvas.width, utc=canvas.utc)
        notes = []
        if hidden:
            notes.append(self._left_out(hidden))
        if shown and left_out:
            notes.append(_no_room(left_out, self.remedy, canvas.width))
        return [*([drawn] if shown else []), *(dim(note, canvas) for note in notes)]

    def _chosen(self, count: int) -> tuple[list[T], list[T]]:
        rows = self.rows
        places: Sequence[int] = range(len(rows))
        if self.trouble is not None and count < len(rows):
            trouble = self.trouble
            places = sorted(places, key=lambda place: trouble(rows[place]) or (), reverse=True)
        return [rows[place] for place in sorted(places[:count])], [rows[place] for place in places[count:]]

    def _left_out(self, hidden: Sequence[T]) -> str:
        text = f"… and {counted(len(hidden), f'more {self.noun}')}"
        troubled = 0 if self.trouble is None else sum(map(bool, map(self.trouble, hidden)))
        return f"{text}, {troubled:,} in trouble" if troubled else text


def _no_room(titles: Sequence[str], remedy: str, width: int) -> str:
    """As many of them by name as a line has room for; their names are worth more than the remedy."""
    told = no_room_for(titles, remedy)
    for count in range(len(titles), 0, -1):
        if len(told) <= width:
            break
        rest = [f"{len(titles) - count} more"] if count < len(titles) else []
        told = no_room_for([*titles[:count], *rest])
    return told


def drawn(
    sections: Sequence[Section[Any]], cuts: Sequence[tuple[int, int]], now: float, canvas: Canvas
) -> list[Any]:
    """As many rows of each as there is room for."""
    wanted = [len(section.rows) for section in sections]

    def within(room: int) -> list[Any]:
        given = allot(room, wanted, cuts)
        return [
            part
            for section, count in zip(sections, given, strict=True)
            for part in section.parts(count, now, canvas)
        ]

    room = canvas.height
    parts = within(room)
    # What is said of columns that have no room takes lines as well.
    while room > 0 and sum(map(_height, parts)) > canvas.height:
        room -= 1
        parts = within(room)
    while parts and sum(map(_height, parts)) > canvas.height:
        parts.pop()
    return parts


def _height(part: Any) -> int:
    return part.row_count + 1 if hasattr(part, "row_count") else 1


def allot(room: int, wanted: Sequence[int], cuts: Sequence[tuple[int, int]]) -> list[int]:
    """How many rows each section shows. A section has a line for its titles, and one for what was
    left out; an empty one has neither. `cuts` says which section goes down to how many rows, in turn."""
    given = [min(count, max(0, room)) for count in wanted]

    def height() -> int:
        return sum(
            count + bool(count) + (count < all_of_them)
            for count, all_of_them in zip(given, wanted, strict=True)
        )

    for index, enough in cuts:
        while height() > room and given[index] > enough:
            given[index] -= 1
    # The line for a single one that is left out is as high as that one.
    return [most if 0 < count == most - 1 else count for count, most in zip(given, wanted, strict=True)]
