"""A screen that is drawn anew in place."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from types import FrameType, TracebackType
from typing import Any, NoReturn

_LOOK_EVERY = 0.1
"""Seconds between two looks at the size of the terminal."""


class LiveScreen:
    """Takes over the terminal between `with` and its end, and then gives it back as it was.

    `frame` makes the lines, with their colours, for a width and a height.
    """

    def __init__(self, frame: Callable[[int, int], Sequence[str]]) -> None:
        from rich.console import Console
        from rich.live import Live

        self._frame = frame
        self._console = Console()
        # Errors and warnings have a place on the screen; nothing is to be printed beside it.
        self._live = Live(
            console=self._console,
            screen=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._size = (0, 0)

    def __enter__(self) -> LiveScreen:
        self._before = signal.signal(signal.SIGTERM, _end)
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()
        signal.signal(signal.SIGTERM, self._before)

    def draw(self) -> None:
        from rich.text import Text

        self._size = _size()
        # Or rich would take the variables COLUMNS and LINES for it, which do not follow a resize.
        self._console.size = self._size
        width, height = self._size
        lines = [Text.from_ansi(line, no_wrap=True, overflow="crop") for line in self._frame(width, height)]
        for line in lines:
            line.truncate(width, overflow="ellipsis")
        shown: Any = Text("\n", no_wrap=True).join(lines[:height])
        self._live.update(shown, refresh=True)

    def wait(self, seconds: float) -> None:
        """Sleep, and follow what becomes of the terminal's size meanwhile."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _LOOK_EVERY))
            if _size() != self._size:
                self.draw()


def _size() -> tuple[int, int]:
    """Columns and rows of the terminal."""
    try:
        width, height = os.get_terminal_size(sys.stdout.fileno())
    except OSError:
        width = height = 0
    return width or 80, height or 24


def _end(number: int, frame: FrameType | None) -> NoReturn:
    """As the signal would by itself, but through `__exit__`."""
    sys.exit(128 + number)
