"""`asyncmq ui` on a terminal: how long its first picture takes, and how long each key."""

from __future__ import annotations

import os
import pty
import select
import signal
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from asyncmq_cli.demo.server import PrivateRedis
from tests.benchmarks.measure import ROOT, environment, tool

PRESSES = 40
_QUIET, _PATIENCE = 0.25, 120.0
"""Seconds without output after which a key is pressed, and until output must have come."""


@dataclass(slots=True)
class Screen:
    """Seconds: from the start to the first picture, and of each key until something of what it does is drawn:
    while nothing else goes on, while all dead jobs are read, and while Redis does not answer."""

    first: float = 0.0
    idle: list[float] = field(default_factory=list)
    reading: list[float] = field(default_factory=list)
    silent: list[float] = field(default_factory=list)


def seen_on(server: PrivateRedis) -> Screen:
    """Counts are only read every minute, so each redraw is the result of a key."""
    found = Screen()
    began = time.monotonic()
    with _opened(server) as terminal:
        _until(terminal, b"q quit")
        found.first = time.monotonic() - began
        found.idle = _pressed(terminal, PRESSES)
        os.write(terminal, b"3")
        # No wait for quiet: the reading draws how far it is.
        found.reading = _pressed(terminal, PRESSES // 4, quiet=0.0)
        os.write(terminal, b"1")
        _until_quiet(terminal, 1.0)
        os.kill(server.pid, signal.SIGSTOP)
        try:
            os.write(terminal, b"r")
            found.silent = _pressed(terminal, PRESSES)
        finally:
            os.kill(server.pid, signal.SIGCONT)
        os.write(terminal, b"\x03")
    return found


@contextmanager
def _opened(server: PrivateRedis) -> Iterator[int]:
    terminal, theirs = pty.openpty()
    words = tool("ui", "--every", "60s", "--timeout", "60")
    env = {**environment(server), "TERM": "xterm-256color", "LINES": "24", "COLUMNS": "80"}
    process = subprocess.Popen(words, env=env, cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    try:
        yield terminal
        _until_quiet(terminal, 1.0)
    finally:
        process.kill()
        process.wait()
        os.close(terminal)


def _pressed(terminal: int, times: int, *, quiet: float = _QUIET) -> list[float]:
    took = []
    for number in range(times):
        _until_quiet(terminal, quiet)
        began = time.monotonic()
        os.write(terminal, b"jk"[number % 2 : number % 2 + 1])
        if not select.select([terminal], [], [], _PATIENCE)[0]:
            raise RuntimeError("a key does nothing")
        took.append(time.monotonic() - began)
    return took


def _until_quiet(terminal: int, seconds: float) -> None:
    while select.select([terminal], [], [], seconds)[0]:
        try:
            os.read(terminal, 65536)
        except OSError:
            return


def _until(terminal: int, text: bytes) -> None:
    seen = b""
    while text not in seen:
        if not select.select([terminal], [], [], _PATIENCE)[0]:
            raise RuntimeError(f"{text!r} is not shown")
        seen += os.read(terminal, 65536)


FIRST_PICTURE, KEY = 1.0, 0.1
"""Seconds at most, the first on a small Redis."""
_KEYS: Mapping[str, Callable[[Screen], list[float]]] = {
    "while nothing is read": lambda look: look.idle,
    "while all dead jobs are read": lambda look: look.reading,
    "while Redis does not answer": lambda look: look.silent,
}


def judged(jobs: int, looks: Sequence[Screen], *, is_small: bool) -> tuple[str, list[str]]:
    """The results of these measurements at a Redis with this many jobs, and the targets that were missed."""
    where = f"`ui` at {jobs:,} jobs"
    picture = statistics.median(look.first for look in looks)
    keys = {
        name: statistics.quantiles([one for look in looks for one in taken(look)], n=20)[-1]
        for name, taken in _KEYS.items()
    }
    missed = [
        f"{where}: a key {name} took {seconds * 1e3:.0f} ms, {KEY * 1e3:.0f} are to be reached"
        for name, seconds in keys.items()
        if seconds > KEY
    ]
    if is_small and picture > FIRST_PICTURE:
        missed.append(f"{where}: the first screen took {picture:.2f} s; target {FIRST_PICTURE:g}")
    spoken = ", ".join(f"{seconds * 1e3:.0f} ms {name}" for name, seconds in keys.items())
    return (
        f"{where}: the first screen after {picture:.2f} s; of its keys 95 % answer within {spoken}",
        missed,
    )
