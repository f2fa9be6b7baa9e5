"""Run Python programs without their start-up time, by forking a process that has imported their modules.

They have their own streams, environment, session, terminal and signals, and end like any interpreter.
Settings that Python reads only at start-up, such as PYTHONUTF8, need a real start.
"""

from __future__ import annotations

import array
import atexit
import contextlib
import fcntl
import gc
import importlib
import marshal
import os
import pkgutil
import runpy
import select
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any

from asyncmq_cli.demo.processes import stop_process

ROOT = Path(__file__).parents[2]
TOOL, LIBRARY = "asyncmq_cli", "tests.support.workers"
"""What may have been imported."""
_INT = struct.Struct("!i")

# A shell starts this small program, which passes its streams on and ends with the status of the fork.
_CLIENT = """
import _socket, marshal, posix, sys
line = _socket.socket(_socket.AF_UNIX)
line.connect({origin!r})
text = marshal.dumps(({words!r} + sys.argv[1:], posix.environ, posix.getcwd(), False))
line.sendmsg([len(text).to_bytes(4, "big")], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, {streams!r})])
line.sendall(text)
told = b""
while len(told) < 8:
    told += line.recv(8) or posix._exit(70)
status = int.from_bytes(told[4:], "big")
posix._exit(128 + (status & 127) if status & 127 else status >> 8)
"""


class Forked:
    """A process that runs `python WORDS`, such as ["-m", "asyncmq_cli", "audit"], with the interface of
    Popen.

    With `terminal`, the terminal of its standard input is its controlling terminal, so that Ctrl-C reaches
    it.
    """

    def __init__(
        self,
        words: Sequence[str | bytes],
        *,
        env: Mapping[str, str],
        stdin: int = subprocess.DEVNULL,
        stdout: int = subprocess.DEVNULL,
        stderr: int = subprocess.DEVNULL,
        terminal: bool = False,
        text: bool = False,
        origin: str = TOOL,
    ) -> None:
        self.returncode: int | None = None
        mode = "" if text else "b"
        self.stdin, first = _pipe(stdin, "w" + mode)
        self.stdout, second = _pipe(stdout, "r" + mode)
        self.stderr, third = _pipe(stderr, "r" + mode)
        environ = {os.fsencode(name): os.fsencode(value) for name, value in env.items()}
        request = marshal.dumps((list(words), environ, str(ROOT), terminal))
        self._line = socket.socket(socket.AF_UNIX)
        self._line.connect(_origin(origin))
        socket.send_fds(self._line, [_INT.pack(len(request))], [first, second, third])
        self._line.sendall(request)
        for stream in (first, second, third):
            os.close(stream)
        (self.pid,) = _INT.unpack(_receive(self._line, _INT.size))

    def poll(self) -> int | None:
        if self.returncode is None and select.select([self._line], [], [], 0)[0]:
            self.wait()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self._line], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("a forked program", timeout or 0)
            self.returncode = os.waitstatus_to_exitcode(_INT.unpack(_receive(self._line, _INT.size))[0])
            self._line.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, given: bytes = b"", timeout: float | None = None) -> tuple[Any, Any]:
        """The whole output of the process after it has ended."""
        found: dict[str, Any] = {}

        def read(name: str, stream: IO[Any]) -> None:
            with stream:
                found[name] = stream.read()

        def write(stream: IO[Any]) -> None:
            with contextlib.suppress(BrokenPipeError), stream:
                stream.write(given)

        threads = [
            threading.Thread(target=read, args=(name, stream), daemon=True)
            for name, stream in (("stdout", self.stdout), ("stderr", self.stderr))
            if stream is not None and not stream.closed
        ]
        if self.stdin is not None:
            threads.append(threading.Thread(target=write, args=(self.stdin,), daemon=True))
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + (timeout or threading.TIMEOUT_MAX / 2)
        for thread in threads:
            thread.join(deadline - time.monotonic())
        self.wait(None if timeout is None else max(0.0, deadline - time.monotonic()))
        return found.get("stdout"), found.get("stderr")


def _pipe(stream: int, mode: str) -> tuple[IO[Any] | None, int]:
    """Our end of a pipe, if one is requested, and the other end."""
    if stream == subprocess.DEVNULL:
        return None, os.open(os.devnull, os.O_RDWR)
    if stream != subprocess.PIPE:
        return None, os.dup(stream)
    reading, writing = os.pipe()
    ours, theirs = (writing, reading) if "w" in mode else (reading, writing)
    return open(ours, mode), theirs  # noqa: PTH123


