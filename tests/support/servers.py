"""The Redis server of the tests, and one that can be stopped and started again at the same address."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import redis

from asyncmq_cli.demo.server import PrivateRedis, find_server


def put_first(server: Path) -> None:
    """Put this server first on PATH, here and in all processes that are started from here."""
    folder = Path(tempfile.mkdtemp(prefix="asyncmq-server-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (folder / "redis-server").symlink_to(server.resolve(strict=True))
    os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"


def version_of(server: Path) -> str:
    """The version of a server program, such as `Redis 7.0.15` or `Valkey 9.1.2`."""
    reported = subprocess.run(
        [server, "--version"], capture_output=True, check=True, text=True
    ).stdout.split()
    return f"{reported[0]} {next(word.removeprefix('v=') for word in reported if word.startswith('v='))}"


def running_on(client: redis.Redis) -> str:
    """The same, from a running server. Valkey also reports itself as Redis 7.2.4."""
    reported = client.info("server")
    return (
        f"Valkey {reported['valkey_version']}"
        if "valkey_version" in reported
        else f"Redis {reported['redis_version']}"
    )


def add_figures(file: Path, tests: Mapping[str, int]) -> None:
    """Add the results of all tests on this server to the figures, which docs/reliability.md shows."""
    server = find_server()
    assert server is not None
    line = {
        "server": version_of(server),
        "passed": tests.get("passed", 0),
        "failed": tests.get("failed", 0) + tests.get("error", 0),
    }
    with file.open("a") as opened:
        opened.write(json.dumps(line) + "\n")


class Comeback(PrivateRedis):
    def __init__(self) -> None:
        found = find_server()
        assert found is not None
        super().__init__(found)
        self._binary = found

    def go_away(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self.socket.unlink()

    def come_back(self) -> None:
        """Start the server again, without data."""
        self._process = self._launch(self._binary)
        self._await_answer(self._process)
