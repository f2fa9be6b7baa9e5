"""Running `asyncmq` itself, or a shell, as a child on the terminal that we are on."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping, Sequence
from io import FileIO

from asyncmq_cli.demo.environment import module_environment
from asyncmq_cli.demo.processes import exit_status, stop_process

_CTRL_C_SECONDS = 2.0
"""How long a child that should have got a Ctrl-C of its own may take before it is sent one."""

_SHAPE = (40, 100)
"""Lines and columns of the terminal for what is read in a log."""


def asyncmq_command(arguments: Sequence[str]) -> list[str]:
    """The command line that runs this very program, whatever `asyncmq` is on PATH."""
    return [sys.executable, "-m", "asyncmq_cli", *arguments]


def asyncmq_environment(url: str) -> dict[str, str]:
    return module_environment(with_redis(url))


def with_redis(url: str) -> dict[str, str]:
    """Our environment, with `url` as the Redis of whatever runs in it."""
    return {**os.environ, "ASYNCMQ_REDIS_URL": url, "REDIS_URL": url}


def run_child(
    argv: Sequence[str], environ: Mapping[str, str], *, farewell: signal.Signals = signal.SIGTERM
) -> int:
    """Run a program with our standard input and outputs and return its exit status.

    A Ctrl-C on the terminal reaches the child too. It gets the time to end as it sees fit, and
    then KeyboardInterrupt goes on. Any other exception ends the child first, with `farewell`.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    return _wait_for(subprocess.Popen(argv, env=environ), farewell)


def run_for_people(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """As `run_child`, and what is printed reads as on a terminal where standard output is none, as in a log:
    the program then writes to a pseudo-terminal without colours, and we pass that on."""
    if sys.stdout.isatty():
        return run_child(argv, environ)
    sys.stdout.flush()
    ours, its = os.openpty()
    with FileIO(ours, "rb") as screen:
        try:
            _shape(its)
            plain = {**environ, "NO_COLOR": "1", "TERM": "dumb"}
            child = subprocess.Popen(argv, env=plain, stdin=subprocess.DEVNULL, stdout=its, stderr=its)
        finally:
            os.close(its)
        try:
            while data := _read(screen):
                sys.stdout.buffer.write(data)
                sys.stdout.flush()
        except BaseException:
            stop_process(child, (signal.SIGTERM, 5))
            raise
        return _wait_for(child, signal.SIGTERM)


def _shape(terminal: int) -> None:
    """So large, and what is written comes out as it is."""
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", *_SHAPE, 0, 0))
    mode = termios.tcgetattr(terminal)
    mode[1] &= ~termios.OPOST
    termios.tcsetattr(terminal, termios.TCSANOW, mode)


def _read(screen: FileIO) -> bytes:
    try:
        return screen.read(65536) or b""
    except OSError as exc:
        # This is how Linux tells that the program has closed its side.
        if exc.errno != errno.EIO:
            raise
        return b""


def _wait_for(child: subprocess.Popen[bytes], farewell: signal.Signals) -> int:
    try:
        return exit_status(child.wait())
    except KeyboardInterrupt:
        try:
            child.wait(_CTRL_C_SECONDS)
        except subprocess.TimeoutExpired:
            # It may be that only we were sent the signal.
            stop_process(child, (signal.SIGINT, 5), (signal.SIGTERM, 5))
        raise
    except BaseException:
        stop_process(child, (farewell, 5))
        raise
