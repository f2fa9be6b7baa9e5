"""Run one reading command on several contexts in parallel, and print the results as one.

Each context has its own session in its own thread, with a printer that only collects the output. A Redis that
cannot be reached becomes a row with its error.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import typer
from msgspec import Struct
from msgspec.structs import replace

from asyncmq_cli import contexts
from asyncmq_cli.cli.session import Session, open_session
from asyncmq_cli.errors import AdminError, UsageProblem
from asyncmq_cli.exit_status import CheckStatus
from asyncmq_cli.models.monitoring.checks import CHECK_STATES
from asyncmq_cli.output.printer import Printer
from asyncmq_cli.output.tables.columns import Column, chosen

_CHECK_LINE = re.compile(r"ASYNCMQ (?P<state>[A-Z]+) - (?P<text>.*?)(?: \| (?P<numbers>.*))?")
_NUMBER = re.compile(r"(?P<label>'(?:[^']|'')+'|[^\s=']+)=(?P<value>\S+)")


def _names(flags: Mapping[str, Any]) -> list[str]:
    file = contexts.read(os.environ)
    if "all_contexts" in flags:
        if flags.get("context") or flags.get("redis_url"):
            raise UsageProblem("--all-contexts cannot be combined with --context or --redis-url")
        names = list(file.contexts)
    else:
        names = [name.strip() for name in flags["context"].split(",")]
        if not all(names):
            raise UsageProblem("--context has an empty name", hint="is a variable in it not set?")
    if not names:
        hint = f"a context is a table [context.NAME] in {file.path}"
        raise UsageProblem("there are no contexts", hint=hint)
    return list(dict.fromkeys(names))


class _Kept(Printer):
    """A printer that keeps what a command prints."""

    def __init__(self, *args: Any, **given: Any) -> None:
        super().__init__(*args, **given)
        self.docs: list[Any] = []
        self.lines: list[str] = []
        self.table: tuple[list[Any], Sequence[Column[Any]], float, int] | None = None
        self.footers: list[str] = []
        self.remarks: list[tuple[str, str]] = []

    def document(self, document: Any) -> None:
        self.docs.append(document)

    def documents(self, documents: Iterable[Any]) -> None:
        self.docs.extend(documents)

    def document_of(self, name: str, items: Iterable[Any]) -> None:
        self.docs.append({name: list(items)})

    def long_document(self, head: Mapping[str, Any], name: str, items: Iterable[Any]) -> None:
        self.docs.append({**head, name: list(items)})

    def lazy_document(self, members: Iterable[tuple[str, Any]]) -> None:
        self.docs.append({name: list(v) if isinstance(v, Iterator) else v for name, v in members})

    def rows(
        self,
        rows: Iterable[Any],
        columns: Sequence[Column[Any]],
        *,
        now: float,
        hidden: int = 0,
        empty: str | None = None,
    ) -> None:
        self.table = list(rows), columns, now, hidden

    def line(self, text: str = "") -> None:
        self.lines.append(text)

    def footer(self, text: str) -> None:
        self.footers.append(text)

    def draw(self, *parts: Any) -> None:
        self.lines.extend(self.drawn(*parts))

    def at_once(self, data: bytes) -> None:
        self.lines.extend(data.decode().splitlines())

    def remark(self, kind: str, message: str) -> None:
        self.remarks.append((kind, message))

    def flush(self) -> None:
        """Do nothing: nothing has been written."""


class _Run(Struct):
    """The run of the command on one context: its output, its exit status and the error that ended it. `crash`
    is an exception that is no AdminError."""

    name: str
    session: Session
    status: int = 0
    error: AdminError | None = None
    crash: BaseException | None = None

    @property
    def out(self) -> _Kept:
        out = self.session.out
        assert isinstance(out, _Kept)  # noqa: S101
        return out

    @property
    def problem(self) -> dict[str, str] | None:
        return None if self.error is None else {"code": self.error.code, "message": self.error.message}


def run(flags: Mapping[str, Any], function: Callable[[Session], Any], command: str) -> int:
    """Run the command on each context, print all of it, and return the worst exit status."""
    if "watch" in flags:
        raise UsageProblem("--watch takes one context")
    runs = [_Run(name, Session(_flags_of(flags, name), printer=_Kept)) for name in _names(flags)]
    threads = [threading.Thread(target=_carry_out, args=(each, function), daemon=True) for each in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for each in runs:
        if each.crash is not None:
            raise each.crash
        if isinstance(each.error, UsageProblem):
            raise each.error
    out = Session(_flags_of(flags, runs[0].name)).out
    out.context = ""
    for each in runs:
        for kind, message in each.out.remarks:
            out.remark(kind, f"{each.name}: {message}")
    _print(out, runs, command)
    if command == "check":
        return max(runs, key=_badness).status
    return max(each.status for each in runs)


def _flags_of(flags: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {**{key: value for key, value in flags.items() if key != "all_contexts"}, "context": name}


def _carry_out(one: _Run, function: Callable[[Session], Any]) -> None:
    try:
        with open_session(one.session.flags, session=one.session) as session:
            found = function(session)
            one.status = found if isinstance(found, int) else 0
    except typer.Exit as exc:
        one.status = exc.exit_code
    except AdminError as exc:
        one.error, one.status = exc, exc.exit_code
    except BaseException as exc:
        one.crash = exc


def _badness(one: _Run) -> int:
    return CHECK_STATES.index(CheckStatus(one.status).name.lower())


def _print(out: Printer, runs: Sequence[_Run], command: str) -> None:
    if out.format == "ndjson":
        out.documents(document for one in runs for document in _lines_of(one))
    elif out.format == "json":
        out.document(_merged(runs, command))
    elif command == "check":
        _print_checks(out, runs)
    elif any(one.out.table for one in runs) or all(one.error for one in runs):
        _print_table(out, runs)
    else:
        _print_texts(out, runs)


def _lines_of(one: _Run) -> list[dict[str, Any]]:
    if one.error is not None:
        return [{"context": one.name, "error": one.problem}]
    return [{"context": one.name, **document} for document in one.out.docs]


# For each list command, the key of the rows in its document.
_ROWS = {
    "queues list": "queues",
    "jobs list": "jobs",
    "dlq list": "jobs",
    "dlq groups": "groups",
    "tasks list": "tasks",
    "repeatables list": "repeatables",
    "repeatables next": "runs",
    "workers list": "workers",
    "metrics history": "history",
    "audit": "events",
    "doctor": "findings",
}


def _merged(runs: Sequence[_Run], command: str) -> dict[str, Any]:
    """One document of all contexts: the rows of lists under their usual key, and other documents unchanged in
    `contexts`."""
    documents = [(one, one.out.docs[0] if one.out.docs else {}) for one in runs]
    name = _ROWS.get(command)
    rows = [{"context": one.name, **row} for one, found in documents for row in found.get(name, ())]
    contexts = [
        {"context": one.name, "error": one.problem, **{k: v for k, v in found.items() if k != name}}
        for one, found in documents
    ]
    return {**({} if name is None else {name: rows}), "contexts": contexts}


def _print_table(out: Printer, runs: Sequence[_Run]) -> None:
    tables = [one.out.table for one in runs if one.out.table is not None]
    columns: Sequence[Column[Any]] = tables[0][1] if tables else [Column("ERROR", lambda row: None)]
    if out.fields:
        columns, out.fields = chosen(columns, out.fields), []
    says = next((number for number, column in enumerate(columns) if column.is_elastic), 0)
    rows: list[tuple[str, Any, str | None]] = [
        (one.name, row, None) for one in runs if one.out.table is not None for row in one.out.table[0]
    ]
    rows += [(one.name, None, f"error: {one.error.message}") for one in runs if one.error is not None]
    wrapped = [_of_pair(column, says_error=number == says) for number, column in enumerate(columns)]
    context: Column[Any] = Column("CONTEXT", lambda pair: pair[0], "name")
    out.rows(
        rows,
        [context, *wrapped],
        now=max((table[2] for table in tables), default=0.0),
        hidden=max((table[3] for table in tables), default=0),
    )
    for one in runs:
        for text in one.out.footers:
            out.footer(f"{one.name}: {text}")


def _of_pair(column: Column[Any], *, says_error: bool) -> Column[Any]:
    """The same column, for rows of the form (context name, row or None, problem)."""

    def of(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return lambda pair: (pair[2] if says_error else None) if pair[1] is None else read(pair[1])

    alarm = column.alarm
    return replace(
        column,
        value=of(column.value),
        for_row=of(column.for_people),
        short=None,
        alarm=lambda pair: says_error if pair[1] is None else alarm is not None and alarm(pair[1]),
    )


def _print_texts(out: Printer, runs: Sequence[_Run]) -> None:
    for number, one in enumerate(runs):
        lines = [*one.out.lines, *one.out.footers] if out.for_people else one.out.lines
        if one.error is not None:
            lines = [*lines, f"error: {one.error.message}"]
        if out.for_people:
            out.line(f"{'' if not number else chr(10)}== {one.name} ==")
        for line in lines:
            out.line(line if out.for_people else f"{one.name}\t{line}")


def _print_checks(out: Printer, runs: Sequence[_Run]) -> None:
    """Print one line for monitors: the worst state, the text of each context, the worst first, and the
    numbers, labelled with their context."""
    said: list[str] = []
    numbers: list[str] = []
    for one in sorted(runs, key=_badness, reverse=True):
        found = _CHECK_LINE.fullmatch(one.out.lines[0]) if one.out.lines else None
        if found is not None:
            said.append(f"{one.name}: {found['text']}")
            for number in _NUMBER.finditer(found["numbers"] or ""):
                label = number["label"].strip("'")
                numbers.append(f"'{one.name} {label}'={number['value']}")
        elif one.error is not None:
            said.append(f"{one.name}: {one.error.message}")
    if said:
        state = CheckStatus(max(runs, key=_badness).status).name
        text = f"ASYNCMQ {state} - {'; '.join(said)}"
        out.line(f"{text} | {' '.join(numbers)}" if numbers else text)
