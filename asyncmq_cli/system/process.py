"""The streams and the signals of this process.

A standard stream that the caller closed is replaced by /dev/null, because otherwise the next file or socket
would get its number. A failed write to stdout raises OutputClosed or OutputFailed once, never an OSError;
later output is dropped. Writing to stderr never fails, because a lost message must not change what the
program does.

A signal that ends the program raises an exception, so that changes in progress are finished and the terminal
is restored.
"""

from __future__ import annotations

import io
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TextIO

from asyncmq_cli.errors import Interrupted, OutputClosed, OutputFailed, UsageProblem

_PATIENCE = 2.0
"""Seconds that the reader has for each remaining piece of output after a signal."""
_STDERR = 2
_LONGEST_POLL = 3600.0
_LONGEST_LINE = 1024 * 1024
_MOST = 256 * 1024 * 1024


def guard_streams() -> None:
    """Replace the standard streams of this process by safe ones."""
    for number in range(3):
        _open_if_closed(number)
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
    sys.stdout = _rebuilt(sys.stdout, 1, "surrogateescape")
    sys.stderr = _rebuilt(sys.stderr, _STDERR, "backslashreplace")


def _open_if_closed(number: int) -> None:
    try:
        os.fstat(number)
    except OSError:
        # The lowest free number, which `open` uses, is this one.
        os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


def _rebuilt(stream: TextIO | None, number: int, errors: str) -> TextIO:
    """A safe stream like the given one that writes to the descriptor `number`."""
    before: Any = stream
    return io.TextIOWrapper(
        io.BufferedWriter(_Writer(number)),
        encoding="utf-8" if before is None else before.encoding,
        errors=errors if before is None else before.errors,
        # With PYTHONUNBUFFERED, Python does not report line buffering for stderr.
        line_buffering=before is None or before.line_buffering or number == _STDERR,
    )


class _Writer(io.FileIO):
    def __init__(self, number: int) -> None:
        super().__init__(number, "w", closefd=False)
        self._is_lost = False

    def write(self, data: Any) -> int:
        size = len(memoryview(data).cast("B"))
        if not self._is_lost and _ending.is_under_way:
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
            # An error of stderr cannot be reported anywhere.
            if self.fileno() == _STDERR:
                return size
            if isinstance(exc, BrokenPipeError):
                raise OutputClosed from exc
            raise OutputFailed(exc) from exc
        return written


def rest(stream: TextIO, seconds: float) -> None:
    """Sleep. Raises OutputClosed as soon as the reader of the stream closes it, which otherwise would only be
    noticed by the next write."""
    until = time.monotonic() + seconds
    watched = select.poll()
    # poll reports a hang-up even if no events are requested.
    watched.register(stream.fileno(), 0)
    while True:
        left = max(0.0, until - time.monotonic())
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


_REPORT_PATIENCE = 2.0
"""Seconds for printing the report of a change after a signal."""

ENDING = {
    signal.SIGINT: "interrupted",
    signal.SIGTERM: "terminated",
    signal.SIGHUP: "hung_up",
    signal.SIGQUIT: "quit",
}
"""The signals that end the program, and the codes of their errors."""


class Ended(KeyboardInterrupt):
    """One of the signals in ENDING has arrived. `number` is its number."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number
        _ending.is_under_way = _ending.is_under_way or number != signal.SIGINT


def interruption(exc: KeyboardInterrupt, outcome: str | None = None) -> Interrupted:
    """The error for a signal; a plain KeyboardInterrupt comes from Ctrl-C. `outcome` says what became of the
    changes."""
    number = exc.number if isinstance(exc, Ended) else signal.SIGINT
    code = ENDING[signal.Signals(number)]
    word = code.replace("_", " ")
    error = Interrupted(code, f"{word}; {outcome}" if outcome else word)
    error.exit_code = 128 + number
    return error


class _Ending:
    """The signal that has arrived, and whether it may be raised now."""

    def __init__(self) -> None:
        self.is_held = False
        self.reports_first = False
        self.must_clean_up = False
        self.is_under_way = False
        self.noted: int | None = None
        self._was_raised = False

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.is_held:
            self.noted = self.noted or number
        elif self.reports_first and self.noted is None:
            self.noted = number
            signal.setitimer(signal.ITIMER_REAL, _REPORT_PATIENCE)
        elif not self._was_raised:
            self._was_raised = True
            raise Ended(number)
        elif not self.must_clean_up:
            # This is the second signal. Do not wait for anything that is still running, such as a write to a
            # full pipe.
            os._exit(128 + number)


_ending = _Ending()


def install_signals() -> None:
    """From now on, the first signal in ENDING raises Ended, and the next one ends the process at once."""
    handle_signals(_ending.on_signal)


def handle_signals(handler: Callable[[int, FrameType | None], Any]) -> dict[int, Any]:
    """Set the handler of all signals in ENDING. Returns the previous handlers, for restoring them. A signal
    that is ignored from the start, such as SIGHUP under nohup, stays ignored."""
    return {
        number: signal.signal(number, handler)
        for number in ENDING
        if signal.getsignal(number) not in (None, signal.SIG_IGN)
    }


@contextmanager
def signals_held() -> Iterator[None]:
    """A context in which signals are only noted. They are raised at its end."""
    before, _ending.is_held = _ending.is_held, True
    try:
        yield
    finally:
        _ending.is_held = before
    if not before and _ending.noted is not None:
        number, _ending.noted = _ending.noted, None
        _ending.on_signal(number, None)


def report_first(handlers: Iterable[Any]) -> None:
    """Until `reported` or `taken_signal` is called, a signal waits until the report is printed, but only for
    some seconds, because the output may be blocked. A second signal does not wait. Has no effect unless
    `install_signals` set one of these handlers."""
    if _ending.on_signal in handlers:
        signal.signal(signal.SIGALRM, lambda number, frame: reported())
        _ending.reports_first = True


def taken_signal() -> int | None:
    """The signal that has arrived since `report_first`, or None. From now on, signals do not wait for a
    report."""
    if not _ending.reports_first:
        return None
    signal.setitimer(signal.ITIMER_REAL, 0)
    _ending.reports_first = False
    noted, _ending.noted = _ending.noted, None
    return noted


def reported() -> None:
    """Raise the signal that has arrived since `report_first`, if any. From now on, signals do not wait for a
    report."""
    if (noted := taken_signal()) is not None:
        _ending.on_signal(noted, None)


def must_clean_up(is_so: bool) -> None:
    """Set whether something must be restored, such as the terminal. If so, a second signal waits for it."""
    _ending.must_clean_up = is_so


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """A context in which TimeoutError is raised after `seconds`. A socket's own timeout is for each read, so
    it starts again with each byte. Only for the main thread."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise TimeoutError("timed out")

    before = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        signal.signal(signal.SIGALRM, before)
