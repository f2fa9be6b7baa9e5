"""The screen on a real terminal: it is given back whole, however the program ends."""

from __future__ import annotations

import os
import pty
import select
import signal
import sys
import termios
import time
from collections.abc import Callable

import pytest
import redis

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import environment
from tests.support.forked import Forked

LEFT = b"\x1b[?1049l"
"""Leaves the alternate screen."""


class Terminal:
    def __init__(self, url: str) -> None:
        self.ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (24, 80)) if sys.version_info >= (3, 11) else None
        self.before = termios.tcgetattr(theirs)
        env = {**environment(url), "TERM": "xterm-256color", "LINES": "24"}
        streams = dict.fromkeys(("stdin", "stdout", "stderr"), theirs)
        self.process = Forked(["-m", "asyncmq_cli", "ui"], env=env, terminal=True, **streams)
        self.theirs = theirs
        self.shown = b""

    def reads(self, done: Callable[[bytes], bool]) -> None:
        deadline = time.monotonic() + 30
        while not done(self.shown):
            assert time.monotonic() < deadline, self.shown
            if select.select([self.ours], [], [], 0.1)[0]:
                self.shown += os.read(self.ours, 65536)

    def ends(self) -> int:
        self.reads(lambda shown: LEFT in shown)
        status = self.process.wait(timeout=30)
        assert termios.tcgetattr(self.theirs) == self.before
        return status

    def close(self) -> None:
        self.process.kill()
        os.close(self.ours)
        os.close(self.theirs)


@pytest.mark.parametrize(
    ("end", "status"),
    [
        (lambda terminal: os.write(terminal.ours, b"q"), 0),
        (lambda terminal: os.write(terminal.ours, b"\x03"), 130),
        (lambda terminal: terminal.process.send_signal(signal.SIGTERM), 143),
    ],
    ids=["q", "ctrl-c", "sigterm"],
)
def test_the_terminal_is_given_back(
    server: PrivateRedis, production: redis.Redis, end: Callable[[Terminal], object], status: int
) -> None:
    terminal = Terminal(server.url)
    try:
        terminal.reads(lambda shown: b"emails" in shown)
        end(terminal)
        assert terminal.ends() == status
        assert b"Traceback" not in terminal.shown and b"\x1b[?25h" in terminal.shown
    finally:
        terminal.close()
