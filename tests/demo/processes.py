"""The processes and files that a program has started and left, as seen from outside."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest

PATIENCE = 60.0
"""Seconds until a test gives up waiting; no test depends on how much of it is used."""

DEFAULT_SIGNALS = """
import signal
# Started by a shell with `&`, a test run ignores SIGINT, and its children with it.
signal.signal(signal.SIGINT, signal.default_int_handler)
"""


def is_running(pid: int) -> bool:
    """Whether the process exists and has not ended; an unreaped process has ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return not Path("/proc/self").exists()
    return stat.rpartition(")")[2].split()[0] != "Z"


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@contextmanager
def started(script: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Python program that is stopped at the end."""
    program = subprocess.Popen(
        [sys.executable, "-c", DEFAULT_SIGNALS + script, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield program
    finally:
        program.kill()
        program.communicate()


class Report:
    """What a program reports about its processes and its directory, as one line of JSON."""

    def __init__(self, program: subprocess.Popen[bytes]) -> None:
        if program.stdout is None or program.stderr is None:
            pytest.fail("the program was started without pipes")
        line = program.stdout.readline()
        if not line:
            pytest.fail(program.stderr.read().decode())
        reported = orjson.loads(line)
        self.pids: list[int] = reported["pids"]
        self.directory = Path(reported["directory"])

    @property
    def nothing_runs(self) -> bool:
        return not any(is_running(pid) for pid in self.pids)
