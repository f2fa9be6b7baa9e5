"""A full screen that is refreshed in place, and the keys that are typed meanwhile."""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import Any

from asyncmq_cli.errors import OutputClosed, OutputFailed
from asyncmq_cli.system import process

_LOOK_EVERY = 0.1
"""Seconds between two checks of the keys and the terminal's size."""
_QUIT = "q"


class LiveScreen:
    """A context manager that takes over the terminal, and restores it at the end and while Ctrl-Z has stopped
    the process. A resize is drawn at once, even while Redis is being read.

    `frame` returns the lines with their colours for a given width and height.
    """

    def __init__(self, frame: Callable[[int, int], Sequence[str]]) -> None:
        from rich.console import Console
        from rich.live import Live

        self._frame = frame
        # A size until the first frame is drawn. Without it, rich would parse COLUMNS and LINES, which may
        # have any value.
        self._console = Console(width=80, height=24)
        # Errors and warnings are shown on the screen; nothing else may be printed.
        self._live = Live(
            console=self._console,
            screen=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._keyboard = Keyboard()
        self._size = (0, 0)
        self._is_taken = False
        self._is_busy = False
        self._due: list[int] = []
        self._before: dict[int, Any] = {}

    def __enter__(self) -> LiveScreen:
        # From now on, a second signal waits for `_end` instead of ending the program at once.
        process.must_clean_up(True)
        try:
            for number in (signal.SIGTSTP, signal.SIGCONT, signal.SIGWINCH):
                # A signal that was ignored at the start stays ignored.
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._on_signal)
            with self._undisturbed():
                self._take()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def draw(self) -> None:
        with self._undisturbed():
            self._draw()

    def wait(self, seconds: float) -> bool:
        """Sleep, and redraw if the terminal is resized. Returns False as soon as `q` is typed."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self._keyboard.typed(min(left, _LOOK_EVERY))[:1].lower() == _QUIT:
                return False
            if _size() != self._size:
                self.draw()
        return True

    def _draw(self) -> None:
        from rich.text import Text

        self._size = _size()
        # Set the size, because rich would use COLUMNS and LINES, which do not change with a resize.
        self._console.size = self._size
        width, height = self._size
        lines = [Text.from_ansi(line, no_wrap=True, overflow="crop") for line in self._frame(width, height)]
        for line in lines:
            line.truncate(width, overflow="ellipsis")
        shown: Any = Text("\n", no_wrap=True).join(lines[:height])
        self._live.update(shown, refresh=True)

    def _take(self) -> None:
        with process.signals_held():
            self._is_taken = True
            self._keyboard.take()
            self._live.start()

    def _give_back(self) -> None:
        with process.signals_held():
            if self._is_taken:
                self._is_taken = False
                try:
                    self._live.stop()
                finally:
                    self._keyboard.give_back()

    def _end(self) -> None:
        self._is_busy = True
        with process.signals_held():
            # The terminal may be gone, so that it cannot be restored.
            with suppress(OSError, OutputClosed, OutputFailed):
                self._give_back()
            for number, handler in self._before.items():
                signal.signal(number, handler)
            process.must_clean_up(False)

    @contextmanager
    def _undisturbed(self) -> Iterator[None]:
        """A context in which signals wait until the screen has been drawn."""
        self._is_busy = True
        try:
            yield
        finally:
            self._is_busy = False
        self._do_what_is_due()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._due.append(number)
        if not self._is_busy:
            self._do_what_is_due()

    def _do_what_is_due(self) -> None:
        if self._due:
            number = self._due.pop(0)
            with self._undisturbed():
                if number == signal.SIGTSTP:
                    self._stop()
                elif number == signal.SIGCONT:
                    # The process was stopped by SIGSTOP, which cannot be caught, and others may have written
                    # to the terminal.
                    self._give_back()
                    self._take()
                self._draw()

    def _stop(self) -> None:
        self._give_back()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        # The kernel ignores SIGTSTP if no shell controls the process.
        os.kill(os.getpid(), signal.SIGSTOP if leads_session() else signal.SIGTSTP)
        # The shell has continued the process.
        signal.signal(signal.SIGTSTP, self._on_signal)
        self._take()
        self._due.clear()


def _size() -> tuple[int, int]:
    """Columns and rows of the terminal."""
    try:
        width, height = os.get_terminal_size(sys.stdout.fileno())
    except OSError:
        width = height = 0
    return width or 80, height or 24


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
