"""A real worker runs each retried job once, and many concurrent retries retry each job once."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
import redis
from asyncmq import monkay
from asyncmq.backends.redis import RedisBackend
from asyncmq.queues import Queue
from asyncmq.runners import run_worker
from asyncmq.tasks import task

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Run, environment
from tests.support import forked, library

QUEUE = "mail"
RUNS: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []


@task(queue=QUEUE)
async def note_down(label: str, *args: Any, **kwargs: Any) -> str:
    RUNS.append((label, args, kwargs))
    return label


def dead(label: str, **fields: Any) -> dict[str, Any]:
    record = library.job(label, args=[label, 1.5, "é"], kwargs={"to": {"a": [1, None]}}, **fields)
    return {**record, "task": note_down.task_id, "retries": 1, "last_error": "boom", "status": "failed"}


async def bury(opened: RedisBackend, labels: list[str]) -> None:
    for label in labels:
        await opened.move_to_dlq(QUEUE, dead(label))


async def work_until(opened: RedisBackend, done: Callable[[], bool]) -> None:
    """Run a worker of the library until `done` is true. Fails if it never is."""
    monkay.settings.backend = opened
    with anyio.fail_after(90):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: run_worker(QUEUE, opened, concurrency=4, scan_interval=0.05))
            while not done():
                await anyio.sleep(0.02)
            # Time to run something twice, were it there to be run.
            await anyio.sleep(0.3)
            tasks.cancel_scope.cancel()


def test_a_retried_job_is_run_once_with_equal_arguments(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    RUNS.clear()
    library.with_backend(server.url, lambda opened: bury(opened, ["one", "two"]))
    assert cli("jobs", "retry", QUEUE, "one").code == 0

    library.with_backend(server.url, lambda opened: work_until(opened, lambda: bool(RUNS)))
    assert RUNS == [("one", (1.5, "é"), {"to": {"a": [1, None]}})]
    assert cli("jobs", "show", QUEUE, "one", "--json").json["result"] == "one"
    assert cli("jobs", "show", QUEUE, "two", "--json").json["status"] == "failed"


def test_jobs_that_are_made_or_edited_by_hand_are_run_once_with_their_arguments(
    server: PrivateRedis, client: redis.Redis, cli: Run, tmp_path: Path
) -> None:
    RUNS.clear()
    task_id = note_down.task_id

    async def prepare(opened: RedisBackend) -> None:
        copied = {**library.job("first", args=["copied"]), "task": task_id}
        await library.put(opened, QUEUE, "completed", copied)
        late = {**library.job("late", args=["late"]), "task": task_id}
        await opened.enqueue_delayed(QUEUE, late, time.time() + 3600)
        await bury(opened, ["dead", "undone"])
        await opened.enqueue(QUEUE, {**library.job("edited", args=["edited"]), "task": task_id})
        await opened.enqueue(QUEUE, {**library.job("restored", args=["restored"]), "task": task_id})
        await Queue(QUEUE, backend=opened).upsert_repeatable(task_id, every=3600, args=["scheduled"])

    library.with_backend(server.url, prepare)
    for line in (
        ("jobs", "add", QUEUE, "--task", task_id, "--args", '["added", 1.5]', "--kwargs", '{"to": "é"}'),
        ("jobs", "rerun", "first"),
        ("jobs", "run-now", "late"),
        ("repeatables", "run", QUEUE, "--task", task_id),
        ("jobs", "edit", "edited", "--set", "args[1]=0.1", "--set", "kwargs.to=é"),
        ("jobs", "retry", "dead", "--set", "kwargs.to.a=[2, null]", "--unset", "args[1]"),
        ("jobs", "retry", "undone", "--set", "args=[]", "--backup", str(tmp_path / "undone")),
        ("jobs", "restore", str(tmp_path / "undone"), "--yes"),
        ("jobs", "edit", "restored", "--set", "args[0]=lost", "--backup", str(tmp_path / "restored")),
        ("jobs", "restore", str(tmp_path / "restored"), "--yes"),
    ):
        assert cli(*line).code == 0, line
    library.with_backend(server.url, lambda opened: work_until(opened, lambda: len(RUNS) >= 7))
    assert sorted(RUNS) == [
        ("added", (1.5,), {"to": "é"}),
        ("copied", (), {"to": "a@example.org"}),
        ("dead", ("é",), {"to": {"a": [2, None]}}),
        ("edited", (0.1,), {"to": "é"}),
        ("late", (), {"to": "a@example.org"}),
        ("restored", (), {"to": "a@example.org"}),
        ("scheduled", (), {}),
    ]
    assert cli("jobs", "show", QUEUE, "undone", "--json").json["status"] == "failed"


def test_a_cancelled_or_removed_job_is_not_run_and_a_paused_queue_rests(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    RUNS.clear()
    labels = ["cancelled", "removed", "kept"]

    async def enqueue(opened: RedisBackend) -> None:
        for label in labels:
            await opened.enqueue(QUEUE, {**dead(label), "status": "waiting"})

    library.with_backend(server.url, enqueue)
    assert cli("jobs", "cancel", QUEUE, "cancelled", "--yes").code == 0
    assert cli("jobs", "remove", QUEUE, "removed", "--yes").code == 0
    library.with_backend(server.url, lambda opened: work_until(opened, lambda: bool(RUNS)))
    assert [label for label, _, _ in RUNS] == ["kept"]

    assert cli("queues", "pause", QUEUE).code == 0

    async def paused(opened: RedisBackend) -> bool:
        return await opened.is_queue_paused(QUEUE)

    assert library.with_backend(server.url, paused) is True
    assert cli("queues", "resume", QUEUE).code == 0
    assert library.with_backend(server.url, paused) is False


@pytest.mark.extended
def test_ten_processes_retrying_the_same_500_jobs_retry_each_once(
    server: PrivateRedis, client: redis.Redis, tmp_path: Path
) -> None:
    RUNS.clear()
    forked.client(tmp_path / "asyncmq", "-m", "asyncmq_cli")
    labels = [f"job-{n:03}" for n in range(500)]
    library.with_backend(server.url, lambda opened: bury(opened, labels))

    async def race(opened: RedisBackend) -> list[int]:
        command = [tmp_path / "asyncmq", "jobs", "retry", QUEUE, "-"]
        racers = [
            await asyncio.create_subprocess_exec(
                *command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                env=environment(server.url),
            )
            for _ in range(10)
        ]  # fmt: skip
        ends = asyncio.gather(*(racer.communicate("\n".join(labels).encode()) for racer in racers))
        await work_until(opened, lambda: ends.done() and len(RUNS) >= len(labels))
        return [racer.returncode or 0 for racer in racers]

    codes = library.with_backend(server.url, race)

    assert Counter(label for label, _, _ in RUNS) == dict.fromkeys(labels, 1)
    trail = library.events(client)
    assert Counter(e["job_id"] for e in trail if e["status"] == "success") == dict.fromkeys(labels, 1)
    assert len(trail) == 10 * len(labels)
    assert set(codes) <= {0, 1}
    assert client.zcard(f"queue:{QUEUE}:dlq") == 0
    assert set(client.hvals(f"jobs:{QUEUE}:states")) == {b"completed"}
