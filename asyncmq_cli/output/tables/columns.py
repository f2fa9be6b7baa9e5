"""The columns of a table: their titles and values, how they are shown and shortened; and lines for programs:
rows separated by tabs or commas, and the keys and values of one document."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, Literal, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from asyncmq_cli.errors import UsageProblem, did_you_mean, nearest
from asyncmq_cli.output.json.text import encode
from asyncmq_cli.output.text.escape import escape, escape_reversibly
from asyncmq_cli.output.text.times import rfc3339

T = TypeVar("T")

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_KEPT_IN_CSV = "\n\t"

Kind = Literal["id", "name", "text", "path", "number", "time", "seconds", "state"]


class Column(Struct, Generic[T], frozen=True):
    """A column of a table. `kind` says how its values are written: an `id` is never cut, a `text` is cut at
    its end, a `name` in its middle, and a dotted `path` inside its module; a `time` is epoch seconds,
    `seconds` is a duration, and a `state` has a colour. For people, `short` shortens the value, or `for_row`
    replaces it.

    On a narrow terminal, `wide` columns are left out first, then the others: the one with the lowest `worth`
    first and, of equal ones, the last. Texts are cut in the same order. Wide columns are left out before a
    text gets less room than `ample`, others before it gets less than `least`. A pipe gets all columns.

    `name` is the column's name for `--fields`, if it differs from its title; `key` is the name of its value
    in the JSON document. `--fields` accepts both.

    With `if_any`, people see the column only if a row has a value.

    `may_be_cut` marks an id that nobody would copy to another command. `alarm` says whether the cell of a row
    is red.
    """

    title: str
    value: Callable[[T], Any]
    kind: Kind = "text"
    wide: bool = False
    short: Callable[[Any], Any] | None = None
    for_row: Callable[[T], Any] | None = None
    ample: int = 10
    least: int = 6
    worth: int = 0
    may_be_cut: bool = False
    if_any: bool = False
    alarm: Callable[[T], bool] | None = None
    name: str | None = None
    key: str = ""

    @property
    def field(self) -> str:
        """The column's name for `--fields`: `next_run` for `NEXT RUN`."""
        return self.name or self.title.lower().replace(" ", "_")

    def for_people(self, row: T) -> Any:
        if self.for_row is not None:
            return self.for_row(row)
        value = self.value(row)
        return self.short(value) if self.short is not None and value else value

    @property
    def has_numbers(self) -> bool:
        return self.kind in ("number", "seconds", "time")

    @property
    def is_elastic(self) -> bool:
        """Whether the value is useful even if it is cut."""
        return self.may_be_cut or self.kind in ("text", "name", "path")


def chosen(columns: Sequence[Column[T]], fields: Sequence[str]) -> list[Column[T]]:
    """The columns with these names, or titles, in this order, so that none of them is left out before
    another. Raises UsageProblem for an unknown name."""
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
    return [replace(known[field], wide=False, if_any=False) for field in names]


def in_order_of(rows: Iterable[T], columns: Sequence[Column[T]], order: str) -> list[T]:
    """The rows sorted by the column that `order` names; if it begins with `-`, the largest first. Rows
    without a value come last, and equal rows keep their order. Raises UsageProblem for an unknown column."""
    (column,) = chosen(columns, [order.removeprefix("-")])
    found = list(rows)
    known = [row for row in found if column.value(row) is not None]
    # A column of texts may hold job data, which can be of any type.
    key = column.value if column.has_numbers else lambda row: str(column.value(row))
    known.sort(key=key, reverse=order.startswith("-"))
    return [*known, *(row for row in found if column.value(row) is None)]


def tab_separated(row: T, columns: Sequence[Column[T]]) -> str:
    return "\t".join(_plain(column, column.value(row)) for column in columns)


def field_names(columns: Sequence[Column[T]]) -> list[str]:
    """The header of the columns in a pipe: the names that `--fields` accepts."""
    return [column.field for column in columns]


def csv_row(row: T, columns: Sequence[Column[T]]) -> str:
    return csv_line([_csv_cell(column, column.value(row)) for column in columns])


_CRLF = "\r\n"


def csv_line(cells: Sequence[str]) -> str:
    """One record of RFC 4180, without the line break at its end."""
    import csv
    import io

    written = io.StringIO()
    # csv quotes a cell with a line break only if that character is in the terminator.
    csv.writer(written, lineterminator=_CRLF).writerow(cells)
    return written.getvalue().removesuffix(_CRLF)


def csv_text(text: str) -> str:
    """A text as a cell that no spreadsheet takes for a formula, with control characters escaped."""
    shown = escape(text, keep=_KEPT_IN_CSV)
    return f"'{shown}" if text.startswith(_FORMULA) else shown


def _csv_cell(column: Column[T], value: Any) -> str:
    if isinstance(value, str):
        return csv_text(value)
    plain = _plain(column, value)
    # A number is not a formula, even if it is negative.
    return plain if isinstance(value, int | float) else csv_text(plain)


def _plain(column: Column[T], value: Any) -> str:
    if value is None:
        return ""
    if column.kind == "time":
        return rfc3339(value) or ""
    if column.kind == "seconds":
        return f"{value:.3f}"
    if isinstance(value, bool):
        return "true" if value else "false"
    return escape_reversibly(str(value))


# Our own objects, whose members each get a line. All other objects are stored data.
_PARTS = ("metrics", "counts", "rates", "error", "durations")
_TIMES = ("timestamp", "created_at", "run_at", "delay_until", "last_death")
_STORED = ("payload", "result")


def pairs(
    document: Mapping[str, Any], text: Callable[[str], str] = escape_reversibly, within: str = ""
) -> Iterator[tuple[str, str]]:
    """Pairs of a name and a value as text. The names are those of the JSON document; a member of an object is
    `rates.completed_per_minute`. Times are RFC 3339, lists and stored data are JSON, and null is "". `text`
    writes a string."""
    for name, value in document.items():
        if name in _PARTS and isinstance(value, Mapping):
            yield from pairs(value, text, f"{within}{name}.")
        else:
            yield f"{within}{name}", _pair_value(name, value, text)


def _pair_value(name: str, value: Any, text: Callable[[str], str]) -> str:
    if value is None:
        return ""
    if isinstance(value, str) and name not in _STORED:
        return text(value)
    if name in _TIMES and isinstance(value, int | float) and not isinstance(value, bool):
        return rfc3339(value) or str(value)
    return encode(value).decode()
