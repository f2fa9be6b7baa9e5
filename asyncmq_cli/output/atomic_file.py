"""Writing a file for other programs: it is whole or unchanged."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from asyncmq_cli.errors import AdminError


class NotWritten(AdminError):
    """A file could not be written; it is unchanged."""

    code = "not_written"


def replace_file(path: Path, data: Iterable[bytes]) -> None:
    """Replace the file at `path` atomically by these pieces, readable by everybody. Raises NotWritten.

    Something that is no regular file, such as /dev/stdout, is written to instead.
    """
    try:
        if path.exists() and not path.is_file():
            _write_in_place(path, data)
        else:
            _replace(path, data)
    except OSError as exc:
        raise NotWritten(f"cannot write {str(path)!r}: {exc.strerror or exc}") from exc


def _write_in_place(path: Path, data: Iterable[bytes]) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as exc:
        if exc.errno == errno.ENXIO:
            raise OSError(errno.ENXIO, "it has no reader") from exc
        raise
    with os.fdopen(descriptor, "wb") as file:
        os.set_blocking(descriptor, True)
        file.writelines(data)


def _replace(path: Path, data: Iterable[bytes]) -> None:
    # In the same folder, because a rename is atomic only within one file system. The name has no extension
    # that a collector would pick up.
    descriptor, name = tempfile.mkstemp(prefix=".asyncmq-", dir=path.parent)
    unfinished = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(data)
            file.flush()
            os.fchmod(descriptor, 0o644)
            os.fsync(descriptor)
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
