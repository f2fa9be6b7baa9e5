"""Definitions compared with the real AsyncMQ: we store the same, its scheduler accepts it, and concurrent
changes never duplicate or lose a definition."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
import redis
from asyncmq import monkay, schedulers
from asyncmq.backends.redis import RedisBackend
from asyncmq.contrib.dashboard.controllers import repeatables as dashboard
from asyncmq.core.repeatables import repeatable_identity
from asyncmq.queues import Queue
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from asyncmq_cli import config
from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.services.repeatables.plans import Address
from asyncmq_cli.services.repeatables.service import RepeatableService
from asyncmq_cli.storage.store import Store
from tests.conftest import Result, Run
from tests.faults.scale import scaled
from tests.support import library
from tests.support.strategies import ANY_TEXT, JSON_VALUES

# More examples in `make faults`.
pytestmark = pytest.mark.faults

QUEUE = "tenant:a"
KEY = f"queue:{QUEUE}:repeatables"
EXAMPLES = settings(
    max_examples=scaled(10, 40),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
FULL = {
    "task_id": "app.digest",
    "args": [1, {"a": None}],
    "kwargs": {"to": "é", "token": "hunter2"},
    "retries": 2,
    "ttl": 60,
    "priority": 3,
    "backoff": 1.5,
    "every": 300,
}


def numbers(most: int) -> st.SearchStrategy[int | float]:
    """Numbers: whole ones as integers, as they are stored, others with a few digits."""
    return st.integers(1, most) | st.integers(1, most).map(lambda n: n + 0.25)


SCHEDULES = st.one_of(
    numbers(10**7).map(lambda every: {"every": every}),
    st.sampled_from(["*/5 * * * *", "0 7 * * mon-fri", "@daily", "* * * * * */15", "0 0 29 2 *"]).map(
        lambda cron: {"cron": cron}
    ),
)
DEFINITIONS = st.fixed_dictionaries(
    {
        "task_id": ANY_TEXT.filter(str.strip),
        "schedule": SCHEDULES,
        "retries": st.integers(0, 2**70),
        "priority": st.integers(-9000, 9000),
    },
    optional={
        "args": st.lists(JSON_VALUES, max_size=3),
        "kwargs": st.dictionaries(ANY_TEXT, JSON_VALUES, max_size=3),
        "ttl": numbers(10**6),
        "backoff": numbers(100),
    },
).map(lambda drawn: {**{k: v for k, v in drawn.items() if k != "schedule"}, **drawn["schedule"]})


@pytest.fixture
def other(server: PrivateRedis) -> redis.Redis:
    """A second database for the same changes by the library."""
    return redis.Redis.from_url(second(server))


def second(server: PrivateRedis) -> str:
    return server.url.replace("db=0", "db=1")


def options(definition: dict[str, Any]) -> list[str]:
    """The command line that adds a definition."""
    given: list[str] = []
    for name, value in definition.items():
        text = json.dumps(value) if name in ("args", "kwargs") else str(value)
        given.append(f"--{'task' if name == 'task_id' else name}={text}")
    return given


def members(client: redis.Redis) -> list[tuple[bytes, float]]:
    return client.zrange(KEY, 0, -1, withscores=True)


def upsert(definition: dict[str, Any]) -> Callable[[RedisBackend], Awaitable[float]]:
    return lambda opened: Queue(QUEUE, backend=opened).upsert_repeatable(**definition)


@EXAMPLES
@given(definition=DEFINITIONS)
def test_an_added_definition_equals_the_librarys(
    definition: dict[str, Any], server: PrivateRedis, client: redis.Redis, other: redis.Redis, cli: Run
) -> None:
    client.flushdb()
    other.flushdb()
    theirs = library.with_backend(second(server), upsert(definition))
    added = cli("repeatables", "add", QUEUE, *options(definition), "--yes", "--json")
    assert (added.code, added.stderr) == (0, "")
    ((ours, score),) = members(client)
    assert ours == members(other)[0][0]
    # Time passes between the two, and with it perhaps a moment of cron.
    assert theirs <= score <= schedulers.compute_next_run(definition)
    document = json.loads(added.stdout)
    assert document["id"] == repeatable_identity(json.loads(ours))
    assert document["next_runs"][0]["next_run"] == score

    cli("repeatables", "add", QUEUE, *options(definition))
    assert [member for member, _ in members(client)] == [ours]
    cli("repeatables", "add", QUEUE, *options(definition), "--paused")
    library.with_backend(second(server), lambda opened: opened.pause_repeatable(QUEUE, json.loads(ours)))
    assert [member for member, _ in members(client)] == [member for member, _ in members(other)]


@EXAMPLES
@given(definitions=st.lists(st.tuples(DEFINITIONS, st.booleans()), max_size=4))
@example(definitions=[({"task_id": "\ud800", "retries": 0, "priority": 0, "every": 1}, False)])
def test_the_list_is_the_library_s(
    definitions: list[tuple[dict[str, Any], bool]], server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    client.flushdb()

    async def fill(opened: RedisBackend) -> list[Any]:
        for definition, paused in definitions:
            await upsert(definition)(opened)
            if paused:
                await opened.pause_repeatable(QUEUE, json.loads((await opened.redis.zrange(KEY, 0, 0))[0]))
        return list(await opened.list_repeatables(QUEUE))

    theirs = library.with_backend(server.url, fill)
    listed = cli("repeatables", "list", "--json", "--show-secrets")
    rows = json.loads(listed.stdout)["repeatables"]
    assert [(row["id"], row["next_run"], row["paused"]) for row in rows] == [
        (repeatable_identity(one.job_def), one.next_run, one.paused) for one in theirs
    ]
    for row, one in zip(rows, theirs, strict=True):
        assert (row["every"], row["cron"]) == (one.job_def.get("every"), one.job_def.get("cron"))
        assert list(row["job_def"]) == list(one.job_def)
        if is_plain(one.job_def):
            assert (row["task_id"], row["job_def"]) == (one.job_def["task_id"], one.job_def)


def is_plain(value: Any) -> bool:
    """Whether the value is valid in strict JSON: no NaN, infinity or lone surrogate."""
    if isinstance(value, dict):
        return all(map(is_plain, [*value, *value.values()]))
    if isinstance(value, list):
        return all(map(is_plain, value))
    if isinstance(value, str):
        return not any("\ud800" <= char <= "\udfff" for char in value)
    return not isinstance(value, float) or math.isfinite(value)


@pytest.mark.parametrize("definition", [FULL, {"task_id": "app.tick", "cron": "0 7 * * *"}])
def test_each_change_leaves_what_the_library_s_own_call_leaves(
    definition: dict[str, Any], server: PrivateRedis, client: redis.Redis, other: redis.Redis, cli: Run
) -> None:
    other.flushdb()
    for url in (server.url, second(server)):
        for each in (definition, {"task_id": "app.other", "every": 10}):
            library.with_backend(url, upsert(each))
    stored = json.loads(next(member for member, _ in members(client) if b"app.other" not in member))
    verbs: dict[str, Callable[[RedisBackend], Awaitable[Any]]] = {
        "pause": lambda opened: opened.pause_repeatable(QUEUE, stored),
        "resume": lambda opened: opened.resume_repeatable(QUEUE, stored),
        "remove": lambda opened: opened.remove_repeatable(QUEUE, stored),
    }
    for verb, call in verbs.items():
        library.copy_database(client, other)
        library.with_backend(second(server), call)
        yes = ["--yes"] if verb == "remove" else []
        assert cli("repeatables", verb, QUEUE, "--task", stored["task_id"], *yes).code == 0
        ours, theirs = dict(members(client)), dict(members(other))
        assert list(ours) == list(theirs), verb
        if verb == "resume":
            assert all(
                theirs[one] <= score <= schedulers.compute_next_run(json.loads(one))
                for one, score in ours.items()
                if json.loads(one) == stored
            )
        else:
            assert ours == theirs
        assert library.events(client)[-1]["details"] == {"job_def": stored}


def post(action: str, opened: RedisBackend, definition: dict[str, Any]) -> Awaitable[Any]:
    """Do what a button of the dashboard does with a definition."""
    posted = dashboard.build_repeatable_action_definition(QUEUE, definition)

    async def form() -> dict[str, str]:
        return {"action": action, "job_def": json.dumps(posted)}

    request = SimpleNamespace(
        form=form,
        path_params={"name": QUEUE},
        url=SimpleNamespace(query="", path="/"),
        state=SimpleNamespace(),
    )
    monkay.settings.backend = opened
    return dashboard.RepeatablesController.post(SimpleNamespace(), request)


def test_1_a_definition_with_all_its_fields_is_paused_resumed_and_removed(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    library.with_backend(server.url, upsert(FULL))
    before = members(client)
    for action in ("pause", "remove"):
        library.with_backend(server.url, lambda opened, action=action: post(action, opened, FULL))
        assert members(client) == before, "the dashboard's button does nothing"
    assert cli("repeatables", "pause", QUEUE, "--task", "app.digest").code == 0
    ((member, _),) = members(client)
    assert json.loads(member) == {**json.loads(before[0][0]), "paused": True}

    library.with_backend(server.url, lambda opened: post("resume", opened, FULL))
    assert client.zcard(KEY) == 2, "and its resuming adds another schedule"
    wanted = repeatable_identity(FULL)
    assert cli("repeatables", "resume", QUEUE, wanted[:20]).code == 0
    assert before[0][0] in dict(members(client))
    assert cli("repeatables", "remove", QUEUE, wanted, "--yes").code == 0
    assert [json.loads(member).get("args") for member, _ in members(client)] == [None]


@pytest.mark.parametrize(
    ("verb", "left"), [("pause", [True]), ("resume", [False]), ("remove", []), ("add", [False])]
)
def test_several_members_of_one_definition_become_one(
    verb: str, left: list[bool], server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    stored = {"task_id": "app.digest", "args": [], "kwargs": {}, "retries": 0, "priority": 5, "every": 300}
    ways = [stored, {**stored, "paused": True}, dict(reversed(stored.items())), {**stored, "ttl": None}]
    client.zadd(KEY, {json.dumps(way): 4e9 + number for number, way in enumerate(ways)})
    rows = cli("repeatables", "list", QUEUE, "--json").json["repeatables"]
    assert (len(rows), {row["id"] for row in rows}) == (4, {repeatable_identity(stored)})
    assert all("stored 4 times" in row["problem"] for row in rows)

    meant = ["--task", "app.digest"]
    extra = {"add": ["--every", "5m"], "remove": ["--yes"]}.get(verb, [])
    assert cli("repeatables", verb, QUEUE, *meant, *extra).code == 0
    assert [json.loads(member).get("paused", False) for member, _ in members(client)] == left
    assert len(library.events(client)) == 1


def test_a_scheduler_enqueues_added_and_resumed_definitions_but_not_paused_ones(
    server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    def waiting() -> int:
        return int(client.zcard(f"queue:{QUEUE}:waiting"))

    async def story(opened: RedisBackend) -> None:
        turns = count_turns(opened)
        # A cancelled task group asks again: the client library swallows a cancellation at times.
        with anyio.fail_after(90):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(schedulers.repeatable_scheduler, QUEUE, [], opened, 0.1)
                await follow(turns)
                tasks.cancel_scope.cancel()

    async def follow(turns: Callable[[], int]) -> None:
        await do("add", "--every", "0.2", "--kwargs", '{"a": 1}', "--yes")
        await until(lambda: waiting() > 0)
        await do("pause")
        rests, turn = waiting(), turns()
        await until(lambda: turns() > turn + 5)
        ((_, due),) = members(client)
        assert due < time.time(), "it would have been due"
        assert waiting() == rests
        await do("resume")
        await until(lambda: waiting() > rests)

    async def do(verb: str, *more: str) -> None:
        words = ("repeatables", verb, QUEUE, "--task", "app.tick", *more)
        done: Result = await anyio.to_thread.run_sync(lambda: cli(*words))
        assert done.code == 0, done

    library.with_backend(server.url, story)
    job = json.loads(client.get(f"jobs:{QUEUE}:{client.zrange(f'queue:{QUEUE}:waiting', 0, 0)[0].decode()}"))
    assert (job["task"], job["kwargs"], job["priority"]) == ("app.tick", {"a": 1}, 5)


def count_turns(opened: RedisBackend) -> Callable[[], int]:
    turns = [0]
    look = opened.get_due_repeatables

    async def counted(queue: str) -> Any:
        turns[0] += 1
        return await look(queue)

    opened.get_due_repeatables = counted
    return lambda: turns[0]


async def until(true: Callable[[], bool]) -> None:
    while not true():
        await anyio.sleep(0.01)


def test_pausing_while_a_scheduler_advances_never_leaves_two_members_or_none(
    server: PrivateRedis, client: redis.Redis
) -> None:
    """The scheduler removes a definition and adds it again in two commands, and never adds a paused one."""
    address = Address(QUEUE, task="app.tick")
    store = Store(config.resolve({"redis_url": server.url, "actor": "tester"}, {}), warn=lambda message: None)
    service = RepeatableService(store)

    def until_done(change: Callable[..., Any]) -> None:
        """Repeat a change until it succeeds, because a busy scheduler may block it for longer than it
        waits."""
        while (report := change(address, reason=None, dry_run=False)).failed:
            assert report.results[0].error.code == "scheduler_at_work", report

    def race() -> None:
        for _ in range(50):
            until_done(service.pause)
            ((member, _),) = members(client)
            assert json.loads(member)["paused"] is True
            until_done(service.resume)

    async def story(opened: RedisBackend) -> None:
        racing = asyncio.create_task(asyncio.to_thread(race))
        with anyio.fail_after(90):
            while not racing.done():
                await schedulers._process_backend_repeatables_with_lock(QUEUE, opened, lock_ttl=5)
                await anyio.sleep(0.002)
            await racing

    definition = {"task_id": "app.tick", "args": ["x"], "every": 0.0001}
    library.with_backend(server.url, lambda opened: opened.upsert_repeatable(QUEUE, definition))
    library.with_backend(server.url, story)
    store.close()
    assert [json.loads(member) for member, _ in members(client)] == [definition]
    done = [event["action"] for event in library.events(client) if event["status"] == "success"]
    assert (
        done
        == [
            "repeatable.pause",
            "repeatable.resume",
        ]
        * 50
    )