def _receive(line: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = line.recv(size - len(data))
        if not piece:
            raise EOFError("the origin of the forks has ended")
        data += piece
    return data


def heeded_at_start(env: Mapping[str, str]) -> bool:
    """Whether a setting that the interpreter reads only at start-up differs from ours."""
    names = [name for name in {**os.environ, **env} if name.startswith(("PYTHON", "LC_", "LANG"))]
    return any(env.get(name) != os.environ.get(name) for name in names)


def client(path: Path, *words: str, origin: str = TOOL) -> None:
    """Write a program that a shell can start. It runs `python WORDS` with the given arguments."""
    text = _CLIENT.format(
        origin=_origin(origin),
        words=list(words),
        streams=array.array("i", [0, 1, 2]).tobytes(),
    )
    path.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -IS -c {shlex.quote(text)} "$@"\n')
    path.chmod(0o755)


@cache
def _origin(module: str) -> str:
    """The socket of the process that has imported the module. That process ends with this one."""
    directory = tempfile.mkdtemp(prefix="asyncmq-forks-", dir="/tmp")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    path = f"{directory}/socket"
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.forked", path, module],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    atexit.register(stop_process, process)
    assert process.stdout is not None
    assert process.stdout.read(1) == b"!", "it has ended"
    return path


def _import_all(name: str) -> None:
    """Import a module, or all modules of a package."""
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(getattr(package, "__path__", []), f"{name}."):
        if not module.name.endswith("__main__") and ".demo" not in module.name:
            importlib.import_module(module.name)


def _fork_on_demand(path: str) -> list[str]:
    """Fork for each request. Returns only in a fork, with its arguments."""
    children: dict[int, socket.socket] = {}
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    listening.listen(64)
    os.write(1, b"!")
    while True:
        ready, _, _ = select.select([0, woken, listening, *children.values()], [], [])
        if 0 in ready:
            # The pipe was closed, because the tests have ended; nothing is ever written to it.
            os._exit(0)
        if woken in ready:
            os.read(woken, 4096)
            for pid in list(children):
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended:
                    with contextlib.suppress(OSError), children.pop(pid) as line:
                        line.sendall(_INT.pack(status))
        if listening in ready:
            line, _ = listening.accept()
            try:
                size, streams, _, _ = socket.recv_fds(line, _INT.size, 3)
                request = marshal.loads(_receive(line, _INT.unpack(size)[0]))  # noqa: S302 - it is our own
            except (EOFError, OSError, struct.error):
                # The shell that had just started it was killed.
                line.close()
                continue
            pid = os.fork()
            if not pid:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for opened in (listening, line, *children.values()):
                    opened.close()
                os.close(woken)
                os.close(wake)
                _become(streams, *request[1:])
                words: list[str] = request[0]
                return words
            for stream in streams:
                os.close(stream)
            children[pid] = line
            with contextlib.suppress(OSError):
                line.sendall(_INT.pack(pid))
        for pid, line in list(children.items()):
            if line in ready and _is_closed(line):
                os.kill(pid, signal.SIGKILL)


def _is_closed(line: socket.socket) -> bool:
    """Whether the process that requested the fork has ended."""
    try:
        return not line.recv(1)
    except OSError:
        return True


def _become(streams: list[int], environ: dict[bytes, bytes], directory: str, terminal: bool) -> None:
    os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    if terminal:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    os.chdir(directory)
    os.environb.clear()
    os.environb.update(environ)
    time.tzset()
    spoken: dict[str, Any] = {"encoding": sys.stdout.encoding, "closefd": False}
    errors = sys.stdout.errors
    sys.stdin = sys.__stdin__ = open(0, errors=errors, **spoken)  # noqa: SIM115
    sys.stdout = sys.__stdout__ = open(1, "w", errors=errors, **spoken)  # noqa: SIM115
    sys.stderr = sys.__stderr__ = open(2, "w", errors="backslashreplace", **spoken)  # noqa: SIM115
    sys.stderr.reconfigure(line_buffering=True)


def _run(words: list[str]) -> None:
    kind, what, *rest = map(os.fsdecode, words)
    sys.argv = [kind, *rest]
    if kind == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})  # noqa: S102 - as python -c does


if __name__ == "__main__":
    _import_all(sys.argv[2])
    gc.freeze()
    _run(_fork_on_demand(sys.argv[1]))
