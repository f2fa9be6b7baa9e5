"""The demo's environment: a private Redis, sample jobs, and AsyncMQ workers that run them."""

from __future__ import annotations

import importlib.util
import os
import selectors
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from asyncmq_cli.demo.processes import module_environment, stop_process
from asyncmq_cli.demo.server import PrivateRedis, last_line
from asyncmq_cli.errors import DemoUnavailable

if TYPE_CHECKING:
    from typing_extensions import Self

READY = b"ready\n"
"""The line that the worker writes to stdout once the sample jobs have reached their final states."""

_READY_SECONDS = 60.0
_STOP_SECONDS = 5.0
_WORKER_LOG = "worker.log"
_KEPT_VARIABLES = ("HOME", "LANG", "LD_LIBRARY_PATH", "PATH", "TMPDIR", "TZ", "VIRTUAL_ENV")
_KEPT_PREFIXES = ("PYTHON", "LC_", "DYLD_")


class DemoEnvironment:
    """A context manager, in which `url` is a Redis with queues, jobs and live workers.

    It is entered when the sample jobs have reached their final states: some are completed or failed, some are
    waiting or delayed, and one stays active. At its end everything is stopped and every file is removed, also
    after Ctrl-C, SIGTERM and SIGHUP, which become exceptions in the context.

    Raises DemoUnavailable if a Redis server or the AsyncMQ library is missing, or if the worker is not ready
    within 60 seconds.
    """

    url: str
    directory: Path

    def __init__(self) -> None:
        self._interruptions = Interruptions()
        self._redis = PrivateRedis()
        self._worker: subprocess.Popen[bytes] | None = None

    @property
    def pids(self) -> tuple[int, ...]:
        """The ids of its processes: the server and the worker."""
        return (self._redis.pid, *([self._worker.pid] if self._worker else []))

    def __enter__(self) -> Self:
        if importlib.util.find_spec("asyncmq") is None:
            raise DemoUnavailable(
                "the demo needs the AsyncMQ library, which is not installed",
                hint="pip install 'asyncmq-cli[demo]'",
            )
        try:
            self._interruptions.install()
            # Hold signals: one that arrives between the start of a process and the note of its id would leave
            # the process running.
            self._interruptions.hold()
            self._redis.start()
            self.url, self.directory = self._redis.url, self._redis.directory
            self._worker = self._start_worker()
            self._interruptions.release()
            self._await_ready(self._worker)
        except BaseException:
            self._shut_down()
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._shut_down()
        if exc_type is None:
            # Raise a signal that arrived while everything was being stopped.
            self._interruptions.release()

    def _start_worker(self) -> subprocess.Popen[bytes]:
        with (self.directory / _WORKER_LOG).open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "asyncmq_cli.demo.worker", self.url],
                env=module_environment(_quiet_environment()),
                # Nothing is written to it. When it closes, the worker knows that this process has ended.
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,
                start_new_session=True,
            )

    def _await_ready(self, worker: subprocess.Popen[bytes]) -> None:
        if worker.stdout is None:
            raise AssertionError("the worker was started with a pipe")
        with selectors.DefaultSelector() as selector:
            selector.register(worker.stdout, selectors.EVENT_READ)
            answered = selector.select(_READY_SECONDS)
        if answered and worker.stdout.read(len(READY)) == READY:
            return
        what = "ended" if answered else f"is not ready after {_READY_SECONDS:g} seconds"
        why = last_line(self.directory / _WORKER_LOG) or "it left no message"
        raise DemoUnavailable(f"the demo's worker {what}: {why}")

    def _shut_down(self) -> None:
        self._interruptions.hold()
        try:
            if self._worker is not None:
                stop_process(self._worker, (signal.SIGTERM, _STOP_SECONDS))
                for pipe in (self._worker.stdin, self._worker.stdout):
                    if pipe is not None:
                        pipe.close()
                self._worker = None
        finally:
            self._redis.stop()
            self._interruptions.restore()


def _quiet_environment() -> dict[str, str]:
    """Our environment, without the variables that AsyncMQ would read as settings.

    AsyncMQ reads each setting from a variable with the same name, such as `DEBUG` or `TASKS`, and
    ASYNCMQ_SETTINGS_MODULE may name the settings of an application.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT_VARIABLES or name.startswith(_KEPT_PREFIXES)
    }


_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_Handler = Callable[[int, FrameType | None], Any] | int | signal.Handlers | None


class Interruptions:
    """Converts the signals that end a program to exceptions, except while they are held (see `hold`).

    SIGINT becomes KeyboardInterrupt; SIGTERM and SIGHUP become SystemExit with the exit status that a shell
    would report. A held signal is only remembered. The first signal that is raised holds all later ones, so
    that a second Ctrl-C cannot interrupt the clean-up that the first one started.

    A signal that is ignored (as under nohup) stays ignored. Outside the main thread, in which Python allows
    no handlers, nothing is changed.
    """

    def __init__(self) -> None:
        self._previous: dict[signal.Signals, _Handler] = {}
        self._held = False
        self._noted: int | None = None

    def install(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        self._held, self._noted = False, None
        for signum in _SIGNALS:
            previous = signal.getsignal(signum)
            # None means that Python did not set this handler, so it could not restore it.
            if previous is None or previous == signal.SIG_IGN:
                continue
            self._previous[signum] = previous
            signal.signal(signum, self._handle)

    def restore(self) -> None:
        """Restore the previous handlers. A remembered signal is raised by `release`."""
        while self._previous:
            signum, previous = self._previous.popitem()
            signal.signal(signum, previous)

    def hold(self) -> None:
        """From now on, only remember signals."""
        self._held = True

    def release(self) -> None:
        """Raise exceptions for signals again; immediately, if one was remembered."""
        self._held = False
        if self._noted is not None:
            noted, self._noted = self._noted, None
            self._raise(noted)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if self._held:
            self._noted = self._noted or signum
        else:
            self._raise(signum)

    def _raise(self, signum: int) -> None:
        self._held = True
        if signum == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + signum)
