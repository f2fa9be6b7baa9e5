"""Run the tool on a terminal, and read the screen with a terminal emulator."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

import pyte

from tests.conftest import environment
from tests.support.forked import Forked

_PATIENCE = 30.0
ALTERNATE, NORMAL = b"\x1b[?1049h", b"\x1b[?1049l"
TOOL = (sys.executable, "-m", "asyncmq_cli")
CURSOR_HIDDEN, CURSOR_SHOWN = b"\x1b[?25l", b"\x1b[?25h"


class LiveTerminal:
    """A command on its own terminal. A context manager, which kills the command at the end.

    `program` is the program to run: the tool or a shell.
    """

    def __init__(
        self,
        *args: str,
        url: str,
        columns: int = 80,
        rows: int = 24,
        env: dict[str, str] | None = None,
        program: Sequence[str] = TOOL,
    ) -> None:
        self._args = (*program, *args)
        self._env = {**environment(url), "TERM": "xterm-256color", **(env or {})}
        self._env.pop("COLUMNS", None)
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self.raw = b""

    def __enter__(self) -> LiveTerminal:
        self._ours, theirs = pty.openpty()
        self._tell_size()
        streams = dict.fromkeys(("stdin", "stdout", "stderr"), theirs)
        self._process = (
            Forked(self._args[1:], env=self._env, terminal=True, **streams)
            if self._args[0] == sys.executable
            else subprocess.Popen(
                self._args,
                env=self._env,
                start_new_session=True,
                # Ctrl-C reaches the process only if this is its controlling terminal.
                preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
                **streams,
            )
        )
        os.close(theirs)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        if self._ours >= 0:
            os.close(self._ours)

    @property
    def lines(self) -> Sequence[str]:
        """The text on the screen, without the blanks at the end of each line."""
        return [line.rstrip() for line in self._screen.display]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def until(self, seen: Callable[[str], bool]) -> str:
        """Read until the text on the screen meets the condition. Fails if it never does."""
        deadline = time.monotonic() + _PATIENCE
        while not seen(self.text):
            assert time.monotonic() < deadline, f"still not there:\n{self.text}"
            assert self._read(1.0) or self._process.poll() is None, f"it has ended:\n{self.text}"
        return self.text

    def shows(self, *words: str) -> str:
        return self.until(lambda text: all(word in text for word in words))

    def press(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def press_until(self, keys: str, seen: Callable[[str], bool]) -> str:
        """Press a key repeatedly, because it has no effect until the previous one was handled."""
        deadline = time.monotonic() + _PATIENCE
        while not seen(self.text):
            assert time.monotonic() < deadline, f"still not there:\n{self.text}"
            self.press(keys)
            while self._read(0.5) and not seen(self.text):
                pass
        return self.text

    def resize(self, columns: int, rows: int) -> None:
        """Resize the terminal, which sends SIGWINCH to the process."""
        self._screen.resize(rows, columns)
        self._screen.reset()
        self._tell_size()

    def hang_up(self) -> int:
        """Close the terminal, like its window. Returns the exit status of the command."""
        os.close(self._ours)
        self._ours = -1
        return self._process.wait(_PATIENCE)

    def send(self, number: signal.Signals) -> None:
        os.kill(self._process.pid, number)

    @property
    def is_stopped(self) -> bool:
        return Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"

    @property
    def echoes(self) -> bool:
        """Whether the terminal echoes typed characters and reads whole lines, as at the start."""
        modes = termios.tcgetattr(self._ours)[3]
        return modes & termios.ECHO != 0 and modes & termios.ICANON != 0

    def end(self) -> int:
        """The exit status, after the process has ended and all of its output was read."""
        deadline = time.monotonic() + _PATIENCE
        while self._read(0.5) or self._process.poll() is None:
            assert time.monotonic() < deadline, f"it does not end:\n{self.text}"
        return self._process.returncode

    @property
    def is_given_back(self) -> bool:
        """Whether the program ended by showing the cursor and the previous screen again."""
        return (
            self.raw.count(ALTERNATE) == self.raw.count(NORMAL)
            and self.raw.rfind(CURSOR_SHOWN) > self.raw.rfind(CURSOR_HIDDEN)
            and self.raw.rfind(NORMAL) > self.raw.rfind(ALTERNATE)
        )

    @property
    def after(self) -> str:
        """The output after the terminal was restored."""
        return self.raw[self.raw.rfind(NORMAL) + len(NORMAL) :].replace(CURSOR_SHOWN, b"").decode().strip()

    def _read(self, seconds: float) -> bool:
        ready, _, _ = select.select([self._ours], [], [], seconds)
        if not ready:
            return False
        try:
            piece = os.read(self._ours, 65536)
        except OSError:
            return False
        self.raw += piece
        self._stream.feed(piece)
        return bool(piece)

    def _tell_size(self) -> None:
        size = struct.pack("HHHH", self._screen.lines, self._screen.columns, 0, 0)
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, size)
