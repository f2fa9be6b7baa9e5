"""Print data to stdout and everything else to stderr."""

from __future__ import annotations

import io
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import chain
from typing import Any, TextIO, TypeVar

from asyncmq_cli.errors import AdminError, OutputClosed, OutputFailed
from asyncmq_cli.hints import hint_for
from asyncmq_cli.models.values import chunked
from asyncmq_cli.output.formats import SHAPES, Shape
from asyncmq_cli.output.json.forms import DocumentForm, JqProgram, member_by_member
from asyncmq_cli.output.json.text import encode
from asyncmq_cli.output.redaction.redact import redact, redact_text
from asyncmq_cli.output.tables.columns import (
    Column,
    chosen,
    csv_line,
    csv_row,
    csv_text,
    field_names,
    pairs,
    tab_separated,
)
from asyncmq_cli.output.tables.tables import more_columns, tables
from asyncmq_cli.output.text.cutting import cut_text
from asyncmq_cli.output.text.escape import escape, printable_on, takes_more_than_ascii
from asyncmq_cli.system import process

T = TypeVar("T")

_WIDEST = 100_000
_ROWS_AT_A_TIME = 1000
_TRAILING = re.compile(r" +((?:\x1b\[[\d;]*m)*)$")
"""Spaces at the end of a line, also before its last colour codes. They are dropped, because a terminal shows
a full line followed by a space as two lines."""


