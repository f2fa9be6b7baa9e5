"""Damage that is reported but not repaired, because a repair would be a guess; and data that is no damage."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
import redis
from asyncmq.backends.redis import RedisBackend

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Run
from tests.services.doctor.support import QUEUE, due_in, job, put
from tests.support import library

WAITING, DELAYED = f"queue:{QUEUE}:waiting", f"queue:{QUEUE}:delayed"
REPEATABLES = f"queue:{QUEUE}:repeatables"
TICK = {"task_id": "app.tick", "every": 60}


async def orphan(opened: RedisBackend) -> None:
    await opened.enqueue(QUEUE, job("x", depends_on=["never-there"], created_at=due_in(-3600)))


async def child_of_failed(opened: RedisBackend) -> None:
    await library.put(opened, QUEUE, "failed", job("parent"))
    await opened.enqueue(QUEUE, job("x", depends_on=["parent"]))


async def timeless(opened: RedisBackend) -> None:
    await library.put(opened, QUEUE, "delayed", job("x"))
    await opened.redis.delete(DELAYED)


async def two_places(opened: RedisBackend) -> None:
    await library.put(opened, QUEUE, "delayed", job("x"))
    await opened.enqueue(QUEUE, job("x"))


async def damaged_record(opened: RedisBackend) -> None:
    await opened.enqueue(QUEUE, job("x"))
    await opened.redis.delete(WAITING)
    await opened.redis.set(f"jobs:{QUEUE}:x", "{cut off")


async def junk_member(opened: RedisBackend) -> None:
    await opened.redis.zadd(DELAYED, {"x": 1.5})


async def junk_definition(opened: RedisBackend) -> None:
    await opened.redis.zadd(REPEATABLES, {"x": due_in(3600)})


async def paused(opened: RedisBackend) -> None:
    await opened.enqueue(QUEUE, job("y"))
    await opened.pause_queue(QUEUE)


async def surplus(opened: RedisBackend) -> None:
    for name in ("a", "b", "c"):
        await library.put(opened, QUEUE, "active", job(name))
        await opened.redis.hset(f"queue:{QUEUE}:active", name, str(due_in(-1e6)))
    await library.enlist(opened, "w", QUEUE, 2)


CASES: dict[str, tuple[Callable[[RedisBackend], Any], int, list[str]]] = {
    "parent_gone": (orphan, 1, ["x"]),
    "parent_failed": (child_of_failed, 1, ["x"]),
    "delayed_timeless": (timeless, 1, ["x"]),
    "in_two_places": (two_places, 1, ["x"]),
    "record_unreadable": (damaged_record, 1, ["x"]),
    "member_unreadable": (junk_member, 1, ["x"]),
    "repeatable_unreadable": (junk_definition, 1, ["x"]),
    "paused_backlog": (paused, 1, []),
    "active_surplus": (surplus, 1, []),
}


@pytest.mark.parametrize("code", CASES)
def test_what_cannot_be_repaired_without_guessing_is_left_with_advice(
    code: str, server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    make, count, ids = CASES[code]
    library.with_backend(server.url, make)
    before = library.dump(client)
    for args in ([], ["--repair", "--yes"], ["--repair", "--yes", "--code", code]):
        reported = cli("doctor", QUEUE, *args, "--json")
        (finding,) = reported.json["findings"]
        assert (reported.code, finding["code"], finding["repairable"]) == (1, code, False)
        assert (finding["count"], finding["sample_ids"]) == (count, ids)
    assert library.dump(client) == before and library.events(client) == []


def test_an_orphan_without_a_creation_time_is_reported(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    async def enqueue(opened: RedisBackend) -> None:
        await opened.enqueue(QUEUE, job("x", depends_on=["never-there"], created_at=float("nan")))

    library.with_backend(server.url, enqueue)
    (finding,) = cli("doctor", "--json").json["findings"]
    assert (finding["code"], finding["sample_ids"]) == ("parent_gone", ["x"])


def test_a_parent_that_the_library_retried_frees_its_child_at_the_second_visit(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    """AsyncMQ does not notify the child when a parent that it retried has completed."""
    from tests.services.doctor.support import work

    library.with_backend(server.url, child_of_failed)
    library.with_backend(server.url, lambda opened: opened.retry_job(QUEUE, "parent"))
    assert work(server, 1) == ["parent"]
    assert cli("doctor", QUEUE, "--repair", "--yes").code == 0
    assert work(server, 1) == ["x"]


@pytest.mark.parametrize("options", [(), ("--set", "max_retries=1", "--yes")], ids=["retry", "edited"])
def test_a_parent_that_failed_and_was_retried_here_frees_its_child(
    options: tuple[str, ...], server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    from tests.services.doctor.support import work

    library.with_backend(server.url, child_of_failed)
    assert cli("jobs", "retry", QUEUE, "parent", *options).code == 0
    assert work(server, 2) == ["parent", "x"]


@pytest.mark.parametrize("verb", ["cancel", "remove"])
def test_a_removal_says_first_which_jobs_wait_for_the_job(
    verb: str, server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    async def family(opened: RedisBackend) -> None:
        await opened.enqueue(QUEUE, job("parent"))
        await opened.enqueue(QUEUE, job("x", depends_on=["parent"]))

    library.with_backend(server.url, family)
    for how in ("--dry-run", "--yes"):
        (row,) = cli("jobs", verb, QUEUE, "parent", how).lines
        assert row.endswith("1 job waits for it and will never run")


def definitions(client: redis.Redis) -> list[tuple[Any, float]]:
    return [(json.loads(raw), score) for raw, score in client.zrange(REPEATABLES, 0, -1, withscores=True)]


def test_a_definition_stored_twice_is_stored_once_after_a_repair(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    soon, later = due_in(1000), due_in(2000)
    client.zadd(REPEATABLES, {json.dumps(TICK): later, json.dumps(dict(reversed(TICK.items()))): soon})
    (finding,) = cli("doctor", "--json").json["findings"]
    assert (finding["code"], finding["count"]) == ("repeatable_duplicate", 1)
    assert finding["sample_ids"] == [cli("repeatables", "list", "--json").json["repeatables"][0]["id"]]
    assert cli("doctor", "--repair", "--dry-run").code == 0
    assert len(definitions(client)) == 2

    assert cli("doctor", "--repair", "--yes").code == 0
    assert definitions(client) == [(TICK, soon)]
    (event,) = library.events(client)
    assert (event["action"], event["job_id"], event["details"]) == (
        "doctor.repair",
        "app.tick",
        {"code": "repeatable_duplicate", "job_def": TICK},
    )
    assert cli("doctor").code == 0


def test_one_paused_and_one_running_are_left_to_the_operator(client: redis.Redis, cli: Run) -> None:
    client.zadd(REPEATABLES, {json.dumps(TICK): due_in(60), json.dumps({**TICK, "paused": True}): due_in(90)})
    reported = cli("doctor", "--repair", "--yes", "--json")
    assert [one["code"] for one in reported.json["findings"]] == ["repeatable_conflict"]
    assert len(definitions(client)) == 2


def test_what_a_resume_in_the_dashboard_leaves_is_pointed_out(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    from asyncmq.contrib.dashboard.controllers.repeatables import build_repeatable_action_definition

    whole = {**TICK, "args": [1], "priority": 2}

    async def pause_and_resume(opened: RedisBackend) -> None:
        await opened.upsert_repeatable(QUEUE, whole)
        await opened.pause_repeatable(QUEUE, whole)
        await opened.resume_repeatable(QUEUE, build_repeatable_action_definition(QUEUE, whole))

    library.with_backend(server.url, pause_and_resume)
    assert len(definitions(client)) == 2
    (finding,) = cli("doctor", "--json").json["findings"]
    assert (finding["code"], finding["count"]) == ("repeatable_shadow", 1)


TWICE = [
    ("repeatable_same_runs", [{"cron": "*/5 * * * *"}, {"cron": "*/5  * * * *", "retries": 3}]),
    ("repeatable_same_runs", [{"every": 60}, {"every": 60.0, "ttl": 5, "args": [], "kwargs": {}}]),
    ("repeatable_rescheduled", [{"cron": "0 7 * * *"}, {"cron": "0 8 * * *", "priority": 1}]),
    ("repeatable_rescheduled", [{"every": 60}, {"every": 300}]),
    (None, [{"cron": "0 7 * * *"}, {"cron": "30 19 * * *"}]),
    (None, [{"cron": "0 7 * * *"}, {"every": 60}]),
    (None, [{"every": 60, "args": [1]}, {"every": 60, "args": [2]}]),
    (None, [{"every": 60, "retries": 1}, {"every": 60, "retries": 2, "paused": True}]),
    (None, [{"every": 60}, {"every": 60, "task_id": "app.other"}]),
]


@pytest.mark.parametrize(("code", "schedules"), TWICE)
def test_definitions_by_which_a_task_runs_twice_are_pointed_out_together(
    code: str | None, schedules: list[dict[str, Any]], client: redis.Redis, cli: Run
) -> None:
    for schedule in schedules:
        client.zadd(REPEATABLES, {json.dumps({"task_id": "app.poll", **schedule}): due_in(1000)})
    findings = cli("doctor", "--json").json["findings"]
    assert [(one["code"], one["count"]) for one in findings] == ([(code, 2)] if code else [])
    if code:
        listed = cli("repeatables", "list", QUEUE, "--json").json["repeatables"]
        assert set(findings[0]["sample_ids"]) == {one["id"] for one in listed}
        assert cli("doctor", QUEUE).code == 1


def test_a_definition_that_nobody_schedules_is_pointed_out(client: redis.Redis, cli: Run) -> None:
    client.zadd(REPEATABLES, {json.dumps(TICK): due_in(-120)})
    (finding,) = cli("doctor", "--json").json["findings"]
    assert finding["code"] == "repeatable_unscheduled"
    client.zadd(REPEATABLES, {json.dumps(TICK): due_in(-10)})
    assert cli("doctor").code == 0


STUCK: list[dict[str, Any]] = [
    {"cron": "61 * * * *"},
    {"cron": "0 0 30 2 *"},
    {"cron": 5},
    {"cron": ""},
    {"every": 0},
    {"every": -5},
    {"every": "soon"},
    {"every": [1]},
    {"every": None},
    {"every": float("nan")},
    {},
]
MOVING: list[dict[str, Any]] = [
    {"cron": "* * * * *", "every": "soon"},
    {"cron": None, "every": "60"},
    {"every": True},
    {"every": 0.5},
    {"every": 60, "paused": True},
    {"cron": "61 * * * *", "paused": True},
]


@pytest.mark.parametrize("schedule", [*STUCK, *MOVING], ids=json.dumps)
def test_a_schedule_that_the_scheduler_cannot_advance_is_found(
    schedule: dict[str, Any], server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    """The oracle is the library's scheduler: after its turn, this definition or the one after it is still
    due."""
    from asyncmq.schedulers import _process_backend_repeatables

    client.zadd(REPEATABLES, {json.dumps({"task_id": "app.odd", **schedule}): due_in(-20)})
    client.zadd(REPEATABLES, {json.dumps(TICK): due_in(-10)})
    found = [one["code"] for one in cli("doctor", QUEUE, "--json").json["findings"]]
    listed = cli("repeatables", "list", QUEUE, "--fields", "task,state").stdout
    assert ("app.odd\tstuck\n" in listed) == bool(found)

    async def turn(opened: RedisBackend) -> int:
        with contextlib.suppress(Exception):
            await _process_backend_repeatables(QUEUE, opened)
        return len(await opened.get_due_repeatables(QUEUE))

    assert found == (["repeatable_stuck"] if library.with_backend(server.url, turn) else [])
    assert bool(found) == (schedule in STUCK)


def test_definitions_behind_a_stuck_one_are_not_reported_as_unscheduled(
    client: redis.Redis, cli: Run
) -> None:
    stuck = {"task_id": "app.odd", "cron": "61 * * * *"}
    client.zadd(REPEATABLES, {json.dumps(stuck): due_in(-200), json.dumps(TICK): due_in(-100)})
    assert [one["code"] for one in cli("doctor", QUEUE, "--json").json["findings"]] == ["repeatable_stuck"]
    client.zadd(REPEATABLES, {json.dumps(TICK): due_in(-300)})
    found = [one["code"] for one in cli("doctor", QUEUE, "--json").json["findings"]]
    assert sorted(found) == ["repeatable_stuck", "repeatable_unscheduled"]


def test_a_queue_in_every_state_of_the_library_is_clean(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    """Large jobs, unusual ids and names, members of old versions and parents that do not exist yet are not
    damage."""

    async def fill(opened: RedisBackend) -> None:
        for queue in (QUEUE, f"{QUEUE}:sub", "all*[done]?"):
            states = [state for state in library.STATES if state != "waiting-children"]
            # First those that are claimed, so that none takes another's turn.
            for state in sorted(states, key=lambda state: state in ("waiting", "dead-directly")):
                await library.put(opened, queue, state, job(f"{state}:payload"))
                await library.put(opened, queue, state, job(f"{state} *[ü]", args=["z" * 70_000]))
            await opened.enqueue(queue, job("child", depends_on=["waiting:payload"]))
            await opened.upsert_repeatable(queue, TICK)
            await library.enlist(opened, "w", queue, 8)

    library.with_backend(server.url, fill)
    client.zadd(WAITING, {json.dumps(job("as-in-old-versions")): 9e15})
    for args in ((), (QUEUE,), (f"{QUEUE}:sub", QUEUE)):
        reported = cli("doctor", *args, "--json")
        assert (reported.code, reported.json["findings"], reported.stderr) == (0, [], ""), args
    assert cli("doctor", "--json").json["checked"] == ["all*[done]?", QUEUE, f"{QUEUE}:sub"]


def test_a_payload_part_is_reported_in_the_queue_with_the_longest_name(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    for queue in (QUEUE, f"{QUEUE}:sub"):
        library.with_backend(server.url, lambda opened, queue=queue: opened.enqueue(queue, job("y")))
    client.set(f"jobs:{QUEUE}:sub:x:payload", "{}")
    assert cli("doctor", QUEUE).code == 0
    (finding,) = cli("doctor", "--json").json["findings"]
    assert (finding["queue"], finding["sample_ids"]) == (f"{QUEUE}:sub", ["x"])


def test_damage_is_reported_once_per_job_and_queue(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    put(server.url, ("waiting", "a"), ("waiting", "b"), ("failed", "c"), ("completed", "d"))
    client.delete(WAITING)
    client.delete(f"jobs:{QUEUE}:d")
    found = cli("doctor", "--json").json["findings"]
    assert [(one["code"], one["count"], sorted(one["sample_ids"])) for one in found] == [
        ("waiting_unlisted", 2, ["a", "b"]),
        ("id_without_record", 1, ["d"]),
    ]
    only = cli("doctor", "--code", "id_without_record", "--json").json["findings"]
    assert [one["code"] for one in only] == ["id_without_record"]
