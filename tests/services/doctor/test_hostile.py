"""Without --repair the doctor changes nothing, and it ends normally with any data in Redis."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest
import redis
from asyncmq.backends.redis import RedisBackend
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Run
from tests.faults.scale import scaled
from tests.services.doctor.support import QUEUE, job
from tests.support import library

pytestmark = pytest.mark.faults

KEYS = [
    *(f"queue:{QUEUE}:{name}" for name in ("waiting", "delayed", "dlq", "active", "heartbeats", "cancelled")),
    *(f"queue:{QUEUE}:{name}" for name in ("paused", "repeatables", "worker_heartbeats", "waiting:seq")),
    *(f"jobs:{QUEUE}:{name}" for name in ("ids", "states", "results", "waiting", "failed", "x:payload")),
    f"deps:{QUEUE}:child:pending",
    f"deps:{QUEUE}:parent:waiting",
]
WRONG: dict[str, Callable[[redis.Redis, str], Any]] = {
    "string": lambda client, key: client.set(key, "text"),
    "list": lambda client, key: client.rpush(key, "a", "b"),
    "hash": lambda client, key: client.hset(key, "a", "b"),
    "zset": lambda client, key: client.zadd(key, {"{cut": 1.5, "a": 2}),
}


async def fill(opened: RedisBackend) -> None:
    states = [state for state in library.STATES if state != "waiting-children"]
    for state in sorted(states, key=lambda state: state in ("waiting", "dead-directly")):
        await library.put(opened, QUEUE, state, job(state))
    await opened.enqueue(QUEUE, job("child", depends_on=["waiting"]))
    await opened.upsert_repeatable(QUEUE, {"task_id": "app.tick", "every": 60})
    await opened.save_heartbeat(QUEUE, "active", 4e9)
    await library.enlist(opened, "w", QUEUE, 8)


def look_and_repair(client: redis.Redis, cli: Run) -> None:
    before = library.dump(client)
    for args in (("--color", "always"), ("--repair", "--dry-run")):
        reported = cli("doctor", *args)
        assert reported.code in (0, 1), (args, reported)
        assert "Traceback" not in reported.stderr and "bug in asyncmq-cli" not in reported.stderr, reported
        assert library.dump(client) == before, args
    assert library.events(client) == []
    reported = cli("doctor", "--repair", "--yes")
    assert reported.code in (0, 1), reported
    assert "Traceback" not in reported.stderr and "bug in asyncmq-cli" not in reported.stderr, reported


CASES = [(key, kind) for key in KEYS for kind in WRONG]


@pytest.mark.extended(first=8)
@pytest.mark.parametrize(("key", "kind"), scaled(CASES[::3], CASES))
def test_a_key_of_a_wrong_type_is_a_finding_and_no_traceback(
    key: str, kind: str, server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    library.with_backend(server.url, fill)
    expected = client.type(key).decode()
    client.delete(key)
    WRONG[kind](client, key)
    look_and_repair(client, cli)
    named = {
        name
        for finding in cli("doctor", "--json").json["findings"]
        if finding["code"] == "wrong_type"
        for name in finding["sample_ids"]
    }
    expected = {"seq": "number", "payload": "string"}.get(key.rpartition(":")[2], expected)
    # Any pause mark pauses the queue, and a missing one cannot be wrong.
    looked_at = expected not in ("none", kind) and not key.endswith(":paused")
    assert named == ({key} if looked_at else set())


@pytest.mark.parametrize("named_by", ["states", "results", "active", "waiting"])
def test_a_record_of_a_wrong_type_is_reported_once(named_by: str, client: redis.Redis, cli: Run) -> None:
    if named_by == "waiting":
        client.zadd(f"queue:{QUEUE}:waiting", {"x": 9e15})
    elif named_by == "active":
        client.hset(f"queue:{QUEUE}:active", "x", "4e9")
    else:
        client.hset(f"jobs:{QUEUE}:{named_by}", "x", "{}")
    client.hset(f"jobs:{QUEUE}:x", "a", "b")
    (finding,) = cli("doctor", "--json").json["findings"]
    assert (finding["code"], finding["count"]) == ("wrong_type", 1)
    assert finding["sample_ids"] == [f"jobs:{QUEUE}:x"]


@pytest.mark.parametrize("key", ["ids", "states"])
def test_a_key_of_a_wrong_type_hides_nothing_where_a_payload_part_is_left(
    key: str, client: redis.Redis, cli: Run
) -> None:
    client.rpush(f"jobs:{QUEUE}:{key}", "text")
    client.set(f"jobs:{QUEUE}:x:payload", "{}")
    client.zadd(f"queue:{QUEUE}:delayed", {"{cut": 1})
    found = {finding["code"]: finding["sample_ids"] for finding in cli("doctor", "--json").json["findings"]}
    assert found["wrong_type"] == [f"jobs:{QUEUE}:{key}"]
    assert found["member_unreadable"] == ["{cut"]


def test_a_stream_of_the_tool_that_is_none_is_pointed_out(client: redis.Redis, cli: Run) -> None:
    client.set("asyncmq-cli:audit", "text")
    client.rpush("asyncmq-cli:metrics", "text")
    (finding,) = cli("doctor", "--json").json["findings"]
    assert (finding["code"], finding["queue"], finding["count"]) == ("wrong_type", "", 2)
    assert finding["sample_ids"] == ["asyncmq-cli:audit", "asyncmq-cli:metrics"]
    assert cli("doctor").code == 1
    reported = cli("doctor", "--repair", "--yes")
    assert (reported.code, "Traceback" in reported.stderr) == (1, False)


@pytest.mark.parametrize("sequence", ["ten", "true", "007", "1" * 16])
def test_a_sequence_that_is_no_number_is_pointed_out(
    sequence: str, server: PrivateRedis, client: redis.Redis, cli: Run
) -> None:
    """No job can be enqueued in such a queue."""
    library.with_backend(server.url, fill)
    client.set(f"queue:{QUEUE}:waiting:seq", sequence)
    (finding,) = cli("doctor", "--json").json["findings"]
    assert (finding["code"], finding["sample_ids"]) == ("wrong_type", [f"queue:{QUEUE}:waiting:seq"])


JUNK = st.one_of(
    st.binary(max_size=30),
    st.sampled_from(
        ["a", "b", "child", "queue:mail:waiting", "*", "\n\x1b[31m", "١", " ", "", "{}", "[]", "1e999"]
    ).map(str.encode),
    st.fixed_dictionaries(
        {},
        optional={
            "id": st.sampled_from(["a", "b", 3, None, [], {"a": 1}, "\ud800", "ü"]),
            "status": st.sampled_from(["waiting", "delayed", "failed", "active", "completed", 7, None]),
            "depends_on": st.sampled_from([[], ["a"], ["b", 3], [None], "a", [{"x": 1}], [[]]]),
            "delay_until": st.sampled_from([None, 1.5, "soon", float("nan"), float("inf"), 1e300]),
            "priority": st.sampled_from([None, 5, "high", 1e400, -3]),
            "created_at": st.sampled_from([None, 1.5, "then", -1e300]),
            "every": st.sampled_from([60, "x", None]),
            "task_id": st.sampled_from(["app.tick", None, 5]),
            "paused": st.booleans(),
        },
    ).map(lambda value: json.dumps(value).encode()),
)
NAMES = st.sampled_from(["a", "b", "3", "child", "ü", "x:payload", "\n\x1b[31m", "{}"])


@pytest.mark.extended
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    zsets=st.dictionaries(st.sampled_from([*KEYS[:3], KEYS[7]]), st.lists(JUNK, min_size=1, max_size=4)),
    hashes=st.dictionaries(
        st.sampled_from([KEYS[3], KEYS[4], KEYS[8], KEYS[11], KEYS[12]]),
        st.dictionaries(NAMES, JUNK, min_size=1, max_size=4),
    ),
    states=st.dictionaries(
        NAMES, st.sampled_from(["waiting", "delayed", "failed", "active", "completed", "odd"])
    ),
    sets=st.dictionaries(st.sampled_from([KEYS[5], KEYS[10]]), st.lists(NAMES, min_size=1, max_size=4)),
    records=st.dictionaries(NAMES, JUNK),
    waiting=st.lists(NAMES, max_size=3),
)
def test_junk_under_every_key_ends_in_findings_and_repairs_but_never_in_a_traceback(
    client: redis.Redis,
    cli: Run,
    zsets: dict[str, list[bytes]],
    hashes: dict[str, dict[str, bytes]],
    states: dict[str, str],
    sets: dict[str, list[str]],
    records: dict[str, bytes],
    waiting: list[str],
) -> None:
    client.flushall()
    for key, members in zsets.items():
        client.zadd(key, {member: random.choice([0, 1.5, 9e15]) for member in members})
    for key, fields in hashes.items():
        client.hset(key, mapping=fields)
    if states:
        client.delete(f"jobs:{QUEUE}:states")
        client.hset(f"jobs:{QUEUE}:states", mapping=states)
    for key, names in sets.items():
        client.sadd(key, *names)
    for name, record in records.items():
        client.set(f"jobs:{QUEUE}:{name}", record)
    if waiting:
        client.zadd(f"queue:{QUEUE}:waiting", dict.fromkeys(waiting, 7))
    look_and_repair(client, cli)
