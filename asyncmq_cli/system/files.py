"""Files that the user names: read them without blocking forever, and replace them atomically."""

from __future__ import annotations

import errno
import os
import select
import stat
import tempfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from asyncmq_cli.errors import AdminError

_PATIENCE = 3.0
"""Seconds to wait for a writer to open a FIFO."""
READ_WITHIN = 2.0
"""Seconds that reading a small file may take: it may be a pipe, or a device that never ends."""


def open_file(path: str) -> IO[bytes]:
    """Open a regular file, or a FIFO that has a writer, for reading. Raises OSError for anything else."""
    mode = os.stat(path).st_mode  # noqa: PTH116  names may hold any bytes
    if not stat.S_ISFIFO(mode):
        _require_regular(path, mode)
        return open(path, "rb")  # noqa: PTH123
    opened: list[IO[bytes]] = []
    # Opening a FIFO blocks until a writer opens it, and there is no other way to notice a writer, so use a
    # thread.
    opening = threading.Thread(target=lambda: opened.append(open(path, "rb")), daemon=True)  # noqa: PTH123, SIM115
    opening.start()
    opening.join(_PATIENCE)
    if not opened:
        raise OSError(errno.ETIMEDOUT, f"nothing was written to this FIFO within {_PATIENCE:g} s", path)
    return opened[0]


def _require_regular(path: str, mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not stat.S_ISREG(mode) and path != os.devnull:
        raise OSError(errno.EINVAL, "it is not a regular file", path)


def read_bounded(path: Path, most: int) -> bytes:
    """The bytes of a file. Raises OSError, also if it has more than `most` bytes or does not end in time."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return drain(descriptor, most, READ_WITHIN)
    except OSError as exc:
        exc.filename = exc.filename or str(path)
        raise
    finally:
        os.close(descriptor)


def drain(descriptor: int, most: int, seconds: float) -> bytes:
    """Read all bytes until the end. Raises OSError if there are more than `most` bytes, or if it takes longer
    than `seconds`."""
    found, until = bytearray(), time.monotonic() + seconds
    while True:
        if not select.select([descriptor], [], [], max(0.0, until - time.monotonic()))[0]:
            raise OSError(errno.ETIMEDOUT, f"it did not end within {seconds:g} s")
        try:
            piece = os.read(descriptor, 65536)
        except BlockingIOError:
            continue
        if not piece:
            return bytes(found)
        found += piece
        if len(found) > most:
            raise OSError(errno.EFBIG, f"it holds more than {most:,} bytes")


class NotWritten(AdminError):
    """A file could not be written. It is unchanged."""

    code = "not_written"


def replace_file(path: Path, data: Iterable[bytes]) -> None:
    """Replace the file at `path` atomically by these pieces. The new file is readable by everybody. Raises
    NotWritten.

    If the path is not a regular file, such as /dev/stdout, the pieces are written to it instead.
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
    # Write the new file in the same folder, because a rename is atomic only within a file system. Its name
    # has no extension that a collector would read.
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
