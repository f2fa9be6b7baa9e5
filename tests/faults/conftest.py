"""Fixtures that run the tool in this process against servers that misbehave."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import typer.main

from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.services.doctor import scan
from asyncmq_cli.services.monitoring import wait
from asyncmq_cli.storage.client import tls
from tests.conftest import Result, environment
from tests.faults.scale import record
from tests.faults.support import NEW_BACKUP, PASSWORD, Keyspace, Tool, binary_id, redis_binaries, seed

# Typer would build all commands again for each call, which takes longer than most commands.
_built = functools.cache(typer.main.get_command)


BAD_SERVER = {"test_refusals", "test_unreachable", "test_cut_lines", "test_rights", "test_wording"}
BAD_SERVER |= {"test_midway", "test_underway", "test_tls"}


@pytest.fixture(autouse=True)
def figures(request: pytest.FixtureRequest) -> Iterator[None]:
    """Counts the tests of bad servers, and the commands that ran against them."""
    before = len(_calls)
    yield
    if request.module.__name__.rpartition(".")[2] in BAD_SERVER:
        record("A bad server", runs=1, commands=len(_calls) - before)


_calls: list[str] = []


@pytest.fixture
def probed_within() -> float:
    """How many seconds the tool waits for a server to answer the TLS probe. A bad server never answers it."""
    return 0.02


@pytest.fixture
def tool(
    probed_within: float, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> Tool:
    """Run the tool against a URL: `tool(url, "queues", "list")`. Fails if the output contains a traceback or
    the password."""
    from asyncmq_cli.app import run as run_app

    monkeypatch.setattr(typer.main, "get_command", _built)
    # No wait between the two passes is needed, because nothing changes.
    monkeypatch.setattr(scan, "GRACE", 0.02)
    monkeypatch.setattr(wait, "SETTLE", 0.02)
    monkeypatch.setattr(tls, "PROBED_WITHIN", probed_within)
    for name in list(os.environ):
        if name.startswith(("ASYNCMQ_", "REDIS_")):
            monkeypatch.delenv(name)
    for name, value in environment(None).items():
        if name.startswith("ASYNCMQ_") or name in ("COLUMNS", "XDG_CONFIG_HOME"):
            monkeypatch.setenv(name, value)

    def call(url: str, *args: str) -> Result:
        _calls.append(url)
        monkeypatch.setenv("ASYNCMQ_REDIS_URL", url)
        NEW_BACKUP.unlink(missing_ok=True)
        capfdbinary.readouterr()
        code = run_app(args)
        sys.stdout.flush()
        sys.stderr.flush()
        out, err = (text.decode("utf-8", "surrogateescape") for text in capfdbinary.readouterr())
        assert PASSWORD not in out + err
        assert "\nTraceback " not in f"\n{err}"
        return Result(code, out, err)

    return call


@pytest.fixture(scope="session", params=redis_binaries(), ids=binary_id)
def binary(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


@pytest.fixture(scope="session")
def filled(server: PrivateRedis) -> Keyspace:
    client = redis.Redis.from_url(server.url)
    # Tests in other folders have used the same server before.
    client.flushall()
    seed(server.url)
    return Keyspace(client)


@pytest.fixture
def keyspace(filled: Keyspace) -> Keyspace:
    """A copy of all keys of `server` at the start of the test."""
    filled.restore()
    return filled
