"""The tests run on the server that TEST_REDIS_SERVER names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import redis

from asyncmq_cli.demo.environment import DemoEnvironment
from asyncmq_cli.demo.server import PrivateRedis, find_server
from tests.faults.support import redis_binaries
from tests.support.servers import Comeback, put_first, running_on, version_of


def test_the_named_server_program_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started, named = tmp_path / "started", tmp_path / "named"
    named.write_text(f'#!/bin/sh\necho "$*" >> {started}\nexec {find_server()} "$@"\n')
    named.chmod(0o755)
    monkeypatch.setenv("PATH", os.environ["PATH"])
    put_first(named)
    assert redis_binaries()[0].resolve() == named
    started.unlink()
    with PrivateRedis() as private, Comeback() as comeback, DemoEnvironment() as demo:
        sockets = [
            server.url.removeprefix("unix://").partition("?")[0] for server in (private, comeback, demo)
        ]
        comeback.go_away()
        comeback.come_back()
    lines = started.read_text().splitlines()
    assert [sum(socket in line for line in lines) for socket in sockets] == [1, 2, 1]


def test_the_command_that_runs_is_the_one_that_is_named(client: redis.Redis) -> None:
    named = os.environ.get("TEST_REDIS_SERVER") or find_server()
    assert named is not None
    assert running_on(client) == version_of(Path(named))
