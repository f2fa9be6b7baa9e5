"""Jobs added, run now, copied or run from a definition by hand are the library's own, byte for byte."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from asyncmq.backends.redis import RedisBackend
from asyncmq.core.repeatables import build_repeatable_job
from asyncmq.queues import Queue
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Run
from tests.support import library

QUEUE = "mail"
_NEW = (
    (re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"), b"<id>"),
    (re.compile(rb'"(created_at|delay_until)": \d+\.\d+'), rb'"\1": 0'),
)


@pytest.fixture
def other() -> Iterator[redis.Redis]:
    with PrivateRedis() as running, redis.Redis.from_url(running.url) as client:
        yield client


def url_of(client: redis.Redis) -> str:
    return f"unix://{client.connection_pool.connection_kwargs['path']}"


def keyspace(client: redis.Redis) -> Any:
    """All keys and values, with each new id and time replaced."""

    def plain(value: Any) -> Any:
        if isinstance(value, bytes):
            for pattern, steady in _NEW:
                value = pattern.sub(steady, value)
            return value
        if isinstance(value, dict):
            return {plain(name): plain(inner) for name, inner in value.items()}
        if isinstance(value, set):
            return {plain(inner) for inner in value}
        if isinstance(value, (list, tuple)):
            return [plain(inner) for inner in value]
        return 0 if isinstance(value, float) and value < 1e11 else value

    return plain(library.dump(client))


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
JOBS = st.fixed_dictionaries(
    {
        "args": st.lists(VALUES, max_size=3),
        "kwargs": st.dictionaries(st.text(max_size=4), VALUES, max_size=3),
    },
    optional={
        "priority": st.integers(-9000, 9000),
        "retries": st.integers(0, 9),
        "ttl": st.integers(1, 10_000),
        "backoff": st.integers(0, 5),
        "delay": st.integers(1, 1000),
    },
)


def options(job: dict[str, Any]) -> list[str]:
    words = []
    for name, value in job.items():
        words += [f"--{name}={json.dumps(value) if name in ('args', 'kwargs') else value}"]
    return words


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(job=JOBS)
@example(job={"args": ["x" * 70_000], "kwargs": {}})
@example(job={"args": ["x" * 70_000], "kwargs": {}, "delay": 5})
def test_an_added_definition_equals_the_librarys(
    job: dict[str, Any], client: redis.Redis, other: redis.Redis, cli: Run
) -> None:
    client.flushdb()
    other.flushdb()

    async def add(opened: RedisBackend) -> None:
        await Queue(QUEUE, backend=opened).add("app.send", **job)

    library.with_backend(url_of(other), add)
    added = cli("jobs", "add", QUEUE, "--task", "app.send", *options(job), "--yes", "--json")
    assert (added.code, added.json["succeeded"]) == (0, 1), added
    assert keyspace(client) == keyspace(other)


def test_many_are_added_from_standard_input(client: redis.Redis, run: Run) -> None:
    lines = [
        json.dumps({"task": "app.send", "args": [number], "priority": number % 3}) for number in range(300)
    ]
    added = run("jobs", "add", QUEUE, "-", "--yes", stdin="\n".join(lines))
    assert (added.code, client.zcard(f"queue:{QUEUE}:waiting")) == (0, 300), added
    assert client.xlen("asyncmq-cli:audit") == 300


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"args": []}', "line 2: no task given: give --task; nothing was added"),
        ('{"task": "a", "colour": 1}', "line 2: unknown key 'colour'; nothing was added"),
        ('{"task": "a", "args": {}}', "line 2: 'args' has the wrong type; nothing was added"),
        ('{"task": "a", "delay": "soon"}', "line 2: 'soon' is not a duration; nothing was added"),
        ("[]", "line 2: not a JSON object; nothing was added"),
        ("{", "line 2: not JSON; nothing was added"),
    ],
)
def test_one_wrong_line_adds_nothing(line: str, says: str, client: redis.Redis, run: Run) -> None:
    refused = run("jobs", "add", QUEUE, "-", "--yes", stdin=f'{{"task": "a"}}\n{line}\n')
    assert (refused.code, refused.stderr.splitlines()[0]) == (2, f"error: {says}")
    assert client.dbsize() == 0


def test_an_id_that_is_taken_or_cannot_be_is_refused(client: redis.Redis, cli: Run) -> None:
    assert cli("jobs", "add", QUEUE, "--task", "a", "--id", "one", "--yes").code == 0
    before = library.dump(client)
    for job_id in ("one", "7", "a:b", "ids"):
        refused = cli("jobs", "add", QUEUE, "--task", "a", "--id", job_id, "--yes", "--json")
        assert refused.code == 1 and refused.json["failed"] == 1, refused
    assert library.dump(client) == before
    events = cli("audit", "--json").json["events"]
    assert [event["status"] for event in events] == ["failed"] * 4 + ["success"]


def test_a_deduplication_key_holds_between_us_and_the_library(
    client: redis.Redis, server: PrivateRedis, cli: Run
) -> None:
    add = ("jobs", "add", QUEUE, "--task", "a", "--unique", "daily", "--yes")
    assert cli(*add, "--id", "one").code == 0

    async def theirs(opened: RedisBackend) -> str:
        return await Queue(QUEUE, backend=opened).add("a", deduplication={"id": "daily"})

    assert library.with_backend(server.url, theirs) == "one"
    refused = cli(*add)
    assert refused.code == 1 and "job 'one' has the deduplication key 'daily'" in refused.stderr

    async def finish(opened: RedisBackend) -> None:
        claimed = await opened.dequeue(QUEUE)
        assert claimed is not None
        await opened.complete_active_job(QUEUE, claimed, None)

    library.with_backend(server.url, finish)
    assert cli(*add).code == 0
    assert client.keys("asyncmq:*") == []


def test_a_delayed_job_that_is_run_now_is_as_when_it_is_promoted(
    client: redis.Redis, other: redis.Redis, server: PrivateRedis, cli: Run
) -> None:
    record = library.job("late", created_at=1.5)

    async def delay(opened: RedisBackend) -> None:
        await opened.enqueue_delayed(QUEUE, {**record, "delay_until": 5.0}, 5.0)

    async def promote(opened: RedisBackend) -> None:
        await delay(opened)
        assert len(await opened.promote_due_delayed(QUEUE)) == 1

    library.with_backend(server.url, delay)
    library.with_backend(url_of(other), promote)
    done = cli("jobs", "run-now", "late", "--reason", "now")
    assert (done.code, keyspace(client)) == (0, keyspace(other)), done
    again = cli("jobs", "run-now", "late")
    assert again.code == 1 and "not delayed" in again.stderr


def test_a_definition_that_is_run_adds_the_job_of_the_scheduler(
    client: redis.Redis, other: redis.Redis, server: PrivateRedis, cli: Run
) -> None:
    definition = {"task_id": "app.digest", "every": 3600.0, "kwargs": {"a": 1}, "retries": 2, "priority": 3}

    async def theirs(opened: RedisBackend) -> None:
        await opened.enqueue(QUEUE, build_repeatable_job(definition).to_dict())

    async def ours(opened: RedisBackend) -> None:
        await Queue(QUEUE, backend=opened).upsert_repeatable(**definition)

    library.with_backend(url_of(other), theirs)
    library.with_backend(server.url, ours)
    before = client.zrange(f"queue:{QUEUE}:repeatables", 0, -1, withscores=True)
    assert cli("repeatables", "run", QUEUE, "--task", "app.digest").code == 0
    assert client.zrange(f"queue:{QUEUE}:repeatables", 0, -1, withscores=True) == before
    client.delete(f"queue:{QUEUE}:repeatables")
    assert keyspace(client) == keyspace(other)


def test_a_copy_runs_once_with_equal_arguments(client: redis.Redis, server: PrivateRedis, cli: Run) -> None:
    arguments: dict[str, Any] = {"args": [1, 2.5, None], "kwargs": {"to": "é"}}

    async def finish(opened: RedisBackend) -> None:
        await library.put(opened, QUEUE, "completed", library.job("done", **arguments, retries=2))
        await library.put(opened, QUEUE, "failed", library.job("dead"))

    library.with_backend(server.url, finish)
    done = cli("jobs", "rerun", "done", "--json")
    copy = done.json["results"][0]["job_id"]
    assert done.code == 0 and copy != "done"
    record = json.loads(client.get(f"jobs:{QUEUE}:{copy}"))
    assert repr([record["args"], record["kwargs"]]) == repr(list(arguments.values()))
    assert (record["retries"], record["result"], record["status"]) == (0, None, "waiting")
    event = cli("audit", "--json").json["events"][0]
    assert (event["action"], event["job_id"], event["details"]["copy_of"]) == ("job.rerun", copy, "done")
    refused = cli("jobs", "rerun", "dead")
    assert refused.code == 1 and "'asyncmq jobs retry mail dead' runs it again" in refused.stderr
