"""Make the three standard streams usable even if the caller closed or redirected them.

A closed stream is replaced by /dev/null, because otherwise the next file or socket would get its number. A
failed write to stdout raises OutputClosed or OutputFailed once, never an OSError; later output is dropped.
Writing to stderr never fails, because a lost message must not change what the program does.
"""

from __future__ import annotations

import io
import os
import select
import sys
import time
from typing import Any, TextIO

from asyncmq_cli.errors import OutputClosed, OutputFailed, UsageProblem
from asyncmq_cli.system import signals

_PATIENCE = 2.0
"""Seconds that the reader has for each remaining piece of output after a signal."""
_LONGEST_POLL = 3600.0
_LONGEST_LINE = 1024 * 1024
_MOST = 256 * 1024 * 1024


def guard() -> None:
    """Replace the standard streams of this process by safe ones."""
    for number in range(3):
        _open_if_closed(number)
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
    sys.stdout = _rebuilt(sys.stdout, _Stdout(1), "surrogateescape")
    sys.stderr = _rebuilt(sys.stderr, _Stderr(2), "backslashreplace")


def _open_if_closed(number: int) -> None:
    try:
        os.fstat(number)
    except OSError:
        # The lowest free number, which `open` uses, is this one.
        os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


def _rebuilt(stream: TextIO | None, raw: _Writer, errors: str) -> TextIO:
    """A stream like the given one that writes to `raw`."""
    before: Any = stream
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding="utf-8" if before is None else before.encoding,
        errors=errors if before is None else before.errors,
        # With PYTHONUNBUFFERED, Python does not report line buffering for stderr.
        line_buffering=before is None or before.line_buffering or isinstance(raw, _Stderr),
    )


class _Writer(io.FileIO):
    def __init__(self, number: int) -> None:
        super().__init__(number, "w", closefd=False)
        self._is_lost = False

    def write(self, data: Any) -> int:
        size = len(memoryview(data).cast("B"))
        if not self._is_lost and signals.is_under_way():
            # A reader that does not read must not block the program. If the pipe is writable, it accepts this
            # piece.
            self._is_lost = not select.select([], [self], [], _PATIENCE)[1]
            data = memoryview(data).cast("B")[: select.PIPE_BUF]
        if self._is_lost:
            return size
        try:
            # None means that the pipe is full and that another process has made it non-blocking.
            while (written := super().write(data)) is None:
                select.select([], [self], [])
        except OSError as exc:
            self._is_lost = True
            self._lose(exc)
            return size
        return written

    def _lose(self, exc: OSError) -> None:
        raise NotImplementedError


class _Stdout(_Writer):
    def _lose(self, exc: OSError) -> None:
        if isinstance(exc, BrokenPipeError):
            raise OutputClosed from exc
        raise OutputFailed(exc) from exc


class _Stderr(_Writer):
    def _lose(self, exc: OSError) -> None:
        """Do nothing: an error of stderr cannot be reported anywhere."""


def rest(stream: TextIO, seconds: float) -> None:
    """Sleep. Raises OutputClosed as soon as the reader of the stream closes it, which otherwise would only be
    noticed by the next write."""
    deadline = time.monotonic() + seconds
    watched = select.poll()
    # poll reports a hang-up even if no events are requested.
    watched.register(stream.fileno(), 0)
    while True:
        left = max(0.0, deadline - time.monotonic())
        for _, event in watched.poll(min(left, _LONGEST_POLL) * 1000):
            if event & (select.POLLERR | select.POLLHUP):
                raise OutputClosed
            # For a stream that it cannot watch, poll returns at once.
            time.sleep(left)
        if left <= 0:
            return


_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def lines_of_stdin() -> list[bytes]:
    """The lines of stdin without their line ends. Raises UsageProblem if it cannot be read, if it is UTF-16
    (as shells of Windows write), or if it cannot be a list of names because it has an endless line or more
    than 256 MiB."""
    lines: list[bytes] = []
    left = _MOST
    try:
        while line := sys.stdin.buffer.readline(_LONGEST_LINE):
            left -= len(line)
            if left < 0 or (len(line) == _LONGEST_LINE and not line.endswith(b"\n")):
                raise UsageProblem(
                    "standard input is too large for a list of names",
                    hint="one name a line, each of less than 1 MiB, and 256 MiB in all",
                )
            if not lines and line[:2] in _UTF16 and b"\0" in line[2:4]:
                raise UsageProblem("standard input is UTF-16", hint="write it as UTF-8")
            lines.append(line.rstrip(b"\n"))
    except OSError as exc:
        raise UsageProblem(f"cannot read standard input: {exc.strerror or exc}") from exc
    return lines
