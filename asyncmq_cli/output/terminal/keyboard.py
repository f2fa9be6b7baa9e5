"""Keys typed while a live screen is shown."""

from __future__ import annotations

import os
import select
import sys
import termios
import time
from typing import Any

_LOCAL_MODES, _CHARACTERS = 3, 6
"""Their positions in the list that `termios.tcgetattr` returns."""
_NO_CHARACTER = b"\0"


def leads_session() -> bool:
    """Whether this process leads the session of its terminal, so that no shell could continue it after
    Ctrl-Z."""
    return os.getsid(0) == os.getpid()


class Keyboard:
    """Between `take` and `give_back`, typed keys are not echoed, and unread keys are dropped.
    Ctrl-C works as usual, and Ctrl-Z does if there is a shell."""

    def __init__(self) -> None:
        # The terminal that is drawn on is the one that echoes, wherever stdin comes from.
        self._terminal = sys.stdout.fileno()
        self._keys: int | None = sys.stdin.fileno() if sys.stdin and sys.stdin.isatty() else None
        self._before: list[Any] | None = None

    def take(self) -> None:
        self._before = termios.tcgetattr(self._terminal)
        modes = termios.tcgetattr(self._terminal)
        modes[_LOCAL_MODES] &= ~(termios.ECHO | termios.ICANON)
        if leads_session():
            # Nobody could continue it after Ctrl-Z.
            modes[_CHARACTERS][termios.VSUSP] = _NO_CHARACTER
        termios.tcsetattr(self._terminal, termios.TCSADRAIN, modes)

    def give_back(self) -> None:
        """Raises OSError where the terminal is gone."""
        if self._before is not None:
            before, self._before = self._before, None
            try:
                termios.tcsetattr(self._terminal, termios.TCSAFLUSH, before)
            except termios.error as exc:
                raise OSError(*exc.args) from exc

    def typed(self, seconds: float) -> str:
        """The keys typed within `seconds`, else an empty text."""
        if self._keys is None:
            time.sleep(seconds)
            return ""
        if not select.select([self._keys], [], [], seconds)[0]:
            return ""
        found = os.read(self._keys, 1024)
        if not found:
            self._keys = None
        return found.decode("ascii", "replace")
