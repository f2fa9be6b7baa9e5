"""Defer signals such as Ctrl-C to the moment between two changes."""

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
    """The signal, if any, that asked the run to stop."""

    def __init__(self) -> None:
        self._number: int | None = None

    @property
    def requested(self) -> bool:
        return self._number is not None

    def ask(self, number: int) -> None:
        # Runs in a signal handler, so it must not take a lock.
        self._number = self._number or number

    def wait(self, seconds: float) -> None:
        """Sleep, but stop at a signal."""
        until = time.monotonic() + seconds
        while not self.requested and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _POLL_EVERY))
        self.between_targets()

    def between_targets(self) -> None:
        """Raise signals.Ended if a signal has arrived."""
        if self._number is not None:
            raise signals.Ended(self._number)


@contextmanager
def deferred_interrupt() -> Iterator[Stop]:
    """Within it, a signal waits until the current change is done. A second Ctrl-C interrupts at
    once; a second SIGTERM does not, because supervisors may send it twice."""
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
