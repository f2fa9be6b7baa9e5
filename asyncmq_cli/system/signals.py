"""Raise an exception for signals that end the program, so that changes in progress are finished and the
terminal is restored."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_PATIENCE = 2.0
"""Seconds for printing the report of a change after a signal."""

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class Ended(KeyboardInterrupt):
    """One of the signals in ENDING has arrived. `number` is its number."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number
        _ending.is_under_way = _ending.is_under_way or number != signal.SIGINT


def number_of(exc: KeyboardInterrupt) -> int:
    """The number of the signal that caused the exception. A plain KeyboardInterrupt comes from Ctrl-C."""
    return exc.number if isinstance(exc, Ended) else signal.SIGINT


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
            signal.setitimer(signal.ITIMER_REAL, _PATIENCE)
        elif not self._was_raised:
            self._was_raised = True
            raise Ended(number)
        elif not self.must_clean_up:
            # This is the second signal. Do not wait for anything that is still running, such as a write to a
            # full pipe.
            os._exit(128 + number)

    def on_alarm(self, number: int, frame: FrameType | None) -> None:
        if (noted := self.taken()) is not None:
            self.on_signal(noted, frame)

    def taken(self) -> int | None:
        """The signal that waits for a report, or None. From now on, signals do not wait for a report."""
        if not self.reports_first:
            return None
        signal.setitimer(signal.ITIMER_REAL, 0)
        self.reports_first = False
        noted, self.noted = self.noted, None
        return noted


_ending = _Ending()


def install() -> None:
    """From now on, the first signal in ENDING raises Ended, and the next one ends the process at once."""
    handle(_ending.on_signal)


def handle(handler: Callable[[int, FrameType | None], Any]) -> dict[int, Any]:
    """Set the handler of all signals in ENDING. Returns the previous handlers, for restoring them. A signal
    that is ignored from the start, such as SIGHUP under nohup, stays ignored."""
    return {
        number: signal.signal(number, handler)
        for number in ENDING
        if signal.getsignal(number) not in (None, signal.SIG_IGN)
    }


@contextmanager
def held() -> Iterator[None]:
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
    """Until `reported` or `taken` is called, a signal waits until the report is printed, but only for some
    seconds, because the output may be blocked. A second signal does not wait. Has no effect unless `install`
    set one of these handlers."""
    if _ending.on_signal in handlers:
        signal.signal(signal.SIGALRM, _ending.on_alarm)
        _ending.reports_first = True


def taken() -> int | None:
    """The signal that has arrived since `report_first`, or None. From now on, signals do not wait for a
    report."""
    return _ending.taken()


def reported() -> None:
    """Raise the signal that has arrived since `report_first`, if any. From now on, signals do not wait for a
    report."""
    if (noted := _ending.taken()) is not None:
        _ending.on_signal(noted, None)


def is_under_way() -> bool:
    """Whether another program has asked this one to end, and may be waiting for it. (A user at a terminal
    would press Ctrl-C again.)"""
    return _ending.is_under_way


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
