"""Read the keys that are typed while a refreshed screen is shown."""

from __future__ import annotations

import os
import select
import sys
import termios
import time
from typing import Any

_LOCAL_MODES, _CHARACTERS = 3, 6
"""Positions in the list that `termios.tcgetattr` returns."""
_NO_CHARACTER = b"\0"


def leads_session() -> bool:
    """Whether this process is the session leader of its terminal, so that no shell could continue it after
    Ctrl-Z."""
    return os.getsid(0) == os.getpid()


class Keyboard:
    """Reads keys between `take` and `give_back`. In that time typed keys are not echoed, and keys that were
    not read are dropped at the end. Ctrl-C works as usual, and Ctrl-Z if there is a shell."""

    def __init__(self) -> None:
        # Use stdout's terminal, because it is the one that echoes; stdin may be something else.
        self._terminal = sys.stdout.fileno()
        self._keys: int | None = sys.stdin.fileno() if sys.stdin and sys.stdin.isatty() else None
        self._before: list[Any] | None = None

    def take(self) -> None:
        self._before = termios.tcgetattr(self._terminal)
        modes = termios.tcgetattr(self._terminal)
        modes[_LOCAL_MODES] &= ~(termios.ECHO | termios.ICANON)
        if leads_session():
            # Disable Ctrl-Z, because nobody could continue the process.
            modes[_CHARACTERS][termios.VSUSP] = _NO_CHARACTER
        termios.tcsetattr(self._terminal, termios.TCSADRAIN, modes)

    def give_back(self) -> None:
        """Restore the terminal. Raises OSError if it is gone."""
        if self._before is not None:
            before, self._before = self._before, None
            try:
                termios.tcsetattr(self._terminal, termios.TCSAFLUSH, before)
            except termios.error as exc:
                raise OSError(*exc.args) from exc

    def typed(self, seconds: float) -> str:
        """The keys that are typed within `seconds`; "" if there are none."""
        if self._keys is None:
            time.sleep(seconds)
            return ""
        if not select.select([self._keys], [], [], seconds)[0]:
            return ""
        found = os.read(self._keys, 1024)
        if not found:
            self._keys = None
        return found.decode("ascii", "replace")
