"""Read a backup. The whole file is checked before any job is restored."""

from __future__ import annotations

import codecs
import os
import shutil
import sys
import tempfile
from collections.abc import Container, Iterator
from types import TracebackType
from typing import IO

from msgspec import Struct

from asyncmq_cli.errors import AdminError, UsageProblem
from asyncmq_cli.models.queues import QueuePart
from asyncmq_cli.services.backup.format import BadLine, Outcome, is_cut, read_line
from asyncmq_cli.storage.schema.job import job_of
from asyncmq_cli.storage.schema.job_dump import JobDump, JobEdit
from asyncmq_cli.storage.schema.keys import to_bytes, to_text
from asyncmq_cli.system.files import open_file

STANDARD_INPUT = "-"
_LONGEST_LINE = 1024 * 1024 * 1024
_RECOGNISED_BY = 4096
_BEFORE_JSON = b" \t\r\n\xef\xbb\xbf"


class NoSuchBackup(UsageProblem):
    """The file does not exist or cannot be read."""

    code = "no_such_backup"

    def __init__(self, path: str, problem: OSError) -> None:
        super().__init__(
            f"cannot read the backup {path!r}: {problem.strerror or problem}",
            hint="name the file that 'remove --backup' wrote",
        )


class BadBackup(AdminError):
    """A line of the file is not a line of a backup. `number` counts from 1."""

    code = "bad_backup"

    def __init__(self, path: str, number: int, why: str) -> None:
        super().__init__(
            f"line {number:,} of {path!r} cannot be restored: {why}",
            hint="nothing was restored; name a file that 'remove --backup' wrote",
            details={"backup": path, "line": number},
        )


class Entry(Struct):
    """A job of the backup, as its last line describes it. `removed` is None if the backup does not say
    whether the job was removed; `state` is the state that it had."""

    queue: str
    id: str
    line: int
    run: str
    state: str
    removed: bool | None = None


class PartEntry(Struct, frozen=True):
    """A line with a part of a queue other than jobs: `count` elements of the part `name`. `offset` is the
    line's position in bytes."""

    queue: str
    name: str
    count: int
    run: str
    line: int
    offset: int


class EditEntry(Struct, frozen=True):
    """A line with a job before and after an edit. `offset` is the line's position in bytes."""

    queue: str
    id: str
    run: str
    line: int
    offset: int


class Backup:
    """A checked backup; a context manager.

    `entries` has the last line of each job, in the order of the file, `parts` the parts of queues,
    and `edits` the edits of jobs. `cut_line` is the number of an incomplete last line, which a killed run
    leaves behind.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.entries: dict[tuple[bytes, bytes], Entry] = {}
        self.parts: list[PartEntry] = []
        self.edits: list[EditEntry] = []
        self.cut_line: int | None = None
        try:
            self._file = _opened(path)
        except OSError as exc:
            raise NoSuchBackup(path, exc) from exc
        try:
            self._check()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Backup:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def jobs(self, lines: Container[int]) -> Iterator[JobDump]:
        """The jobs on these lines. Raises BadBackup if the file has changed since the check."""
        for number, line in self._lines():
            if number in lines:
                found = self._read(number, line)
                if isinstance(found, Outcome) or not isinstance(found[1], JobDump):
                    raise self._changed(number)
                yield found[1]

    def part(self, entry: PartEntry) -> QueuePart:
        """The part on that line. Raises BadBackup if the file has changed since the check."""
        found = self._read_at(entry)
        if not isinstance(found, QueuePart):
            raise self._changed(entry.line)
        return found

    def edit(self, entry: EditEntry) -> JobEdit:
        """The edit on that line. Raises BadBackup if the file has changed since the check."""
        found = self._read_at(entry)
        if not isinstance(found, JobEdit):
            raise self._changed(entry.line)
        return found

    def _read_at(self, entry: PartEntry | EditEntry) -> JobDump | QueuePart | JobEdit | None:
        try:
            self._file.seek(entry.offset)
            line = self._file.readline(_LONGEST_LINE)
        except OSError as exc:
            raise NoSuchBackup(self.path, exc) from exc
        found = self._read(entry.line, line)
        return None if isinstance(found, Outcome) else found[1]

    def _changed(self, number: int) -> BadBackup:
        return BadBackup(self.path, number, "the file has changed meanwhile")

    def _check(self) -> None:
        for number, line in self._lines():
            try:
                found = self._read(number, line)
            except BadBackup:
                if not line.endswith(b"\n") and is_cut(line):
                    self.cut_line = number
                    return
                raise
            if isinstance(found, Outcome):
                self._apply_outcome(found)
                continue
            run, parts = found
            if not isinstance(parts, JobDump):
                self._add(run, parts, number, self._file.tell() - len(line))
                continue
            # Insert it again, so that entries are in the order of their last lines.
            self.entries.pop((parts.queue, parts.id), None)
            state = sys.intern(job_of(parts).status)
            entry = Entry(to_text(parts.queue), to_text(parts.id), number, run, state)
            self.entries[parts.queue, parts.id] = entry

    def _add(self, run: str, found: QueuePart | JobEdit, number: int, offset: int) -> None:
        queue = to_text(found.queue)
        if isinstance(found, QueuePart):
            self.parts.append(PartEntry(queue, found.name, len(found.elements), run, number, offset))
        else:
            self.edits.append(EditEntry(queue, to_text(found.id), run, number, offset))

    def _apply_outcome(self, outcome: Outcome) -> None:
        for removed, job_ids in ((True, outcome.removed), (False, outcome.kept)):
            for job_id in job_ids:
                entry = self.entries.get((outcome.queue, job_id))
                if entry is not None and entry.run == outcome.run:
                    entry.removed = removed

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        self._file.seek(0)
        number = 0
        try:
            while line := self._file.readline(_RECOGNISED_BY):
                number += 1
                if number == 1:
                    line = line.removeprefix(codecs.BOM_UTF8)
                _require_json(self.path, number, line)
                if not line.endswith(b"\n"):
                    line += self._file.readline(_LONGEST_LINE)
                yield number, line
        except OSError as exc:
            raise NoSuchBackup(self.path, exc) from exc

    def _read(self, number: int, line: bytes) -> tuple[str, JobDump | QueuePart | JobEdit] | Outcome:
        try:
            return read_line(line)
        except BadLine as exc:
            raise BadBackup(self.path, number, str(exc)) from exc


def _opened(path: str) -> IO[bytes]:
    if path == STANDARD_INPUT:
        return _copied(path, sys.stdin.buffer)
    file = open_file(os.fsdecode(to_bytes(path)))
    if file.seekable():
        return file
    with file:
        return _copied(path, file)


def _copied(path: str, source: IO[bytes]) -> IO[bytes]:
    """Copy a stream to an unnamed file: a backup is read twice, and a pipe can be read only once."""
    copy = tempfile.TemporaryFile()  # noqa: SIM115  closed with the backup
    try:
        begins = source.read(_RECOGNISED_BY)
        _require_json(path, 1, begins)
        copy.write(begins)
        shutil.copyfileobj(source, copy)
    except BaseException:
        copy.close()
        raise
    return copy


def _require_json(path: str, number: int, begins: bytes) -> None:
    """Raise BadBackup early for a file that is clearly not a backup: it may be endless."""
    if begins and not begins.lstrip(_BEFORE_JSON).startswith(b"{"):
        raise BadBackup(path, number, "it is not JSON")
