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
        self.requested = False

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
        stop.requested = True

    before = signal.signal(signal.SIGINT, note)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)
    stop.between_targets()
