"""The prepared Redis, and a shell that runs the command lines of the documents unchanged."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from asyncmq_cli.demo.environment import DemoEnvironment
from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Result, Run, environment, within_this_process
from tests.docs.prepared import prepare, remember
from tests.faults.support import Keyspace
from tests.support import forked

Shell = Callable[[str], Result]

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def kept() -> Iterator[tuple[str, Keyspace, redis.Redis]]:
    with PrivateRedis() as server, redis.Redis.from_url(server.url) as client:
        prepare(server.url)
        yield server.url, Keyspace(client), client


@pytest.fixture
def url(kept: tuple[str, Keyspace, redis.Redis]) -> str:
    """The URL of the prepared Redis, in its original state with a current history of metrics."""
    url, keyspace, client = kept
    keyspace.restore()
    remember(client)
    return url


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PATH, in which both program names are this tool, with a jq if the machine has none."""
    folder = tmp_path_factory.mktemp("bin")
    for name in ("asyncmq", "asyncmq-cli"):
        forked.client(folder / name, "-m", "asyncmq_cli")
    if shutil.which("jq") is None:
        forked.client(folder / "jq", "-m", "tests.docs.jq_program", origin="tests.docs.jq_program")
    return folder


@pytest.fixture
def shell(url: str, programs: Path, tmp_path: Path) -> Shell:
    """Run a script with `bash -e` in an empty folder, on the prepared Redis."""
    return shell_on(url, programs, tmp_path)


@pytest.fixture
def demo_shell(programs: Path, tmp_path: Path) -> Iterator[Shell]:
    """The same in a new demo with its workers."""
    with DemoEnvironment() as demo:
        yield shell_on(demo.url, programs, tmp_path)


def shell_on(url: str, programs: Path, folder: Path) -> Shell:
    def run(text: str) -> Result:
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", text],
            env={
                **environment(url),
                "PATH": os.pathsep.join([str(programs), os.environ["PATH"]]),
                "HOME": str(folder),
                "TEXTFILES": str(folder),
            },
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def tool(url: str, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Run the tool in this process, on the prepared Redis."""
    return within_this_process(url, monkeypatch, capfdbinary)
