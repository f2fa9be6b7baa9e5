"""The real shells. Missing ones are installed; otherwise the tests name them."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis

from asyncmq_cli.demo.server import PrivateRedis
from tests.support.shells import ROOT, SHELLS, Shell

Open = Callable[..., Shell]


@pytest.fixture(scope="session")
def shells() -> tuple[str, ...]:
    """bash, zsh and fish, installed where they are missing."""
    if missing := [name for name in SHELLS if shutil.which(name) is None]:
        with (Path(tempfile.gettempdir()) / "asyncmq-cli-shells.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            done = subprocess.run(
                [ROOT / "tests" / "support" / "install-shells", *SHELLS],
                capture_output=True,
                text=True,
                check=False,
            )
        missing = [name for name in SHELLS if shutil.which(name) is None]
        assert not missing, (
            f"these tests press TAB in real shells, and {', '.join(missing)} could not be installed: "
            f"{done.stderr[-500:]}"
        )
    return SHELLS


@pytest.fixture(params=SHELLS)
def open_shell(
    request: pytest.FixtureRequest,
    shells: tuple[str, ...],
    server: PrivateRedis,
    client: redis.Redis,
    tmp_path: Path,
) -> Iterator[Open]:
    """Start a shell, in a home of its own, with the test Redis in its environment."""
    with ExitStack() as opened:

        def start(url: str | None = server.url, **kwargs: Any) -> Shell:
            home = Path(tempfile.mkdtemp(dir=tmp_path))
            return opened.enter_context(Shell(request.param, home, url, **kwargs))

        yield start


@pytest.fixture
def shell(open_shell: Open) -> Shell:
    # The tests check the candidates and not the time, because the machine may be busy.
    return open_shell(env={"ASYNCMQ_COMPLETION_TIMEOUT": "30"})
