"""Write a backup: every job is on disk before it is removed from Redis."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from asyncmq_cli.errors import AdminError, UsageProblem
from asyncmq_cli.services.backup.format import Outcome, edit_line, job_line, outcome_line, part_line
from asyncmq_cli.storage.schema.keys import to_bytes, to_text

if TYPE_CHECKING:
    from asyncmq_cli.models.queues import QueuePart
    from asyncmq_cli.storage.schema.job_dump import JobDump, JobEdit


class BackupExists(UsageProblem):
    """A file with that name exists."""

    code = "backup_exists"

    def __init__(self, path: str) -> None:
        super().__init__(
            f"the backup {path!r} exists already", hint="name a new file; a backup is never overwritten"
        )


class NoFile(UsageProblem):
    """The path is not a file: a stream cannot be synced to disk, so it is no safe place for a backup."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"--backup needs a file name, not {path or repr(path)}",
            hint="a backup must be on disk before anything is removed; a file called - is ./-",
        )


class BackupFailed(AdminError):
    """The backup could not be written, so the run removes nothing more."""

    code = "backup_failed"

    def __init__(self, path: str, problem: OSError) -> None:
        super().__init__(
            f"cannot write the backup {path!r}: {problem.strerror or problem}",
            hint="only jobs that are in it were removed",
            details={"backup": path},
        )


def require_new(path: str) -> None:
    """Raise NoFile or BackupExists, before anything is read or asked."""
    if path == "-" or not path.strip():
        raise NoFile(path.strip())
    if os.path.lexists(to_bytes(path)):
        raise BackupExists(path)


class BackupWriter:
    """Writes a backup; a context manager. The file is created with the first job and readable only by its
    owner, because jobs contain secrets. `run` identifies this run in each line and in the audit event of each
    removal."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.run = secrets.token_hex(8)
        self._name = Path(os.fsdecode(to_bytes(path)))
        self._file: int | None = None
        self._size = 0

    @property
    def absolute(self) -> str:
        """The absolute path, for the audit trail. Raises BackupFailed if the directory is gone."""
        try:
            return to_text(os.fsencode(self._name.absolute()))
        except OSError as exc:
            raise BackupFailed(self.path, exc) from exc

    def __enter__(self) -> BackupWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def write_jobs(self, jobs: Sequence[JobDump]) -> None:
        """Write the jobs. When this returns, they are on disk. Raises BackupExists or BackupFailed."""
        self._append(b"".join(job_line(self.run, parts) for parts in jobs), sync=True)

    def write_part(self, part: QueuePart) -> None:
        """The same as `write_jobs`, for a part of a queue other than jobs."""
        self._append(part_line(self.run, part), sync=True)

    def write_edits(self, edits: Sequence[JobEdit]) -> None:
        """The same as `write_jobs`, for jobs that are about to be edited."""
        self._append(b"".join(edit_line(self.run, edit) for edit in edits), sync=True)

    def record_outcome(self, queue: str, *, removed: Sequence[str], kept: Sequence[str]) -> None:
        """Write the outcome of a batch. Without it, a restore reads the audit trail instead."""
        names = ([to_bytes(job_id) for job_id in job_ids] for job_ids in (removed, kept))
        self._append(outcome_line(Outcome(self.run, to_bytes(queue), *names)), sync=False)

    def _append(self, lines: bytes, *, sync: bool) -> None:
        try:
            if self._file is None:
                self._file = self._create()
            rest = memoryview(lines)
            while rest:
                rest = rest[os.write(self._file, rest) :]
            if sync:
                os.fsync(self._file)
        except OSError as exc:
            self._take_back()
            raise BackupFailed(self.path, exc) from exc
        self._size += len(lines)

    def _create(self) -> int:
        try:
            opened = os.open(self._name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError as exc:
            raise BackupExists(self.path) from exc
        # Sync the directory too: without its entry the file would be lost.
        self._file = opened
        directory = os.open(self._name.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        except OSError as exc:
            if exc.errno != errno.EINVAL:
                # EINVAL means that this file system cannot sync directories; raise other errors.
                raise
        finally:
            os.close(directory)
        return opened

    def _take_back(self) -> None:
        """Truncate the file to its complete lines, and delete it if it is empty."""
        if self._file is None:
            return
        with contextlib.suppress(OSError):
            os.ftruncate(self._file, self._size)
        if not self._size:
            with contextlib.suppress(OSError):
                self._name.unlink()
