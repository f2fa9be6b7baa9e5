"""The checks that must pass wherever the tool was installed; they cover every part that a build might leave
out."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
from asyncmq.backends.redis import RedisBackend

from asyncmq_cli import __version__
from tests.conftest import Result, Run
from tests.support import library

QUEUE, DEAD, NEXT = "emails", "dead-1", "next-1"


class TrialFailed(Exception):
    """The message has the command line and its result."""


@dataclass(frozen=True)
class Program:
    """One way to start the tool, in an empty folder and an almost empty environment."""

    command: Sequence[str]
    folder: Path
    environ: Mapping[str, str]

    def __call__(self, *arguments: str) -> Result:
        done = subprocess.run(
            [*self.command, *arguments],
            cwd=self.folder,
            env={"PATH": os.defpath, "HOME": str(self.folder), "COLUMNS": "80", **self.environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)


def prepare(url: str) -> None:
    """Empty a Redis, and add a dead job and a waiting one with the real AsyncMQ."""
    with redis.Redis.from_url(url) as client:
        client.flushall()

    async def fill(opened: RedisBackend) -> None:
        await library.fill(
            opened, QUEUE, [("failed", library.job(DEAD)), ("waiting", library.job(NEXT, priority=9))]
        )

    library.with_backend(url, fill)


def try_out(program: Run, url: str) -> int:
    """Run all command lines, and return their number. `url` is a Redis that `prepare` has filled."""
    lines = [*_without_redis(), *_with_redis(url)]
    for arguments, code, stream, expected in lines:
        result = program(*arguments)
        if result.code != code or expected not in getattr(result, stream):
            raise TrialFailed(f"{arguments} was to end with {code} and say {expected!r}: {result}")
    trail = _document(program("audit", "--json", "--redis-url", url))["events"]
    done = [(event["action"], event["status"], event["job_id"]) for event in trail]
    if done != [
        ("repeatable.create", "success", "app.digest"),
        ("queue.resume", "success", None),
        ("queue.pause", "success", None),
        ("job.retry", "failed", "ghost"),
        ("job.retry", "success", DEAD),
    ]:
        raise TrialFailed(f"the audit trail has {done}")
    return len(lines) + 1


def _document(result: Result) -> Any:
    try:
        return json.loads(result.stdout)
    except ValueError as error:
        raise TrialFailed(f"no document: {result}") from error


PipelinedConnection = tuple[list[str], int, str, str]
"""What is typed, the exit status, and what the one or the other stream says."""


def _without_redis() -> list[PipelinedConnection]:
    nowhere = ["--redis-url", "unix:///nowhere/redis.sock"]
    return [
        (["--version"], 0, "stdout", f"asyncmq-cli {__version__}\n"),
        (["--help"], 0, "stdout", "repeatables"),
        (["jobs", "retry", "--help"], 0, "stdout", "--dry-run"),
        (["jobs", "retry"], 2, "stderr", "error: "),
        (["queues", "list", *nowhere], 3, "stderr", "error: "),
        (["queues", "list", *nowhere, "--json"], 3, "stderr", '"redis_unreachable"'),
        # A script is a file in the package, which the build may have left out.
        *((["--show-completion", shell], 0, "stdout", "__complete") for shell in ("bash", "zsh", "fish")),
        (["--show-completion", "powershell"], 0, "stdout", "__complete"),
        (["__complete", "zsh", "jobs", "ret"], 0, "stdout", "retry"),
    ]


def _with_redis(url: str) -> list[PipelinedConnection]:
    lines: list[PipelinedConnection] = [
        (["queues", "list"], 0, "stdout", f"{QUEUE}\tno worker\t1\t"),
        (["overview", "--color", "always"], 0, "stdout", QUEUE),
        (["queues", "show", "emils"], 4, "stderr", f"did you mean {QUEUE}?"),
        (["jobs", "show", QUEUE, DEAD], 0, "stdout", "app.errors.DeliveryError"),
        (["dlq", "groups", QUEUE, "--json"], 0, "stdout", '"count":1'),
        (["jobs", "retry", QUEUE, DEAD, "--dry-run"], 0, "stdout", f"dry-run\t{QUEUE}\t{DEAD}"),
        (["jobs", "retry", QUEUE, DEAD, "--reason", "a trial"], 0, "stdout", f"success\t{QUEUE}\t{DEAD}"),
        (["jobs", "retry", QUEUE, "ghost"], 4, "stderr", "error: "),
        (["jobs", "list", QUEUE, "-o", "name", "--sort", "oldest"], 0, "stdout", f"{DEAD}\n"),
        (["jobs", "remove", QUEUE, NEXT], 5, "stderr", "--yes"),
        (["queues", "pause", QUEUE], 0, "stdout", f"success\t{QUEUE}"),
        (["check", "--max-waiting", "1"], 1, "stdout", "ASYNCMQ WARNING - "),
        (["queues", "resume", QUEUE], 0, "stdout", f"success\t{QUEUE}"),
        (
            ["repeatables", "add", QUEUE, "--task", "app.digest", "--cron", "0 7 * * *"],
            0,
            "stdout",
            "app.digest",
        ),
        (["metrics", "record"], 0, "stdout", ""),
        (["metrics", "history", "--json"], 0, "stdout", '"waiting":2'),
        (["metrics", "prometheus"], 0, "stdout", "asyncmq_dashboard_ready 1"),
        (["events", "tail", "--once", "--event", "queues"], 0, "stdout", '"event":"queues"'),
    ]
    return [([*arguments, "--redis-url", url], *rest) for arguments, *rest in lines]  # type: ignore[misc]
