"""Open a file named by the user, of any kind, without blocking forever."""

from __future__ import annotations

import errno
import os
import select
import stat
import threading
import time
from pathlib import Path
from typing import IO

_PATIENCE = 3.0
"""Seconds that the writer of a FIFO has to open it."""
READ_WITHIN = 2.0
"""Seconds for a small file: it may be a pipe, or a device that never ends."""


def open_file(path: str) -> IO[bytes]:
    """Open a regular file, or a FIFO that somebody writes into, to read it. Raises OSError."""
    mode = os.stat(path).st_mode  # noqa: PTH116  names may hold any bytes
    if not stat.S_ISFIFO(mode):
        _require_regular(path, mode)
        return open(path, "rb")  # noqa: PTH123
    opened: list[IO[bytes]] = []
    # Opening a FIFO returns only when a writer has opened it; there is no other way to notice a writer.
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
    """A file's bytes. Raises OSError, also where it holds more than `most` or does not end in good time."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return drain(descriptor, most, READ_WITHIN)
    except OSError as exc:
        exc.filename = exc.filename or str(path)
        raise
    finally:
        os.close(descriptor)


def drain(descriptor: int, most: int, seconds: float) -> bytes:
    """All bytes up to the end. Raises OSError where that takes longer, or they are more."""
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
