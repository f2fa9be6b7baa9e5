"""Data that a repair must not change, because it would be a guess, would run a job twice, or would lose
one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import redis
from asyncmq.backends.redis import RedisBackend

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Run
from tests.services.doctor.support import QUEUE, RUNS, due_in, job, places_of, put, work
from tests.support import library

WAITING, DELAYED, DLQ, ACTIVE = (f"queue:{QUEUE}:{name}" for name in ("waiting", "delayed", "dlq", "active"))
IDS, STATES = (f"jobs:{QUEUE}:{name}" for name in ("ids", "states"))
RECORD, PAYLOAD = f"jobs:{QUEUE}:x", f"jobs:{QUEUE}:x:payload"
ODD_STATES = ["queued", "stalled", "retrying", "odd", "unknown", ""]

Make = Callable[[PrivateRedis, redis.Redis], Any]


def left_with_advice(client: redis.Redis, cli: Run, code: str, *, of: str = "x") -> None:
    """Assert that the damage is reported once, and not changed by any repair."""
    before = library.dump(client)
    for args in ([], ["--repair", "--yes"], ["--repair", "--yes", "--code", code]):
        reported = cli("doctor", QUEUE, *args, "--json")
        assert (reported.code, reported.stderr) == (1, "")
        (finding,) = reported.json["findings"]
        assert (finding["code"], finding["count"], finding["sample_ids"]) == (code, 1, [of])
        assert finding["repairable"] is False
    assert library.dump(client) == before and library.events(client) == []


@pytest.mark.parametrize("state", ODD_STATES)
def test_a_dead_letter_stays_in_every_state_of_its_job(
    state: str, server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    put(server.url, ("failed", "x"))
    client.hset(STATES, "x", state)
    left_with_advice(client, cli, "state_unknown")
    assert places_of(client, "x") == ["dlq"]
    # As the advice says.
    client.hset(STATES, "x", "failed")
    assert cli("jobs", "retry", QUEUE, "x").code == 0
    assert work(server, 1) == ["x"]


@pytest.mark.parametrize("state", ODD_STATES)
def test_a_job_in_no_place_is_found_in_every_state(
    state: str, server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    put(server.url, ("waiting", "x"))
    client.delete(WAITING)
    client.hset(STATES, "x", state)
    left_with_advice(client, cli, "state_unknown")
    # As the advice says.
    client.hset(STATES, "x", "waiting")
    assert cli("doctor", "--repair", "--yes").code == 0
    assert work(server, 1) == ["x"]


@pytest.mark.parametrize("state", ODD_STATES)
def test_a_job_of_an_odd_state_that_waits_is_left_to_the_worker(
    state: str, server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    put(server.url, ("waiting", "x"))
    client.hset(STATES, "x", state)
    assert cli("doctor").code == 0
    assert work(server, 1) == ["x"]


def test_a_child_that_is_called_one_and_waits_for_nobody_is_not_let_run(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    put(server.url, ("waiting", "x"))
    client.delete(WAITING)
    client.hset(STATES, "x", "waiting-children")
    left_with_advice(client, cli, "state_unknown")


@pytest.mark.parametrize("state", ["completed", "cancelled"])
def test_an_end_that_the_record_denies_does_not_cost_the_dead_letter(
    state: str, server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    put(server.url, ("failed", "x"))
    client.hset(STATES, "x", state)
    left_with_advice(client, cli, "dead_letter_unclear")


def test_the_repair_removes_a_dead_letter_of_a_job_that_the_library_cancelled(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    put(server.url, ("failed", "x"))
    library.with_backend(server.url, lambda opened: opened.cancel_job(QUEUE, "x"))
    reported = cli("doctor", "--repair", "--yes", "--json")
    assert (reported.code, reported.json["succeeded"]) == (0, 1)
    assert places_of(client, "x") == []


def test_a_dead_letter_of_the_current_attempt_is_recognised_by_the_claim(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    """The JSON of Redis shortens `created_at` and has no empty list."""

    async def fill(opened: RedisBackend) -> None:
        await opened.enqueue(QUEUE, job("x", args=[], kwargs={"n": [1 / 3, 2**60, True, []]}))
        claimed = await opened.dequeue(QUEUE)
        assert claimed is not None and claimed["args"] == {}
        await opened.redis.zadd(DLQ, {json.dumps({**claimed, "status": "failed"}): 1.5})
        await opened.redis.delete(ACTIVE)

    library.with_backend(server.url, fill)
    reported = cli("doctor", "--repair", "--yes", "--json")
    assert (reported.code, [row["note"].split(":")[0] for row in reported.json["results"]]) == (
        0,
        ["dead_state_wrong"],
    )
    assert client.hget(STATES, "x") == b"failed"


@pytest.mark.parametrize("changed", [{"args": ["NEW"]}, {"created_at": 2e9}, {"depends_on": ["parent"]}])
def test_a_newer_job_is_not_overwritten_by_an_old_dead_letter(
    changed: dict[str, Any], server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    async def fill(opened: RedisBackend) -> None:
        record = job("x", args=["OLD"])
        await library.put(opened, QUEUE, "failed", record)
        await library.put(opened, QUEUE, "waiting", job("parent"))
        await opened.enqueue(QUEUE, {**record, **changed})

    library.with_backend(server.url, fill)
    client.zrem(WAITING, "x")
    # The library leaves the state of a job's earlier life to one that waits for another.
    client.hset(STATES, "x", "waiting")
    left_with_advice(client, cli, "dead_letter_unclear")


def test_of_two_dead_letters_neither_is_shown_as_the_job(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    put(server.url, ("failed", "x"))
    client.zadd(DLQ, {json.dumps(job("x", args=["OLD"], status="failed")): 1.5})
    client.delete(RECORD)
    left_with_advice(client, cli, "dead_letter_unclear")


@pytest.mark.parametrize("done", [1000, 1500])
def test_a_child_of_many_waits_for_the_last_of_them(
    done: int, server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    parents = [f"parent-{number:04}" for number in range(1500)]

    async def fill(opened: RedisBackend) -> None:
        for name in parents[done:]:
            await opened.enqueue(QUEUE, job(name))
        await opened.enqueue(QUEUE, job("x", depends_on=parents))

    library.with_backend(server.url, fill)
    client.hset(STATES, mapping=dict.fromkeys(parents[:done], "completed"))
    for name in parents[:done]:
        client.set(f"jobs:{QUEUE}:{name}", json.dumps(job(name)))
    client.sadd(IDS, *parents)
    if done < 1500:
        assert cli("doctor", "--repair", "--yes").code == 0
        assert places_of(client, "x") == [] and library.events(client) == []
        return
    assert cli("doctor", "--repair", "--yes", "--json").json["succeeded"] == 1
    assert list(client.scan_iter(match="deps:*")) == []
    assert work(server, 1) == ["x"]


@pytest.mark.extended
def test_a_child_of_more_parents_than_one_script_can_clear_is_released(client: redis.Redis, cli: Run) -> None:
    parents = [f"parent-{number}" for number in range(10_001)]
    client.hset(STATES, mapping=dict.fromkeys(parents, "completed"))
    client.sadd(IDS, *parents, "x")
    client.mset({f"jobs:{QUEUE}:{name}": "{}" for name in parents})
    client.set(RECORD, json.dumps(job("x", depends_on=parents, status="waiting")))
    reported = cli("doctor", "--repair", "--yes", "--json")
    assert (reported.code, reported.json["succeeded"], reported.json["failed"]) == (0, 1, 0)
    assert places_of(client, "x") == ["waiting"]
    assert not json.loads(client.get(RECORD) or b"{}").get("depends_on")
    assert list(client.scan_iter(match="deps:*")) == []


def test_a_child_waits_for_a_parent_that_only_its_set_knows_as_well(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    """`add_dependencies`, killed before it has written the record."""

    async def fill(opened: RedisBackend) -> None:
        await library.put(opened, QUEUE, "completed", job("early"))
        await opened.enqueue(QUEUE, job("late"))
        await opened.enqueue(QUEUE, job("x", depends_on=["early"]))

    library.with_backend(server.url, fill)
    client.sadd(f"deps:{QUEUE}:x:pending", "late")
    assert cli("doctor", "--repair", "--yes").code == 0
    assert places_of(client, "x") == []
    assert work(server, 1) == ["late"]
    assert cli("doctor", "--repair", "--yes", "--json").json["succeeded"] == 1
    assert work(server, 1) == ["x"]


def completed_and_waiting(server: PrivateRedis, client: redis.Redis) -> None:
    put(server.url, ("completed", "x"))
    client.zadd(WAITING, {"x": 9e15})


def failed_and_waiting(server: PrivateRedis, client: redis.Redis) -> None:
    put(server.url, ("failed", "x"))
    client.zadd(WAITING, {"x": 9e15})


def completed_and_delayed(server: PrivateRedis, client: redis.Redis) -> None:
    put(server.url, ("completed", "x"))
    client.zadd(DELAYED, {json.dumps(job("x")): due_in(-1)})


def completed_and_delayed_without_record(server: PrivateRedis, client: redis.Redis) -> None:
    completed_and_delayed(server, client)
    client.delete(RECORD)


def active_and_waiting(server: PrivateRedis, client: redis.Redis) -> None:
    put(server.url, ("active", "x"))
    client.zadd(WAITING, {"x": 9e15})


def active_and_delayed(server: PrivateRedis, client: redis.Redis) -> None:
    put(server.url, ("active", "x"))
    client.zadd(DELAYED, {json.dumps(job("x")): due_in(-1)})


def delayed_twice(server: PrivateRedis, client: redis.Redis) -> None:
    put(server.url, ("delayed-overdue", "x"))
    client.zadd(DELAYED, {json.dumps(job("x", args=["x again"])): due_in(-1)})


def delayed_twice_without_record(server: PrivateRedis, client: redis.Redis) -> None:
    delayed_twice(server, client)
    client.delete(RECORD)


def waiting_by_id_and_whole(server: PrivateRedis, client: redis.Redis) -> None:
    put(server.url, ("waiting", "x"))
    client.zadd(WAITING, {json.dumps(job("x")): 9e15})


def waiting_whole_twice(server: PrivateRedis, client: redis.Redis) -> None:
    client.zadd(WAITING, {json.dumps(job("x")): 8e15, json.dumps(job("x", args=["x again"])): 9e15})


def waiting_whole_and_delayed(server: PrivateRedis, client: redis.Redis) -> None:
    put(server.url, ("delayed-overdue", "x"))
    client.zadd(WAITING, {json.dumps(job("x")): 9e15})


def damaged_and_waiting(server: PrivateRedis, client: redis.Redis) -> None:
    put(server.url, ("waiting", "x"))
    client.set(RECORD, "{cut off")


def put_large(server: PrivateRedis, client: redis.Redis) -> None:
    large = job("x", kwargs={"notes": "n" * 70_000})
    library.with_backend(server.url, lambda opened: opened.enqueue(QUEUE, large))
    assert client.exists(PAYLOAD)


def arguments_missing(server: PrivateRedis, client: redis.Redis) -> None:
    put_large(server, client)
    client.delete(PAYLOAD)


def arguments_damaged(server: PrivateRedis, client: redis.Redis) -> None:
    put_large(server, client)
    client.set(PAYLOAD, client.get(PAYLOAD)[:-20])


def arguments_missing_and_unlisted(server: PrivateRedis, client: redis.Redis) -> None:
    arguments_missing(server, client)
    client.delete(WAITING)


CASES: list[tuple[str, Make, int]] = [
    ("ended_listed", completed_and_waiting, 1),
    ("ended_listed", failed_and_waiting, 1),
    ("ended_listed", completed_and_delayed, 1),
    ("ended_listed", completed_and_delayed_without_record, 1),
    ("active_listed", active_and_waiting, 1),
    ("active_listed", active_and_delayed, 1),
    ("in_two_places", delayed_twice, 0),
    ("in_two_places", delayed_twice_without_record, 0),
    ("in_two_places", waiting_by_id_and_whole, 2),
    ("in_two_places", waiting_whole_twice, 2),
    ("in_two_places", waiting_whole_and_delayed, 2),
    ("record_unreadable", damaged_and_waiting, 0),
    ("arguments_damaged", arguments_missing, 0),
    ("arguments_damaged", arguments_damaged, 0),
    ("arguments_damaged", arguments_missing_and_unlisted, 0),
]


@pytest.mark.parametrize(("code", "make", "runs"), CASES, ids=[make.__name__ for _, make, _ in CASES])
def test_damage_without_a_safe_repair_is_reported_and_left(
    code: str, make: Make, runs: int, server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    make(server, client)
    left_with_advice(client, cli, code)
    if runs:
        # The damage is really as severe as reported.
        assert len(work(server, runs)) == runs
        assert len(RUNS) == runs


def test_a_job_of_another_producer_needs_no_arguments(client: redis.Redis, cli: Run) -> None:
    client.set(RECORD, json.dumps({"id": "x", "task": "app.tidy", "status": "waiting"}))
    client.sadd(IDS, "x")
    client.zadd(WAITING, {"x": 5e12})
    assert cli("doctor").code == 0


def test_a_dead_job_without_record_whose_id_waits_is_not_let_run(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    """If it had a record again, a worker would run it."""
    failed_and_waiting(server, client)
    client.delete(RECORD)
    left_with_advice(client, cli, "dead_letter_unclear")


def test_a_cancelled_job_that_a_worker_will_drop_is_no_damage(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    put(server.url, ("cancelled", "x"))
    client.zadd(WAITING, {"x": 9e15})
    assert cli("doctor").code == 0
    client.delete(f"queue:{QUEUE}:cancelled")
    left_with_advice(client, cli, "ended_listed")


def test_sets_of_dependencies_that_somebody_may_need_stay(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    """The parent does not exist yet, or its name resembles that of an existing job."""

    async def fill(opened: RedisBackend) -> None:
        await opened.enqueue(QUEUE, job("child", depends_on=["later"], created_at=due_in(0)))
        await opened.enqueue(QUEUE, job("parent"))
        await opened.enqueue(QUEUE, job("x:pending"))
        await opened.enqueue(QUEUE, job("y", depends_on=["x:pending", "parent"]))
        await opened.enqueue(f"{QUEUE}:sub", job("other"))
        await opened.enqueue(QUEUE, job("sub:z", depends_on=["parent"]))

    library.with_backend(server.url, fill)
    before = library.dump(client)
    reported = cli("doctor", "--repair", "--yes", "--json")
    assert (reported.code, reported.json["findings"], reported.json["matched"]) == (0, [], 0)
    assert library.dump(client) == before
