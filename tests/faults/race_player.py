"""A process of the race test: `python -m tests.faults.race_player ROLE URL SEED SECONDS FOLDER`.

`operator` runs random commands of the tool, `worker` is the library's own worker, and `producer` enqueues
jobs with the library. A task records that it ran, and sometimes fails.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import itertools
import logging
import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

import anyio
import redis
from asyncmq import monkay
from asyncmq.backends.redis import RedisBackend
from asyncmq.runners import run_worker
from asyncmq.tasks import task

from tests.support import library

QUEUE = "race"
RUNS = "race-runs"
"""A list of what ran: each entry a job's number and how it ended."""


@task(queue=QUEUE)
async def work(number: int, fails: bool) -> None:
    # Record the run before anything else can happen to the job.
    with redis.Redis.from_url(os.environ["RACE_URL"]) as client:
        client.rpush(RUNS, f"{number} {'failed' if fails else 'done'}")
    await asyncio.sleep(number % 3 * 0.01)
    if fails:
        raise RuntimeError("it fails")


def name_of(number: int) -> str:
    return f"job-{number:05}"


async def worker(url: str, seconds: float) -> None:
    # AsyncMQ logs the traceback of every failed job. Nobody reads the pipe, and a full pipe would stop it.
    logging.disable(logging.CRITICAL)
    async with library.backend(url) as backend:
        monkay.settings.backend = backend
        # The seconds until a worker checks a paused queue again; 60 by default.
        monkay.settings.stalled_check_interval = 0.05
        with anyio.move_on_after(seconds):
            await run_worker(QUEUE, backend, concurrency=3, scan_interval=0.05)


async def producer(url: str, rng: random.Random, seconds: float) -> None:
    end = time.monotonic() + seconds
    async with library.backend(url) as backend:
        for number in itertools.count():
            if time.monotonic() > end:
                return
            await enqueue(backend, rng, number)
            await asyncio.sleep(rng.uniform(0, 0.02))


async def enqueue(backend: RedisBackend, rng: random.Random, number: int) -> None:
    record = library.job(
        name_of(number), args=[number, rng.random() < 0.5], kwargs={}, max_retries=0, task=work.task_id
    )
    await backend.redis.sadd("race-enqueued", record["id"])
    if rng.random() < 0.2:
        await backend.enqueue_delayed(QUEUE, record, time.time() + rng.uniform(0, 1))
    else:
        await backend.enqueue(QUEUE, record)


def operator(rng: random.Random, seconds: float, folder: Path) -> None:
    from asyncmq_cli.app import run

    end = time.monotonic() + seconds
    backups: list[str] = []
    for turn in itertools.count():
        if time.monotonic() > end:
            return
        args = command(rng, str(folder / f"{os.getpid()}-{turn}"), backups)
        reported, errors = io.StringIO(), io.StringIO()
        reported.buffer = io.BytesIO()  # type: ignore[attr-defined]
        with contextlib.redirect_stdout(reported), contextlib.redirect_stderr(errors):
            code = run(args)
        if code not in (0, 1, 4) or "bug in" in errors.getvalue():
            sys.exit(f"{args}: {code}: {errors.getvalue()}")


def command(rng: random.Random, backup: str, backups: list[str]) -> list[str]:
    ids = [name_of(rng.randrange(800)) for _ in range(20)]
    digit = str(rng.randrange(10))

    def with_backup(*args: str) -> list[str]:
        backups.append(backup)
        return [*args, "--backup", backup, "--yes"]

    def restore() -> list[str]:
        known = [path for path in backups if Path(path).exists()]
        if not known:
            return ["queues", "list"]
        # Restore each backup once: an old one would bring back a job from before its run.
        backups.remove(path := rng.choice(known))
        return ["jobs", "restore", path, "--yes"]

    moves: list[tuple[int, Callable[[], list[str]]]] = [
        (4, lambda: ["dlq", "retry", QUEUE, "--job-id", digit, "--limit", "20", "--yes"]),
        (3, lambda: ["jobs", "retry", QUEUE, *ids]),
        (2, lambda: ["dlq", "remove", QUEUE, "--job-id", digit, "--limit", "5", "--yes"]),
        (3, lambda: with_backup("dlq", "remove", QUEUE, "--job-id", digit, "--limit", "5")),
        (2, lambda: with_backup("jobs", "remove", QUEUE, *ids[:3])),
        (4, restore),
        (2, lambda: ["jobs", "cancel", QUEUE, "--state", "waiting", "--limit", "2", "--yes"]),
        (1, lambda: ["jobs", "cancel", QUEUE, *ids[:2], "--yes"]),
        (1, lambda: ["queues", "pause", QUEUE]),
        (2, lambda: ["queues", "resume", QUEUE]),
        (1, lambda: ["jobs", "list", QUEUE, "--state", "all", "--json"]),
        (1, lambda: ["queues", "show", QUEUE]),
    ]
    chosen = rng.choices([move for _, move in moves], [weight for weight, _ in moves])[0]
    return chosen()


def main(role: str, url: str, seed: str, seconds: str, folder: str) -> None:
    os.environ["RACE_URL"] = url
    rng = random.Random(f"{seed}:{role}")
    if role.startswith("worker"):
        asyncio.run(worker(url, float(seconds)))
    elif role.startswith("producer"):
        asyncio.run(producer(url, rng, float(seconds)))
    else:
        operator(rng, float(seconds), Path(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])
