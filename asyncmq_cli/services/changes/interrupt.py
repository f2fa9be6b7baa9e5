"""Signals such as Ctrl-C between two changes rather than in the middle of one."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from asyncmq_cli.system import signals

_POLL_EVERY = 0.1


class Stop:
    """Whether a signal has asked for the end, and which."""

    def __init__(self) -> None:
        self._number: int | None = None

    @property
    def requested(self) -> bool:
        return self._number is not None

    def ask(self, number: int) -> None:
        # Called by a signal's handler, at any moment: no lock may be taken here.
        self._number = self._number or number

    def wait(self, seconds: float) -> None:
        """Sleep, but no longer than until the signal."""
        until = time.monotonic() + seconds
        while not self.requested and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _POLL_EVERY))
        self.between_targets()

    def between_targets(self) -> None:
        """Raise signals.Ended here if a signal came since the last target."""
        if self._number is not None:
            raise signals.Ended(self._number)


@contextmanager
def deferred_interrupt() -> Iterator[Stop]:
    """Within it, a signal waits for the change that is being made. A second Ctrl-C does not; what supervisors
    send may come twice without anybody's impatience."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def note(number: int, frame: FrameType | None) -> None:
        if stop.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.ask(number)

    before = signals.handle(note)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    stop.between_targets()
