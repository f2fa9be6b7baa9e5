"""The cost of programs that read repeatedly, for a Redis in which a worker finishes jobs."""

from __future__ import annotations

import os
import pty
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import redis

from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.storage.schema.keys import QueueKeys
from tests.benchmarks.keyspace import BIG
from tests.benchmarks.measure import ROOT, commands_of, environment, module, tool

JOBS_A_SECOND = 200
_FIRST_LOOK, _SETTLING = 120.0, 6.0
_NOT_SENT = ("eval", "evalsha", "multi", "exec", "publish")
"""No watcher sends these; what they call themselves is counted beside them."""


@dataclass(frozen=True, slots=True)
class Watched:
    """`share` is the share of the time of Redis that the commands of the watcher took, `grown` the growth of
    the working time of Redis because of it, and `finished` the number of jobs per second that ended."""

    share: float
    grown: float
    finished: float


@dataclass(frozen=True, slots=True)
class _Window:
    seconds: float
    cpu: float
    commands: dict[str, tuple[int, float]]
    finished: int


def beside_a_worker(
    server: PrivateRedis, watchers: Sequence[Sequence[str]], seconds: float
) -> Iterator[Watched]:
    """Measure these programs one after the other. The worker runs alone before the first and after the last.
    The first read of a watcher is not counted."""
    with redis.Redis.from_url(server.url, socket_timeout=None) as client, _worker(server, client):
        alone = [_window(client, seconds / 2)]
        watched = []
        for words in watchers:
            with _watcher(server, words):
                watched.append(_window(client, seconds))
        alone.append(_window(client, seconds / 2))
    usual = sum(window.cpu for window in alone) / sum(window.seconds for window in alone)
    for during in watched:
        yield Watched(
            share=_own_commands(during, alone) / during.seconds,
            grown=during.cpu / during.seconds - usual,
            finished=during.finished / during.seconds,
        )


def _own_commands(during: _Window, alone: Sequence[_Window]) -> float:
    """The seconds in calls that the worker alone does not make."""
    found = 0.0
    for name, (calls, took) in during.commands.items():
        theirs = sum(window.commands.get(name, (0, 0.0))[0] for window in alone)
        pace = theirs / sum(window.seconds for window in alone)
        if calls and not name.startswith(_NOT_SENT):
            found += took * max(0.0, calls - pace * during.seconds) / calls
    return found


def _window(client: redis.Redis, seconds: float) -> _Window:
    def now() -> tuple[float, float, dict[str, tuple[int, float]], int]:
        used: Any = client.info("cpu")
        waiting: Any = client.zcard(QueueKeys(BIG).waiting)
        return time.monotonic(), used["used_cpu_user"] + used["used_cpu_sys"], commands_of(client), waiting

    began, cpu, commands, waiting = now()
    time.sleep(seconds)
    ended, cpu_after, after, left = now()
    return _Window(
        seconds=ended - began,
        cpu=cpu_after - cpu,
        commands={
            name: (calls - commands.get(name, (0, 0.0))[0], took - commands.get(name, (0, 0.0))[1])
            for name, (calls, took) in after.items()
        },
        finished=waiting - left,
    )


@contextmanager
def _worker(server: PrivateRedis, client: redis.Redis) -> Iterator[None]:
    waiting = client.zcard(QueueKeys(BIG).waiting)
    process = subprocess.Popen(
        module("worker", str(JOBS_A_SECOND)),
        env=environment(server),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + _FIRST_LOOK
        while client.zcard(QueueKeys(BIG).waiting) == waiting:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the worker takes no job")
            time.sleep(0.2)
        yield
    finally:
        process.kill()
        process.wait()


@contextmanager
def _watcher(server: PrivateRedis, words: Sequence[str]) -> Iterator[None]:
    """Start a watcher on its own terminal, and return after its first read."""
    terminal, theirs = pty.openpty()
    process = subprocess.Popen(
        tool(*words), env=environment(server), cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    shown = threading.Event()

    def read() -> None:
        with suppress(OSError):
            while len(os.read(terminal, 65536)) < 64:
                pass
            shown.set()
            while os.read(terminal, 65536):
                pass

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        if not shown.wait(_FIRST_LOOK):
            raise RuntimeError(f"{words} shows nothing")
        # The exporter says where it serves, and looks then.
        time.sleep(_SETTLING)
        yield
        if process.poll() is not None:
            raise RuntimeError(f"{words} ended with {process.returncode}")
    finally:
        process.kill()
        process.wait()
        reader.join()
        os.close(terminal)
