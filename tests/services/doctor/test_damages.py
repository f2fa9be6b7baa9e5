"""Each damage is found and reported, not changed by a dry run, and repaired once; then a real worker runs the
job."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import redis
from asyncmq.backends.redis import RedisBackend

from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.services.doctor.catalogue import BY_CODE
from tests.conftest import Run
from tests.services.doctor.support import QUEUE, due_in, job, places_of, put, work
from tests.support import library

WAITING, DELAYED, DLQ, ACTIVE = (f"queue:{QUEUE}:{name}" for name in ("waiting", "delayed", "dlq", "active"))
IDS, STATES, RESULTS = (f"jobs:{QUEUE}:{name}" for name in ("ids", "states", "results"))
LIBRARY = library.with_backend

Make = Callable[[PrivateRedis, redis.Redis], Any]


@dataclass(frozen=True)
class Case:
    """`lies` is the place of the job after the repair; `runs` says whether a worker then runs it."""

    code: str
    make: Make
    lies: tuple[str, ...] = ()
    runs: bool = False
    ids: tuple[str, ...] = ("x",)


def waiting_unlisted(server: PrivateRedis, client: redis.Redis) -> None:
    put(server.url, ("waiting", "x"))
    client.zrem(WAITING, "x")


def waiting_large(server: PrivateRedis, client: redis.Redis) -> None:
    async def enqueue(opened: RedisBackend) -> None:
        await opened.enqueue(QUEUE, job("x", kwargs={}, notes="n" * 70_000))

    LIBRARY(server.url, enqueue)
    assert client.exists(f"jobs:{QUEUE}:x:payload")
    client.delete(WAITING)


def failed_large(server: PrivateRedis, client: redis.Redis) -> None:
    """The dead letter must contain the whole job, because the record may not."""

    async def fail(opened: RedisBackend) -> None:
        await opened.enqueue(QUEUE, job("x", notes="n" * 70_000))
        await opened.move_to_dlq(QUEUE, {**job("x", notes="n" * 70_000), "status": "failed"})

    LIBRARY(server.url, fail)
    assert client.exists(f"jobs:{QUEUE}:x:payload")
    client.delete(DLQ)


def delayed_unlisted(server: PrivateRedis, client: redis.Redis) -> None:
    due = due_in(-5)
    record = job("x", delay_until=due)
    LIBRARY(server.url, lambda opened: opened.enqueue_delayed(QUEUE, record, due))
    client.delete(DELAYED)


def failed_unlisted(server: PrivateRedis, client: redis.Redis) -> None:
    put(server.url, ("failed", "x"), ("expired", "old"))
    (dead,) = [one for one in client.zrange(DLQ, 0, -1) if json.loads(one)["id"] == "x"]
    client.zrem(DLQ, dead)


def dead_state_wrong(server: PrivateRedis, client: redis.Redis) -> None:
    put(server.url, ("dead-directly", "x"))
    client.hset(STATES, "x", "active")


def active_lost(server: PrivateRedis, client: redis.Redis) -> None:
    put(server.url, ("active", "x"))
    client.hset(ACTIVE, "x", str(due_in(-3600)))


def active_unclaimed(server: PrivateRedis, client: redis.Redis) -> None:
    put(server.url, ("active", "x"))
    client.delete(ACTIVE)


def parents_done(server: PrivateRedis, client: redis.Redis) -> None:
    """The result of `Task.enqueue(depends_on=…)`: the record of the parent does not list its child."""

    async def fill(opened: RedisBackend) -> None:
        await opened.enqueue(QUEUE, job("parent"))
        await opened.enqueue(QUEUE, job("x", depends_on=["parent"]))

    LIBRARY(server.url, fill)
    assert work(server, 1) == ["parent"]


def cancel_unfinished(server: PrivateRedis, client: redis.Redis) -> None:
    put(server.url, ("waiting", "x"))
    client.zrem(WAITING, "x")
    client.sadd(f"queue:{QUEUE}:cancelled", "x")


def dead_letter_stale(server: PrivateRedis, client: redis.Redis) -> None:
    """A producer enqueues a job again with the id of a failed one."""
    put(server.url, ("failed", "x"), ("waiting", "x"))


def claim_stale(server: PrivateRedis, client: redis.Redis) -> None:
    put(server.url, ("failed", "x"))
    client.hset(ACTIVE, "x", "1.5")


def claim_of_nobody(server: PrivateRedis, client: redis.Redis) -> None:
    put(server.url, ("waiting", "other"))
    client.hset(ACTIVE, "x", "1.5")


def record_missing(server: PrivateRedis, client: redis.Redis) -> None:
    """`enqueue_delayed`, killed after its first command."""
    client.zadd(DELAYED, {json.dumps(job("x")): due_in(-5)})


def dead_record_missing(server: PrivateRedis, client: redis.Redis) -> None:
    put(server.url, ("failed", "x"))
    client.delete(f"jobs:{QUEUE}:x")


def record_unindexed(server: PrivateRedis, client: redis.Redis) -> None:
    put(server.url, ("waiting", "x"))
    client.srem(IDS, "x")


def id_without_record(server: PrivateRedis, client: redis.Redis) -> None:
    """A worker has tried to run it: its claim drops jobs that it cannot read."""
    put(server.url, ("waiting", "x"))
    client.delete(f"jobs:{QUEUE}:x")
    client.delete(WAITING)


def completed_without_record(server: PrivateRedis, client: redis.Redis) -> None:
    put(server.url, ("completed", "x"))
    client.delete(f"jobs:{QUEUE}:x")


def state_without_job(server: PrivateRedis, client: redis.Redis) -> None:
    put(server.url, ("waiting", "other"))
    client.hset(STATES, "x", "completed")


def member_without_job(server: PrivateRedis, client: redis.Redis) -> None:
    put(server.url, ("waiting", "other"))
    client.zadd(WAITING, {"x": 9e15})


def cancel_mark_stale(server: PrivateRedis, client: redis.Redis) -> None:
    LIBRARY(server.url, lambda opened: opened.cancel_job(QUEUE, "x"))


def result_without_job(server: PrivateRedis, client: redis.Redis) -> None:
    client.hset(RESULTS, "x", '{"sent": 1}')


def payload_without_record(server: PrivateRedis, client: redis.Redis) -> None:
    put(server.url, ("waiting", "other"))
    client.set(f"jobs:{QUEUE}:x:payload", "{}")


def dependencies_left(server: PrivateRedis, client: redis.Redis) -> None:
    """A child and its parent whose records are gone, as old programs deleted them."""
    put(server.url, ("waiting", "other"))
    client.sadd(f"deps:{QUEUE}:x:pending", "gone")


def children_left(server: PrivateRedis, client: redis.Redis) -> None:
    put(server.url, ("waiting", "other"))
    client.sadd(f"deps:{QUEUE}:parent:x", "gone")


def heartbeat_stale(server: PrivateRedis, client: redis.Redis) -> None:
    put(server.url, ("completed", "x"))
    LIBRARY(server.url, lambda opened: opened.save_heartbeat(QUEUE, "x", 1.5))


CASES = [
    Case("waiting_unlisted", waiting_unlisted, ("waiting",), runs=True),
    Case("delayed_unlisted", delayed_unlisted, ("delayed",), runs=True),
    Case("failed_unlisted", failed_unlisted, ("dlq",)),
    Case("waiting_unlisted", waiting_large, ("waiting",), runs=True),
    Case("failed_unlisted", failed_large, ("dlq",)),
    Case("dead_state_wrong", dead_state_wrong, ("dlq",)),
    Case("active_lost", active_lost, ("waiting",), runs=True),
    Case("active_unclaimed", active_unclaimed, ("waiting",), runs=True),
    Case("parents_done", parents_done, ("waiting",), runs=True),
    Case("cancel_unfinished", cancel_unfinished),
    Case("dead_letter_stale", dead_letter_stale, ("waiting",), runs=True),
    Case("claim_stale", claim_stale, ("dlq",)),
    Case("claim_stale", claim_of_nobody),
    Case("record_missing", record_missing, ("delayed",), runs=True),
    Case("record_missing", dead_record_missing, ("dlq",)),
    Case("record_unindexed", record_unindexed, ("waiting",), runs=True),
    Case("id_without_record", id_without_record),
    Case("id_without_record", completed_without_record),
    Case("state_without_job", state_without_job),
    Case("member_without_job", member_without_job),
    Case("cancel_mark_stale", cancel_mark_stale),
    Case("result_without_job", result_without_job),
    Case("payload_without_record", payload_without_record),
    Case("dependencies_left", dependencies_left),
    Case("dependencies_left", children_left),
    Case("heartbeat_stale", heartbeat_stale),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.make.__name__)
def test_a_damage_is_found_repaired_and_gone(
    case: Case, server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    case.make(server, client)
    before = library.dump(client)
    reported = cli("doctor", QUEUE, "--json")
    assert (reported.code, reported.stderr) == (1, "")
    (finding,) = reported.json["findings"]
    assert (finding["code"], finding["queue"], finding["count"]) == (case.code, QUEUE, len(case.ids))
    assert tuple(finding["sample_ids"]) == case.ids

    named = ["--code", case.code] if BY_CODE[case.code].way == "named" else []
    tried = cli("doctor", QUEUE, "--repair", *named, "--dry-run", "--json")
    assert (tried.code, tried.json["succeeded"], tried.json["dry_run"]) == (0, len(case.ids), True)
    assert library.dump(client) == before and library.events(client) == []

    mended = cli("doctor", QUEUE, "--repair", *named, "--yes", "--reason", "tidying", "--json")
    assert (mended.code, mended.stderr) == (0, "")
    assert [(row["job_id"], row["status"]) for row in mended.json["results"]] == [
        (job_id, "success") for job_id in case.ids
    ]
    (event,) = library.events(client)
    reported = [event[name] for name in ("action", "source", "status", "queue", "job_id")]
    assert reported == ["doctor.repair", "doctor", "success", QUEUE, "x"]
    event["details"].pop("removed", None)
    assert event["details"] == {"reason": "tidying", "code": case.code}
    assert places_of(client, "x") == list(case.lies)
    clean = cli("doctor", "--json")
    assert (clean.code, clean.json["findings"]) == (0, [])
    if case.runs:
        assert work(server, 1) == ["x"]
        assert client.hget(STATES, "x") == b"completed"
        clean = cli("doctor", "--json")
        assert (clean.code, clean.json["findings"]) == (0, [])


def test_a_large_job_that_is_put_back_can_be_retried_and_run(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    failed_large(server, client)
    assert cli("doctor", "--repair", "--yes").code == 0
    assert cli("jobs", "retry", QUEUE, "x").code == 0
    assert work(server, 1) == ["x"]


def test_what_may_run_a_job_twice_is_left_unless_it_is_named(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    active_lost(server, client)
    before = library.dump(client)
    left = cli("doctor", QUEUE, "--repair", "--yes", "--json")
    assert (left.code, left.json["matched"]) == (1, 0)
    assert [one["code"] for one in left.json["findings"]] == ["active_lost"]
    assert library.dump(client) == before and library.events(client) == []


def test_a_job_that_moves_between_the_reads_and_the_script_is_left_alone(
    server: PrivateRedis, client: redis.Redis, monkeypatch: pytest.MonkeyPatch, cli: Run
) -> None:
    from asyncmq_cli.storage.write.job_changes import Changes

    put(server.url, ("waiting", "x"), ("waiting", "y"))
    client.delete(WAITING)
    send = Changes.send

    def after_the_producer(self: Changes, changes: Any) -> Any:
        # Somebody else has enqueued it again meanwhile.
        client.zadd(WAITING, {"x": 5e12})
        return send(self, changes)

    monkeypatch.setattr(Changes, "send", after_the_producer)
    report = cli("doctor", "--repair", "--yes", "--json")
    assert report.code == 1
    assert {row["job_id"]: row["status"] for row in report.json["results"]} == {"x": "failed", "y": "success"}
    assert client.zscore(WAITING, "x") == 5e12
    assert {e["job_id"]: e["status"] for e in library.events(client)} == {"x": "failed", "y": "success"}


def test_many_damaged_jobs_are_all_repaired_and_counted(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    async def fill(opened: RedisBackend) -> None:
        for number in range(700):
            await opened.enqueue(QUEUE, job(f"job-{number}"))

    LIBRARY(server.url, fill)
    client.delete(WAITING)
    (finding,) = cli("doctor", "--json").json["findings"]
    assert (finding["count"], len(finding["sample_ids"])) == (700, 5)
    assert cli("doctor", "--repair", "--yes", "--json").json["succeeded"] == 700
    assert client.zrange(WAITING, 0, -1) == [f"job-{number}".encode() for number in range(700)]
    assert cli("doctor").code == 0
