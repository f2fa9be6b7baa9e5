"""Opening what the user names as a file: an answer and no hang, whatever it is."""

from __future__ import annotations

import errno
import os
import stat
import threading
from typing import IO

_PATIENCE = 3.0
"""Seconds that the writer of a FIFO has to open it."""


def open_file(path: str) -> IO[bytes]:
    """Open a regular file, or a FIFO that somebody writes into, to read it. Raises OSError."""
    mode = os.stat(path).st_mode  # noqa: PTH116  names may hold any bytes
    if not stat.S_ISFIFO(mode):
        _require_regular(path, mode)
        return open(path, "rb")  # noqa: PTH123
    opened: list[IO[bytes]] = []
    # The open of a FIFO returns when a writer has opened it too, and nothing else tells of that.
    opening = threading.Thread(target=lambda: opened.append(open(path, "rb")), daemon=True)  # noqa: PTH123, SIM115
    opening.start()
    opening.join(_PATIENCE)
    if not opened:
        raise OSError(
            errno.ETIMEDOUT, f"nobody has begun to write into this FIFO within {_PATIENCE:g} s", path
        )
    return opened[0]


def _require_regular(path: str, mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not stat.S_ISREG(mode) and path != os.devnull:
        raise OSError(errno.EINVAL, "it is not a regular file", path)
