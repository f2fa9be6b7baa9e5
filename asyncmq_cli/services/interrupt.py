"""Ctrl-C between two changes rather than in the middle of one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stop:
    """Whether an interrupt was asked for."""

    def __init__(self) -> None:
        self._asked = threading.Event()

    @property
    def requested(self) -> bool:
        return self._asked.is_set()

    def ask(self) -> None:
        self._asked.set()

    def wait(self, seconds: float) -> None:
        """Sleep, but no longer than until the interrupt."""
        if seconds > 0:
            self._asked.wait(seconds)
        self.between_targets()

    def between_targets(self) -> None:
        """Raise KeyboardInterrupt here if it came since the last target."""
        if self.requested:
            raise KeyboardInterrupt


@contextmanager
def deferred_interrupt() -> Iterator[Stop]:
    """Within it, a first Ctrl-C waits for the change that is being made; a second one does not."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def note(number: int, frame: FrameType | None) -> None:
        if stop.requested:
            raise KeyboardInterrupt
        stop.ask()

    before = signal.signal(signal.SIGINT, note)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)
    stop.between_targets()