class Printer:
    """Prints in one format, which depends on the options and on whether stdout is a terminal.

    `asked` is the value of `-o`, or None. `jq` is an expression that filters documents; with `raw`, its texts
    are printed without quotes. With `header`, the names of the columns are also printed in a pipe. `context`
    is the name of the current context, which headers and questions show in its colour.
    """

    def __init__(
        self,
        asked: str | None,
        *,
        color: str,
        utc: bool = False,
        fields: Sequence[str] = (),
        full: bool = False,
        context: str = "",
        context_color: str = "",
        header: bool = False,
        jq: str | None = None,
        raw: bool = False,
    ) -> None:
        self._stdout = sys.stdout
        self._stderr = sys.stderr
        self._color = color
        self.context = context
        self.context_color = context_color
        self.fields = fields
        self.utc = utc
        self.full = full
        self._header = header
        self.format: Shape = SHAPES[asked] if asked else self._for_people_or_pipes()
        self.is_wide = asked == "wide"
        self._form = DocumentForm(
            yaml=asked == "yaml",
            indented=asked == "json" and self.stdout_is_terminal,
            jq=None if jq is None else JqProgram(jq),
            raw=raw,
            for_terminal=self.stdout_is_terminal,
        )

    @property
    def for_people(self) -> bool:
        return self.format == "table"

    @property
    def for_programs(self) -> bool:
        """Whether output is JSON or YAML documents."""
        return self.format in ("json", "ndjson")

    @property
    def for_streams(self) -> bool:
        """Whether lists print every match instead of one page."""
        return self.format in ("ndjson", "names", "csv")

    def document(self, document: Any) -> None:
        self._write_all(self._form.pieces(document))

    def long_document(self, head: Mapping[str, Any], name: str, items: Iterable[Any]) -> None:
        """Print a document whose last member is a long list. JSON on one line is written item by item."""
        self.lazy_document([*head.items(), (name, iter(items))])

    def lazy_document(self, members: Iterable[tuple[str, Any]]) -> None:
        """Print a document from its members. In JSON on one line, each member is written as it comes, and
        iterators item by item."""
        if not self._form.is_one_line:
            self.document(
                {name: list(value) if isinstance(value, Iterator) else value for name, value in members}
            )
            return
        self._write_all(member_by_member(members))

    def document_of(self, name: str, items: Iterable[Any]) -> None:
        """Print a document that has one list. Nothing is written until all items have been read. For JSON on
        one line, the encoded items are kept, which take a third of the memory of the objects."""
        if not self._form.is_one_line:
            self.document({name: list(items)})
            return
        # Join them at once, because each text of orjson keeps the buffer in which it was written.
        encoded = [b",".join(map(encode, piece)) for piece in chunked(items)]
        self._write_bytes(b"{" + encode(name) + b":[")
        self._write_all((b"," if number else b"") + piece for number, piece in enumerate(encoded))
        self._write_bytes(b"]}\n")

    def at_once(self, data: bytes) -> None:
        """Write lines of UTF-8 and flush them, because a reader waits for each. With jq, they are one
        document."""
        if self._form.jq is not None:
            data = b"".join(self._form.filtered(data))
        if self.stdout_is_terminal:
            data = escape(data.decode(), keep="\n").encode()
        self._write_bytes(data)
        self.flush()

    def flush(self) -> None:
        """Flush stdout. Raises OutputClosed or OutputFailed, as do all methods that print more than fits into
        the buffer."""
        self._stdout.flush()

    @contextmanager
    def outcome(
        self, summary: Callable[[], str] | None = None, *, exit_code: int | None = None
    ) -> Iterator[None]:
        """A context for output that reports something already done, in which a closed pipe is not an error.

        Raises OutputFailed if the output cannot be written. The error has the text of `summary` and, if
        given, the exit status `exit_code`.
        """
        try:
            yield
            self.flush()
        except OutputClosed:
            pass
        except OutputFailed as exc:
            if summary is not None:
                exc.message += f"; {summary()}"
            if exit_code is not None:
                exc.exit_code = exit_code
            raise

    def rest(self, seconds: float) -> None:
        """Sleep. Raises OutputClosed as soon as the reader closes the pipe, which otherwise would only be
        noticed by the next write."""
        process.rest(self._stdout, seconds)

    def documents(self, documents: Iterable[Any]) -> None:
        """Print one document per line. The output is flushed only when the buffer is full, because lists can
        be long."""
        if self._form.jq is None:
            self._write_all(encode(document) + b"\n" for document in documents)
        else:
            self._write_all(piece for document in documents for piece in self._form.pieces(document))

    @property
    def prints_lines(self) -> bool:
        """Whether each object of a list is printed as one line of JSON, as it is."""
        return self.format == "ndjson" and self._form.jq is None and not self._form.yaml

    def encoded(self, lines: bytes) -> None:
        """Print encoded documents, each with its line end."""
        self._write_bytes(lines)

    def pairs(self, document: Mapping[str, Any]) -> None:
        """Print the names and values of a document for pipes, one pair per line."""
        if self.format == "csv":
            found = pairs(document, csv_text)
            lines = map(csv_line, [("key", "value"), *found])
            self._write_all(line.encode("utf-8", "replace") + b"\n" for line in lines)
            return
        names = [("key", "value")] if self._header else []
        for name, value in (*names, *pairs(document)):
            self.line(f"{name}\t{value}")

    def rows(
        self,
        rows: Iterable[T],
        columns: Sequence[Column[T]],
        *,
        now: float,
        hidden: int = 0,
        empty: str | None = None,
    ) -> None:
        """Print rows as a table or as separated values. `now` is the server's time. `hidden` is the number of
        columns that were already left out. If there are no rows, people see the text `empty`; None prints
        only the titles, "" prints nothing."""
        if self.format == "names":
            self._names(rows, columns)
            return
        if self.fields:
            columns = chosen(columns, self.fields)
        if self.for_people:
            self._table(rows, columns, now=now, hidden=hidden, empty=empty)
        elif self.format == "csv":
            self._write_all(f"{line}\n".encode("utf-8", "replace") for line in self._csv(rows, columns))
        else:
            if self._header:
                self.line("\t".join(field_names(columns)))
            for row in rows:
                self.line(tab_separated(row, columns))

    def _table(
        self,
        rows: Iterable[T],
        columns: Sequence[Column[T]],
        *,
        now: float,
        hidden: int,
        empty: str | None,
    ) -> None:
        if empty is not None:
            rows = iter(rows)
            first = next(rows, None)
            if first is None:
                if empty:
                    self.footer(empty)
                return
            rows = chain([first], rows)
        drawn, left_out = tables(
            rows,
            columns,
            now=now,
            width=_WIDEST if self.full else self.line_width or _WIDEST,
            utc=self.utc,
            full=self.full,
            every=self.is_wide,
            at_a_time=_ROWS_AT_A_TIME,
        )
        for part in drawn:
            self.draw(part)
        if missing := hidden + len(left_out):
            self.line(more_columns(missing, "widen the terminal" if self.fields else "-o wide"))

    def _csv(self, rows: Iterable[T], columns: Sequence[Column[T]]) -> Iterator[str]:
        yield csv_line(field_names(columns))
        yield from (csv_row(row, columns) for row in rows)

    def _names(self, rows: Iterable[T], columns: Sequence[Column[T]]) -> None:
        """Print unescaped ids, one per line. An id with a line break is left out with a warning."""
        of_row = next(column.value for column in columns if column.kind == "id")
        terminal = self.stdout_is_terminal
        for row in rows:
            name = of_row(row)
            if name is None:
                # The row has no id, such as an audit event without a job.
                continue
            if name and "\n" not in name and "\r" not in name:
                self.line(escape(name)) if terminal else self._write_bytes(_as_stored(name) + b"\n")
            else:
                self.remark("warning", f"left out an id that contains a line break: {name!r}")

    def draw(self, *parts: Any) -> None:
        """Print renderables of rich, one below the other."""
        self._write_text(self._stdout, "\n".join(self.drawn(*parts)))

    def drawn(self, *parts: Any) -> list[str]:
        """The lines that rich draws, with their colours."""
        from rich.console import Console, Group

        drawn = io.StringIO()
        Console(
            file=drawn,
            # The table already fits, so rich must not shrink it.
            width=max(self.width, _WIDEST),
            # If the height is given too, rich does not parse COLUMNS and LINES, which may have any value.
            height=self.height,
            color_system="standard" if self.in_color else None,
            force_terminal=self.in_color,
            # --color takes precedence over NO_COLOR, which rich would apply otherwise.
            no_color=not self.in_color,
            highlight=False,
            markup=False,
            emoji=False,
        ).print(Group(*parts), soft_wrap=True, end="")
        return [_TRAILING.sub(r"\1", line) for line in drawn.getvalue().splitlines()]

    def line(self, text: str = "") -> None:
        self._write_text(self._stdout, text)

    @property
    def stderr_is_terminal(self) -> bool:
        return self._stderr.isatty()

    def prompt(self, lines: Sequence[str]) -> None:
        """Print lines on stderr, leaving the cursor at the end of the last one."""
        self._stderr.write(printable_on(self._stderr, "\n".join(lines), plain=not self.has_blocks))
        self._stderr.flush()

    def footer(self, text: str) -> None:
        """Print a line below a table, only for people."""
        if self.for_people:
            # The text may contain the name of a queue or a job.
            self.line(escape(text))

    def remark(self, kind: str, message: str) -> None:
        """Print a remark such as `warning: …` or `note: …` on stderr."""
        safe = redact_text(message)
        if self.for_programs and not self._form.yaml:
            self._write_text(self._stderr, encode({kind: {"message": safe}}).decode())
        else:
            shown = safe if self.full or not self.stderr_is_terminal else cut_text(safe)
            self._write_text(self._stderr, f"{kind}: {escape(shown)}")

    @property
    def width(self) -> int:
        return shutil.get_terminal_size((80, 24)).columns

    @property
    def line_width(self) -> int | None:
        """The width in characters that lines must fit; None in a pipe (for `less -S`), unless COLUMNS is
        set."""
        is_known = self.stdout_is_terminal or os.environ.get("COLUMNS", "").isdecimal()
        return self.width if is_known else None

    @property
    def height(self) -> int:
        return shutil.get_terminal_size((80, 24)).lines

    @property
    def stdout_is_terminal(self) -> bool:
        return self._stdout.isatty()

    @cached_property
    def has_blocks(self) -> bool:
        """Whether stdout can show block characters."""
        return takes_more_than_ascii(self._stdout)

    @property
    def in_color(self) -> bool:
        if self._color != "auto":
            return self._color == "always"
        plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
        return self._stdout.isatty() and not plain

    def _for_people_or_pipes(self) -> Shape:
        return "table" if self._stdout.isatty() or self._color == "always" else "tabs"

    def _write_bytes(self, data: bytes) -> None:
        self._write_all([data])

    def _write_all(self, pieces: Iterable[bytes]) -> None:
        # JSON is written as UTF-8 bytes, whatever the locale, so flush the text first to keep the order.
        self._stdout.flush()
        watched = self.stdout_is_terminal
        for piece in pieces:
            self._stdout.buffer.write(piece)
            if watched:
                self._stdout.flush()

    def _write_text(self, stream: TextIO, text: str) -> None:
        # JSON is not converted to ASCII.
        plain = not self.for_programs and not self.has_blocks
        stream.write(printable_on(stream, text, plain=plain))
        stream.write("\n")


def _as_stored(name: str) -> bytes:
    try:
        return name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return name.encode("utf-8", "surrogatepass")


def error_line(error: AdminError, *, as_json: bool) -> str:
    """The text of an error for stderr: one line, two lines with a hint, or one JSON document."""
    message = redact_text(error.message)
    hint = hint_for(error)
    hint = None if hint is None else redact_text(hint)
    if as_json:
        body = {"code": error.code, "message": message, "hint": hint, "details": redact(error.details)}
        return encode({"error": body}).decode()
    lines = [f"error: {escape(message)}", *(escape(line) for line in error.excerpt)]
    if hint:
        lines.append(f"hint: {escape(hint)}")
    return "\n".join(lines)
