"""The child processes of the demo: their environment, their terminal, and their end, even if the demo itself
is killed."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Mapping, Sequence
from io import FileIO
from pathlib import Path

_PR_SET_PDEATHSIG = 1
"""From <linux/prctl.h>."""


def stop_process(process: subprocess.Popen[bytes], *steps: tuple[signal.Signals, float]) -> None:
    """End a process and reap it. Each step is a signal and the seconds to wait for the process to end.

    SIGKILL follows the last step, so this always succeeds.
    """
    for signum, seconds in steps:
        if process.poll() is not None:
            return
        process.send_signal(signum)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            continue
        return
    process.kill()
    process.wait()


def exit_status(returncode: int) -> int:
    """The exit status that a shell reports: 128 + N for a process that was ended by signal N."""
    return returncode if returncode >= 0 else 128 - returncode


def die_with_parent() -> Callable[[], None] | None:
    """A `preexec_fn` that makes the kernel kill the new process when this process dies, even by SIGKILL.

    Only Linux can do that. Returns None on other systems, and outside the main thread: Linux watches the
    thread that forked, so the process would die when a short-lived thread ends.
    """
    if not sys.platform.startswith("linux") or threading.current_thread() is not threading.main_thread():
        return None
    import ctypes

    try:
        # Look this up before the fork, because nothing should be loaded in the child.
        prctl = ctypes.CDLL(None).prctl
    except (OSError, AttributeError):
        return None
    parent = os.getpid()

    def ask_the_kernel() -> None:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
        if os.getppid() != parent:
            # The parent died before the kernel was asked.
            os._exit(1)

    return ask_the_kernel


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


def module_environment(environ: dict[str, str]) -> dict[str, str]:
    """Make `python -m asyncmq_cli…` find this package and not one of the user's files.

    `-m` searches the working directory first, in which the user may have a `queue.py` or a `redis/`. From
    Python 3.11 on, PYTHONSAFEPATH prevents that. But if the package itself is in the working directory, as in
    a source tree, the directory must be searched.
    """
    package_root = Path(__file__).resolve().parents[2]
    try:
        in_working_directory = package_root.samefile(os.curdir)
    except OSError:
        # The working directory was removed.
        in_working_directory = False
    return environ if in_working_directory else {**environ, "PYTHONSAFEPATH": "1"}


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
