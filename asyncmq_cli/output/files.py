"""Writing a file so that its readers never see half of it."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from asyncmq_cli.errors import AdminError


class NotWritten(AdminError):
    """The file is as it was before."""

    code = "not_written"


def replace_file(path: Path, data: bytes) -> None:
    """Put `data` in the place of `path` at one stroke, readable by everybody. Raises NotWritten.

    What is no regular file, such as /dev/stdout, keeps its place and is written to.
    """
    try:
        if path.exists() and not path.is_file():
            _write_in_place(path, data)
        else:
            _replace(path, data)
    except OSError as exc:
        raise NotWritten(f"cannot write {str(path)!r}: {exc.strerror or exc}") from exc


def _write_in_place(path: Path, data: bytes) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as exc:
        if exc.errno == errno.ENXIO:
            raise OSError(errno.ENXIO, "nobody reads from it") from exc
        raise
    with os.fdopen(descriptor, "wb") as file:
        os.set_blocking(descriptor, True)
        file.write(data)


def _replace(path: Path, data: bytes) -> None:
    # In the same folder: only there can it take the other's place at one stroke. The name does
    # not end as the collectors of such files want it.
    descriptor, name = tempfile.mkstemp(prefix=".asyncmq-", dir=path.parent)
    unfinished = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(descriptor, 0o644)
            os.fsync(descriptor)
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
