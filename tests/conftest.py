"""A private Redis for each test process, and functions that run the tool as a user does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
import redis
from hypothesis import settings

from asyncmq_cli.demo.server import PrivateRedis
from tests.faults import scale
from tests.support import forked
from tests.support.servers import add_figures, put_first

# TEST_REDIS_SERVER names a server's binary, to run the suite on another version.
if _chosen := os.environ.get("TEST_REDIS_SERVER"):
    put_first(Path(_chosen))

# A busy machine is no failure.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")

# A shell has what it starts in the background ignore Ctrl-C, and nohup SIGHUP, and so would all that is
# started here.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the fault tests, and leave `extended` tests to `make faults`."""
    counted: Counter[str] = Counter()
    kept, left = [], []
    for item in items:
        if item.nodeid.startswith("tests/faults/"):
            item.add_marker("faults")
        marker = item.get_closest_marker("extended")
        function = item.nodeid.partition("[")[0]
        counted[function] += 1
        beyond = marker is not None and counted[function] > marker.kwargs.get("first", 0)
        (left if beyond and not scale.WHOLE else kept).append(item)
    config.hook.pytest_deselected(items=left)
    items[:] = kept


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Add a line to the file SUITE_FIGURES, if it is set: the server, and how many tests passed on it."""
    file = os.environ.get("SUITE_FIGURES")
    if file and "PYTEST_XDIST_WORKER" not in os.environ:
        add_figures(Path(file), {name: len(tests) for name, tests in terminalreporter.stats.items()})


@dataclass(frozen=True)
class Result:
    """The result of a command: its exit status and its output on each stream."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return orjson.loads(self.stdout)

    @property
    def lines(self) -> list[str]:
        return self.stdout.splitlines()


Run = Callable[..., Result]


@pytest.fixture(scope="session")
def server() -> Iterator[PrivateRedis]:
    with PrivateRedis() as running:
        yield running


@pytest.fixture
def client(server: PrivateRedis) -> Iterator[redis.Redis]:
    """A connection to an empty Redis."""
    connection = redis.Redis.from_url(server.url)
    connection.flushall()
    yield connection
    connection.close()


def environment(url: str | None) -> dict[str, str]:
    """The environment of the tool, without the developer's own settings."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("ASYNCMQ_", "REDIS_"))}
    env.pop("LINES", None)
    env.update(ASYNCMQ_ACTOR="tester", COLUMNS="80", XDG_CONFIG_HOME="/nonexistent")
    if url is not None:
        env["ASYNCMQ_REDIS_URL"] = url
    return env


def run_tool(
    *args: str, url: str | None = None, stdin: str | bytes = b"", env: dict[str, str] | None = None
) -> Result:
    """Run the tool in its own process, with pipes for its streams."""
    words = ["-m", "asyncmq_cli", *args]
    given = {**environment(url), **(env or {})}
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    process = (
        subprocess.Popen([sys.executable, *words], env=given, **pipes)
        if forked.heeded_at_start(given)
        else forked.Forked(words, env=given, **pipes)
    )
    try:
        out, err = process.communicate(stdin.encode() if isinstance(stdin, str) else stdin, timeout=120)
    finally:
        process.kill()
    return Result(
        process.wait(), out.decode("utf-8", "surrogateescape"), err.decode("utf-8", "surrogateescape")
    )


@pytest.fixture
def run(server: PrivateRedis, client: redis.Redis) -> Run:
    """A function that runs the tool in its own process on the empty test Redis."""

    def call(*args: str, **kwargs: Any) -> Result:
        return run_tool(*args, url=server.url, **kwargs)

    return call


@pytest.fixture
def cli(
    server: PrivateRedis,
    client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> Run:
    return within_this_process(server.url, monkeypatch, capfdbinary)


def within_this_process(
    url: str, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> Run:
    """Run the tool in this process: the same code without the start-up."""
    from asyncmq_cli.app import run as run_app

    for name in list(os.environ):
        if name.startswith(("ASYNCMQ_", "REDIS_")):
            monkeypatch.delenv(name)
    for name, value in environment(url).items():
        if name.startswith("ASYNCMQ_") or name in ("COLUMNS", "XDG_CONFIG_HOME"):
            monkeypatch.setenv(name, value)

    def call(*args: str) -> Result:
        capfdbinary.readouterr()
        code = run_app(args)
        sys.stdout.flush()
        sys.stderr.flush()
        out, err = capfdbinary.readouterr()
        return Result(code, out.decode("utf-8", "surrogateescape"), err.decode("utf-8", "surrogateescape"))

    return call


def ids(result: Result) -> Sequence[str]:
    return [job["id"] for job in result.json["jobs"]]
