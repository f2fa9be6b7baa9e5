"""Writing a backup: on disk before any of the jobs in it leaves Redis."""

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
from asyncmq_cli.services.backup.format import Outcome, job_line, outcome_line
from asyncmq_cli.storage.schema.keys import to_bytes, to_text

if TYPE_CHECKING:
    from asyncmq_cli.storage.schema.parts import Parts


class BackupExists(UsageProblem):
    """There is something of that name."""

    code = "backup_exists"

    def __init__(self, path: str) -> None:
        super().__init__(
            f"the backup {path!r} exists already", hint="name a new file; a backup is never overwritten"
        )


class NoFile(UsageProblem):
    """A stream cannot be brought to disk, and so gives no word for what is in it."""

    def __init__(self) -> None:
        super().__init__(
            "--backup needs the name of a file; - is none",
            hint="a backup must be on disk before anything is removed; ./- is a file of that name",
        )


class BackupFailed(AdminError):
    """A backup could not be written, so nothing more is removed."""

    code = "backup_failed"

    def __init__(self, path: str, problem: OSError) -> None:
        super().__init__(
            f"cannot write the backup {path!r}: {problem.strerror or problem}",
            hint="nothing was removed that is not in it",
            details={"backup": path},
        )


def require_new(path: str) -> None:
    """Raise NoFile, or BackupExists where a backup would overwrite something, before all else."""
    if path == "-":
        raise NoFile
    if os.path.lexists(to_bytes(path)):
        raise BackupExists(path)


class BackupWriter:
    """A context manager. The file is made with the first job, for its owner alone: jobs lie in it
    with all their secrets. `run` is in each line and in the audit event of each removal."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.run = secrets.token_hex(8)
        self._name = Path(os.fsdecode(to_bytes(path)))
        self._file: int | None = None
        self._size = 0

    @property
    def absolute(self) -> str:
        """The path by which the audit trail names it. Raises BackupFailed where the directory is gone."""
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

    def write_jobs(self, jobs: Sequence[Parts]) -> None:
        """Once it returns, these jobs are on disk. Raises BackupExists or BackupFailed."""
        self._append(b"".join(job_line(self.run, parts) for parts in jobs), sync=True)

    def record_outcome(self, queue: str, *, removed: Sequence[str], kept: Sequence[str]) -> None:
        """Say what became of the jobs of a batch; else it is looked up in the audit trail."""
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
        # A name that the directory forgets would be the same as no file.
        self._file = opened
        directory = os.open(self._name.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        except OSError as exc:
            if exc.errno != errno.EINVAL:
                # Of file systems that cannot do this, no more can be asked.
                raise
        finally:
            os.close(directory)
        return opened

    def _take_back(self) -> None:
        """Leave whole lines only, and no file that holds nothing."""
        if self._file is None:
            return
        with contextlib.suppress(OSError):
            os.ftruncate(self._file, self._size)
        if not self._size:
            with contextlib.suppress(OSError):
                self._name.unlink()
