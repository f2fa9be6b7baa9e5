"""A forked program behaves like a started one; most other tests rely on it."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from asyncmq.backends.redis import RedisBackend

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Run, environment
from tests.support import library
from tests.support.forked import Forked, heeded_at_start
from tests.support.forked import client as write_client

STARTED = {"PYTHONHASHSEED": "1"}
COMMANDS = [
    ("--version",),
    ("queues", "list", "--fields", "name,state,waiting,dlq"),
    ("jobs", "list", "mail", "--state", "all", "--json"),
    ("jobs", "show", "mail", "dead"),
    ("dlq", "groups", "mail", "--ndjson"),
    ("repeatables", "list", "--fields", "id,task"),
    ("workers", "list", "--fields", "id,queue"),
    ("metrics", "history"),
    ("audit",),
    ("overview", "--color", "always", "--watch"),
    ("check", "--max-failed", "0"),
    ("wait", "mail", "--for", "job", "dead"),
    ("doctor",),
    ("jobs", "retry", "mail", "nobody"),
    ("jobs", "remove", "mail", "dead"),
    ("queues", "list", "--nonsense"),
    ("__complete", "zsh", "jobs", "list", ""),
]


@pytest.mark.extended(first=2)
@pytest.mark.parametrize("args", COMMANDS, ids=" ".join)
def test_a_fork_does_what_a_start_does(args: tuple[str, ...], server: PrivateRedis, run: Run) -> None:
    async def fill(opened: RedisBackend) -> None:
        await library.fill(opened, "mail", [("failed", library.job("dead")), ("waiting", library.job("é"))])
        await opened.upsert_repeatable("mail", {"task_id": "app.tick", "every": 60})
        await library.enlist(opened, "worker-1", "mail", 1)

    library.with_backend(server.url, fill)
    assert heeded_at_start({**environment(server.url), **STARTED})
    assert not heeded_at_start(environment(server.url))
    assert run(*args) == run(*args, env=STARTED)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("raise SystemExit(3)", 3),
        ("1 / 0", 1),
        ("import os; os.kill(os.getpid(), 9)", -signal.SIGKILL),
        ("import os; os.kill(os.getpid(), 2)", -signal.SIGINT),
    ],
)
def test_a_fork_ends_like_the_interpreter(code: str, status: int) -> None:
    assert Forked(["-c", code], env=os.environ).wait(60) == status


def test_a_fork_reports_output_that_cannot_be_written() -> None:
    code = "import sys; sys.stdin.read(); print('x')"
    process = Forked(
        ["-c", code], env=os.environ, **dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    )
    assert process.stdout is not None
    process.stdout.close()
    _, err = process.communicate(timeout=60)
    assert (process.returncode, b"BrokenPipeError" in err) == (120, True)


def test_a_shell_starts_it_with_its_streams_its_folder_and_its_variables(tmp_path: Path) -> None:
    code = "import os, sys; print(os.getcwd(), os.environ['LETTER'], sys.argv[1:], input()); sys.exit(7)"
    write_client(tmp_path / "program", "-c", code)
    done = subprocess.run(
        ["sh", "-c", "echo given | ./program 'a b' \"$LETTER\""],
        cwd=tmp_path,
        env={**os.environ, "LETTER": "é"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (7, "")
    assert done.stdout == f"{tmp_path} é ['a b', 'é'] given\n"
    write_client(tmp_path / "killed", "-c", "import os; os.kill(os.getpid(), 15)")
    assert subprocess.run([tmp_path / "killed"]).returncode == 128 + signal.SIGTERM
