"""Run `asyncmq` itself, or a shell, as a child process on our terminal."""

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
from pathlib import Path

from asyncmq_cli.demo.environment import module_environment
from asyncmq_cli.demo.processes import exit_status, stop_process

_CTRL_C_SECONDS = 2.0
"""Seconds to wait for a child that should have received Ctrl-C itself, before SIGINT is sent to it."""

_COLUMNS = 100
_KEPT = ("ASYNCMQ_ACTOR",)
"""The settings that also apply in the demo. The others are meant for another Redis."""


def asyncmq_command(arguments: Sequence[str]) -> list[str]:
    """The command line that runs this program, even if PATH has another `asyncmq`."""
    return [sys.executable, "-m", "asyncmq_cli", *arguments]


def asyncmq_environment(url: str, directory: Path) -> dict[str, str]:
    return module_environment(with_redis(url, directory))


def with_redis(url: str, directory: Path) -> dict[str, str]:
    """Our environment with `url` as the Redis, and without the user's settings and contexts, which may name a
    production server. The configuration file is in `directory`."""
    config = directory / "config.toml"
    config.touch()
    environ = {
        name: value for name, value in os.environ.items() if not name.startswith("ASYNCMQ_") or name in _KEPT
    }
    return {**environ, "ASYNCMQ_REDIS_URL": url, "REDIS_URL": url, "ASYNCMQ_CONFIG": str(config)}


def run_child(
    argv: Sequence[str], environ: Mapping[str, str], *, farewell: signal.Signals = signal.SIGTERM
) -> int:
    """Run a program with our standard streams, and return its exit status.

    Ctrl-C on the terminal also reaches the child. The child gets time to end by itself, and then
    KeyboardInterrupt is raised. Any other exception first ends the child with the signal `farewell`.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    return _wait_for(subprocess.Popen(argv, env=environ), farewell)


def run_for_people(argv: Sequence[str], environ: Mapping[str, str], *, lines: int) -> int:
    """Run a program whose output looks as on a terminal, also if our stdout is a file or a log, but then
    without colours. The terminal has `lines` lines, and 100 columns or as many as ours. Returns the exit
    status."""
    shown_to = sys.stdout.fileno() if sys.stdout.isatty() else None
    columns = (
        _COLUMNS if shown_to is None else min(_COLUMNS, os.get_terminal_size(shown_to).columns or _COLUMNS)
    )
    plain = {"NO_COLOR": "1", "TERM": "dumb"} if shown_to is None else {}
    sized = {name: value for name, value in environ.items() if name not in ("COLUMNS", "LINES")}
    sys.stdout.flush()
    ours, its = os.openpty()
    with FileIO(ours, "rb") as screen:
        try:
            _shape(its, lines, columns)
            child = subprocess.Popen(
                argv, env={**sized, **plain}, stdin=subprocess.DEVNULL, stdout=its, stderr=its
            )
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


def _shape(terminal: int, lines: int, columns: int) -> None:
    """Set the size of the terminal, and pass its output through unchanged."""
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    mode = termios.tcgetattr(terminal)
    mode[1] &= ~termios.OPOST
    termios.tcsetattr(terminal, termios.TCSANOW, mode)


def _read(screen: FileIO) -> bytes:
    try:
        return screen.read(65536) or b""
    except OSError as exc:
        # On Linux this error means that the program has closed its side.
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
            # Perhaps only this process got the signal, so send it to the child.
            stop_process(child, (signal.SIGINT, 5), (signal.SIGTERM, 5))
        raise
    except BaseException:
        stop_process(child, (farewell, 5))
        raise
