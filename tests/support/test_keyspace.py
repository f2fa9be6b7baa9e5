"""The keyspace of the benchmarks is the same as the library would have written it."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any
from unittest.mock import patch

import pytest
import redis
from asyncmq.backends.redis import RedisBackend
from asyncmq.jobs import Job

from asyncmq_cli.demo.server import PrivateRedis
from tests.benchmarks import keyspace
from tests.support import library

QUEUE = "mail"
COUNTS = {"completed": 9, "failed": 8, "waiting": 9, "delayed": 4}
COUNTS |= {"active": 2, "expired": 2, "cancelled": 3, "waiting-children": 3}


@pytest.fixture
def made() -> list[keyspace.Made]:
    return list(keyspace.jobs(QUEUE, COUNTS, seed=7, split_every=4))


async def bring(opened: RedisBackend, job: keyspace.Made) -> None:
    """Send the job through producer and worker, at the times in its description."""
    if job.state == "delayed":
        await opened.enqueue_delayed(QUEUE, job.record, job.due_at)
        return
    await opened.enqueue(QUEUE, job.record)
    if job.state == "cancelled":
        await opened.cancel_job(QUEUE, job.id)
    if job.state in ("waiting", "waiting-children", "cancelled"):
        return
    with patch("asyncmq.backends.redis.time.time", return_value=job.claimed_at):
        claimed = await opened.dequeue(QUEUE)
    assert claimed is not None and claimed["id"] == job.id
    running = {**Job.from_dict(claimed).to_dict(), "args": job.record["args"]}
    with patch("asyncmq.backends.redis.time.time", return_value=job.ended_at):
        if job.state == "completed":
            await opened.complete_active_job(QUEUE, running, job.result)
        elif job.state == "failed":
            failure = {"last_error": job.error, "error_traceback": job.error, "retries": 1}
            await opened.fail_active_job(QUEUE, {**running, **failure})
        elif job.state == "expired":
            await opened.expire_active_job(QUEUE, running)


def fill_by_the_library(url: str, made: list[keyspace.Made]) -> None:
    async def fill(opened: RedisBackend) -> None:
        # A claim takes the first waiting job, so jobs that must stay waiting come last.
        for job in sorted(made, key=lambda job: job.state == "waiting"):
            await bring(opened, job)

    library.with_backend(url, fill)


def decoded(text: bytes) -> Any:
    """JSON as a value with its keys in order; anything else as text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text.decode()
    return (value, list(value)) if isinstance(value, dict) else value


def comparable(value: Any) -> Any:
    kind, held = value
    if kind == "hash":
        return kind, {name: decoded(text) for name, text in held.items()}
    if kind == "zset":
        members = [(decoded(text), score) for text, score in held]
        return kind, sorted(members, key=lambda member: json.dumps(member, sort_keys=True))
    return kind, decoded(held) if kind == "string" else held


def without_sequence(found: dict[bytes, Any]) -> dict[bytes, Any]:
    """The scores of waiting jobs reduced to their priority, because the sequence numbers differ."""
    shown = {key: comparable(value) for key, value in found.items()}
    kind, waiting = shown[b"queue:mail:waiting"]
    shown[b"queue:mail:waiting"] = (kind, sorted((name, int(score) // 10**12) for name, score in waiting))
    return shown


def test_the_keyspace_is_what_the_library_writes_for_the_same_jobs(
    server: PrivateRedis, client: redis.Redis, made: list[keyspace.Made]
) -> None:
    fill_by_the_library(server.url, made)
    theirs = without_sequence(library.dump(client))
    client.flushall()
    keyspace.write(str(server.socket), QUEUE, made)
    assert without_sequence(library.dump(client)) == theirs
    assert any(key.endswith(b":payload") for key in theirs)


def test_the_library_reads_the_keyspace_as_it_was_described(
    server: PrivateRedis, client: redis.Redis, made: list[keyspace.Made]
) -> None:
    keyspace.write(str(server.socket), QUEUE, made)

    async def read(opened: RedisBackend) -> dict[str, dict[str, Any]]:
        pages = {
            state: await opened.inspect_jobs(QUEUE, state, size=100)
            for state in COUNTS
            # The library lists no expired jobs, because it searches for `expired` only in the states.
        }
        return {state: {job["id"]: job for job in page.jobs} for state, page in pages.items()}

    found = library.with_backend(server.url, read)
    for job in made:
        held = found[job.state][job.id]
        assert (held["args"], held["kwargs"]) == (job.record["args"], job.record["kwargs"])
        assert held["created_at"] == job.record["created_at"]
        assert held.get("result") == (job.result if job.state == "completed" else None)
    assert {state: len(jobs) for state, jobs in found.items()} == COUNTS


def test_the_keyspace_is_the_same_for_the_same_seed_and_of_the_shares_described() -> None:
    first, again, other = (list(keyspace.jobs(QUEUE, COUNTS, seed)) for seed in (1, 1, 2))
    assert first == again
    assert {job.id for job in first}.isdisjoint(job.id for job in other)
    assert Counter(job.state for job in first) == COUNTS
    assert keyspace.counts_of(1_000_000) == keyspace.SHARES
    assert sum(keyspace.counts_of(99_999).values()) == 99_999
