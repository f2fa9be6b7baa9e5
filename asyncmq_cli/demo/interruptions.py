"""SIGINT, SIGTERM and SIGHUP as exceptions, so that `with` blocks clean up."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_Handler = Callable[[int, FrameType | None], Any] | int | signal.Handlers | None


class Interruptions:
    """Turns the signals that end a program into exceptions, except while `hold` is in force.

    SIGINT becomes KeyboardInterrupt; SIGTERM and SIGHUP become SystemExit with the status that a shell gives
    them. While held, a signal is only remembered. The first signal that is raised holds all further ones, so
    that a second Ctrl-C cannot interrupt the clean-up that the first one started.

    A signal that is ignored (as under nohup) stays ignored. Outside the main thread, where
    Python allows no handlers, nothing is changed.
    """

    def __init__(self) -> None:
        self._previous: dict[signal.Signals, _Handler] = {}
        self._held = False
        self._noted: int | None = None

    def install(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        self._held, self._noted = False, None
        for signum in _SIGNALS:
            previous = signal.getsignal(signum)
            # None: Python did not set this handler and could not restore it.
            if previous is None or previous == signal.SIG_IGN:
                continue
            self._previous[signum] = previous
            signal.signal(signum, self._handle)

    def restore(self) -> None:
        """Restore the former handlers. A remembered signal is raised by `release`."""
        while self._previous:
            signum, previous = self._previous.popitem()
            signal.signal(signum, previous)

    def hold(self) -> None:
        """From here on, only remember signals."""
        self._held = True

    def release(self) -> None:
        """Raise on signals again, at once if one has come meanwhile."""
        self._held = False
        if self._noted is not None:
            noted, self._noted = self._noted, None
            self._raise(noted)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if self._held:
            self._noted = self._noted or signum
        else:
            self._raise(signum)

    def _raise(self, signum: int) -> None:
        self._held = True
        if signum == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + signum)
