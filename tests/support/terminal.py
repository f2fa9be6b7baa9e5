"""Run the tool on a pseudo-terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import termios
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.conftest import environment
from tests.support.forked import Forked

_STYLE = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Screen:
    code: int
    raw: str

    @property
    def text(self) -> str:
        """The output without colours."""
        return _STYLE.sub("", self.raw)

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()


def on_terminal(
    *args: str,
    url: str,
    answer: str | None = None,
    prompt: str = "[y/N] ",
    columns: int = 80,
    env: dict[str, str] | None = None,
    program: Sequence[str] = ("-m", "asyncmq_cli"),
) -> Screen:
    """Run the tool with a terminal for all its streams. When `prompt` is shown, type `answer`."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    settings = {**environment(url), "TERM": "xterm-256color", **(env or {})}
    settings.pop("COLUMNS", None)
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), theirs)
    process = Forked([*program, *args], env=settings, terminal=True, **streams)
    os.close(theirs)
    shown = b""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        ready, _, _ = select.select([ours], [], [], 1)
        if not ready:
            continue
        try:
            piece = os.read(ours, 65536)
        except OSError:
            break
        if not piece:
            break
        shown += piece
        if answer is not None and shown.endswith(prompt.encode()):
            os.write(ours, answer.encode())
            answer = None
    os.close(ours)
    return Screen(process.wait(30), shown.decode("utf-8", "replace").replace("\r\n", "\n"))
