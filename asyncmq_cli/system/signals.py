"""The signals that end the program, as an exception, so that what was begun is finished or given back."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_PATIENCE = 2.0
"""Seconds that the report of a change may take to be printed after a signal."""

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class Ended(KeyboardInterrupt):
    """One of ENDING has arrived; `number` says which."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number
        _ending.is_under_way = _ending.is_under_way or number != signal.SIGINT


def number_of(exc: KeyboardInterrupt) -> int:
    """The signal of an interrupt; KeyboardInterrupt is Ctrl-C."""
    return exc.number if isinstance(exc, Ended) else signal.SIGINT


class _Ending:
    """What has arrived, and whether this is the moment for it."""

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
            # The second signal: do not wait for anything still running, such as a write to a full pipe.
            os._exit(128 + number)

    def on_alarm(self, number: int, frame: FrameType | None) -> None:
        if (noted := self.taken()) is not None:
            self.on_signal(noted, frame)

    def taken(self) -> int | None:
        """The signal that waits for a report. From here on none does."""
        if not self.reports_first:
            return None
        signal.setitimer(signal.ITIMER_REAL, 0)
        self.reports_first = False
        noted, self.noted = self.noted, None
        return noted


_ending = _Ending()


def install() -> None:
    """From now on, the first signal of ENDING raises Ended; the next one ends the process at once."""
    handle(_ending.on_signal)


def handle(handler: Callable[[int, FrameType | None], Any]) -> dict[int, Any]:
    """Set the handler of all of ENDING; returns those before it, to be set again. What is ignored from
    the start, as SIGHUP under nohup, stays so."""
    return {
        number: signal.signal(number, handler)
        for number in ENDING
        if signal.getsignal(number) not in (None, signal.SIG_IGN)
    }


@contextmanager
def held() -> Iterator[None]:
    """Within it signals are noted, and raised at its end."""
    before, _ending.is_held = _ending.is_held, True
    try:
        yield
    finally:
        _ending.is_held = before
    if not before and _ending.noted is not None:
        number, _ending.noted = _ending.noted, None
        _ending.on_signal(number, None)


def report_first(handlers: Iterable[Any]) -> None:
    """Until `reported` or `taken`, a signal lets what was done be printed first, but not for long: the output
    may be blocked. A second signal does not wait. Only where `install` set one of these handlers."""
    if _ending.on_signal in handlers:
        signal.signal(signal.SIGALRM, _ending.on_alarm)
        _ending.reports_first = True


def taken() -> int | None:
    """The signal that arrived since `report_first`. From here on none waits for a report."""
    return _ending.taken()


def reported() -> None:
    """Raise the signal that arrived since `report_first`. From here on none waits for a report."""
    if (noted := _ending.taken()) is not None:
        _ending.on_signal(noted, None)


def is_under_way() -> bool:
    """Whether another program asked this one to end, and may wait for it. Somebody at a terminal would press
    Ctrl-C again."""
    return _ending.is_under_way


def must_clean_up(is_so: bool) -> None:
    """Whether something has to be given back, such as the terminal, so that a second signal waits for it."""
    _ending.must_clean_up = is_so


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Raises TimeoutError in the block once it takes longer. The time limit of a socket is for each read, so
    it begins anew with each byte. For the main thread alone."""

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
