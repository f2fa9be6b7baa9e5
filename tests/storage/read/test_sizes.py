"""Counts are the sizes of places, whatever they contain. Other states are counted from the states hash."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from redis.exceptions import NoPermissionError

from asyncmq_cli import config
from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.models.queues import ALL_FIELDS, STATE_FIELDS
from asyncmq_cli.models.values import as_number
from asyncmq_cli.storage.client.connection import connect
from asyncmq_cli.storage.read.lists import JobLists
from asyncmq_cli.storage.read.queues import QueueReader
from asyncmq_cli.storage.read.sizes import Sizes, StateCounts, state_counts
from asyncmq_cli.storage.read.workers import WorkerReader
from asyncmq_cli.storage.schema.keys import QueueKeys

QUEUE = "mail"
KEYS = QueueKeys(QUEUE)
NOW = 3e9
IDS = [f"job-{number}" for number in range(8)]
STATES = ["waiting", "wait", "active", "delayed", "completed", "failed", "expired", "cancelled", "paid"]
PRIORITIES = [-1000, 0, 1, 5, 9]

# Without shrinking: each example fills a Redis.
_PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
relaxed = settings(max_examples=80, deadline=None, phases=_PHASES, suppress_health_check=list(HealthCheck))


@pytest.fixture
def client(server: PrivateRedis) -> Iterator[redis.Redis]:
    """A client with the settings of the tool."""
    with connect(config.resolve({"redis_url": server.url}, {})) as connection:
        connection.flushall()
        yield connection


@pytest.fixture
def warned() -> list[str]:
    return []


@pytest.fixture
def queues(client: redis.Redis, warned: list[str]) -> QueueReader:
    return QueueReader(client, lambda: WorkerReader(client, 30.0, warned.append), warned.append)


records = st.one_of(
    st.sampled_from(["", "no json", "[]", "{}", '{"created_at": "soon"}']),
    st.integers(0, 50).map(lambda age: json.dumps({"id": "x", "created_at": NOW - age})),
)
scores = st.one_of(
    st.tuples(st.sampled_from(PRIORITIES), st.integers(1, 99)).map(lambda pair: pair[0] * 10**12 + pair[1]),
    st.sampled_from([-math.inf, 0.5, 1e300, math.inf]),
)


@st.composite
def damaged(draw: st.DrawFn) -> list[tuple[Any, ...]]:
    """Commands that put jobs and other data into any place."""
    commands: list[tuple[Any, ...]] = []
    for name in draw(st.lists(st.sampled_from(IDS), unique=True)):
        body = json.dumps({"id": name, "created_at": NOW - 7})
        choices = [
            ("ZADD", KEYS.waiting, draw(scores), draw(st.sampled_from([name, body]))),
            ("ZADD", KEYS.delayed, draw(st.integers(0, 9)), body),
            ("ZADD", KEYS.dlq, 1.0, body),
            ("ZADD", KEYS.dlq, 2.0, body + " "),
            ("HSET", KEYS.active, name, "1.5"),
            ("HSET", KEYS.states, name, draw(st.sampled_from(STATES))),
            ("SADD", KEYS.ids, name),
            ("SET", KEYS.record(name), draw(records)),
        ]
        commands += draw(st.lists(st.sampled_from(choices), unique=True))
    return commands


def counted_by_hand(client: redis.Redis) -> dict[str, Any]:
    """Count from the stored data, one key after the other."""
    waiting = client.zrange(KEYS.waiting, 0, -1, withscores=True)
    sizes = {
        "waiting": len(waiting),
        "active": len(client.hgetall(KEYS.active)),
        "delayed": len(client.zrange(KEYS.delayed, 0, -1)),
        "dlq": len(client.zrange(KEYS.dlq, 0, -1)),
    }
    states = Counter(value.decode() for value in client.hgetall(KEYS.states).values())
    stated = {
        "waiting": states["waiting"] + states["wait"],
        "active": states["active"],
        "delayed": states["delayed"],
        "dlq": states["failed"] + states["expired"],
    }
    stateless = max(0, len(client.smembers(KEYS.ids)) - len(client.hgetall(KEYS.states)))
    unnamed = sum(max(0, sizes[place] - stated[place]) for place in sizes)
    children = max(0, stated["waiting"] - sizes["waiting"]) + max(0, stateless - unnamed)
    expired = min(states["expired"], sizes["dlq"])
    heads: dict[Any, tuple[float, bytes]] = {}
    for member, score in waiting:
        priority = score // 10**12 if math.isfinite(score) else score
        heads[priority] = min(heads.get(priority, (math.inf, member)), (score, member))
    ages = []
    for _, member in heads.values():
        body = json.loads(member) if member.startswith(b"{") else {}
        try:
            record = json.loads(client.get(KEYS.record(body.get("id", member.decode()))) or b"{}") or body
        except ValueError:
            record = body
        created = as_number(record.get("created_at")) if isinstance(record, dict) else None
        if created is not None:
            ages.append(NOW - created)
    lost = any(stated[place] > sizes[place] for place in ("active", "delayed", "dlq"))
    return {
        **sizes,
        "completed": states["completed"],
        "cancelled": states["cancelled"],
        "expired": expired,
        "failed": sizes["dlq"] - expired,
        "waiting_children": children,
        "problem": lost or unnamed > stateless,
        "oldest": max(ages, default=None),
    }


@relaxed
@given(commands=damaged(), filler=st.sampled_from([0, 0, 300]))
def test_a_queue_is_counted_by_its_places(
    client: redis.Redis, queues: QueueReader, warned: list[str], commands: list[tuple[Any, ...]], filler: int
) -> None:
    client.flushall()
    # So many more make the states hash larger than a page.
    for number in range(filler):
        commands += [("HSET", KEYS.states, f"x{number}", "completed"), ("SADD", KEYS.ids, f"x{number}")]
    pipe = client.pipeline(transaction=False)
    for command in commands:
        pipe.execute_command(*command)
    pipe.execute()
    expected = counted_by_hand(client)
    _, row, _ = queues.all_stats(["empty", QUEUE, "none"], NOW)
    found = {name: getattr(row, name) for name in expected if name not in ("oldest", "problem")}
    found |= {"oldest": row.oldest_waiting_seconds, "problem": row.problem is not None}
    assert found == expected
    cheap = queues.stats(QUEUE, NOW, ALL_FIELDS - STATE_FIELDS)
    for name in ("waiting", "active", "delayed", "dlq", "oldest_waiting_seconds"):
        assert getattr(cheap, name) == getattr(row, name)
    assert (cheap.completed, cheap.failed, cheap.states_age_seconds) == (None, None, None)
    assert not warned


def sizes(**counts: int) -> Sizes:
    zeros = dict.fromkeys(("waiting", "active", "delayed", "due", "dlq", "repeatables", "heartbeats"), 0)
    return Sizes(**{"queue": QUEUE, "paused": False, "ids": 0, "states": 0, **zeros, **counts})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("entries", "before", "after", "children", "problem"),
    [
        ({}, sizes(), sizes(), 0, None),
        ({b"waiting": 3}, sizes(waiting=3, ids=3, states=3), None, 0, None),
        # Two wait for parents: one has an entry, the other none.
        ({b"waiting": 3}, sizes(waiting=2, ids=4, states=3), None, 2, None),
        # Members without an entry, as old versions left them.
        ({}, sizes(waiting=2, delayed=1, dlq=1, ids=4), None, 0, None),
        ({}, sizes(waiting=2, ids=1), None, 0, "2 waiting, but by the states hash 0"),
        ({b"active": 2}, sizes(active=1, ids=2, states=2), None, 0, "1 active, but by the states hash 2"),
        ({b"failed": 1}, sizes(dlq=2, ids=1, states=1), None, 0, "2 dead, but by the states hash 1"),
        # Three jobs were taken meanwhile: a difference of three means nothing.
        (
            {b"waiting": 9, b"active": 3},
            sizes(waiting=9, ids=9, states=9),
            sizes(waiting=6, active=3, ids=9, states=9),
            0,
            None,
        ),
        (
            {b"waiting": 9},
            sizes(waiting=3, ids=9, states=9),
            sizes(waiting=2, active=1, ids=9, states=9),
            7,
            None,
        ),
    ],
)
def test_states_that_were_read_between_two_reads_of_the_sizes(
    entries: dict[bytes, int], before: Sizes, after: Sizes | None, children: int, problem: str | None
) -> None:
    found = state_counts(entries, before, after or before, NOW)
    assert (found.waiting_children, found.problem, found.read_at) == (children, problem, NOW)


def test_what_could_not_be_read_is_none_and_never_zero(
    client: redis.Redis, queues: QueueReader, warned: list[str]
) -> None:
    for key in (KEYS.waiting, KEYS.delayed, KEYS.dlq, KEYS.active, KEYS.ids, KEYS.states, KEYS.heartbeats):
        client.set(key, "text")
    row = queues.stats(QUEUE, NOW)
    for name in ALL_FIELDS - {"paused", "repeatables", "problem", "oldest_waiting_seconds"}:
        assert getattr(row, name) is None, name
    assert len(warned) == 7
    assert StateCounts().completed is None


def calls(client: redis.Redis) -> dict[str, int]:
    found = {
        name.removeprefix("cmdstat_"): stats["calls"] for name, stats in client.info("commandstats").items()
    }
    return {name: count for name, count in found.items() if not name.startswith(("info", "config"))}


@pytest.mark.parametrize("entry", [*STATES, "queued", "unknown", "waiting-children"])
def test_a_job_in_no_place_is_counted_where_it_is_listed(
    client: redis.Redis, queues: QueueReader, entry: str
) -> None:
    client.sadd(KEYS.ids, "one")
    client.set(KEYS.record("one"), json.dumps({"id": "one", "depends_on": ["other"]}))
    client.hset(KEYS.states, "one", entry)
    listed = [*JobLists(client).in_state(QUEUE, "waiting-children")]
    assert queues.stats(QUEUE, NOW).waiting_children == len(listed)


def test_fields_that_are_not_requested_are_not_read(client: redis.Redis, queues: QueueReader) -> None:
    client.zadd(KEYS.waiting, {"job": 5 * 10**12 + 1})
    client.hset(KEYS.states, "job", "waiting")
    client.config_resetstat()
    assert [row.name for row in queues.all_stats([QUEUE, "other"], NOW, ())] == [QUEUE, "other"]
    assert calls(client) == {}
    queues.stats(QUEUE, NOW, {"waiting", "paused", "dlq"})
    assert not calls(client).keys() & {"hscan", "zrange", "sscan", "scan"}
    client.config_resetstat()
    queues.stats(QUEUE, NOW, ALL_FIELDS - STATE_FIELDS)
    assert "hscan" not in calls(client)


def test_many_queues_are_counted_in_few_round_trips(client: redis.Redis, queues: QueueReader) -> None:
    names = [f"queue-{number}" for number in range(250)]
    for name in names:
        client.hset(QueueKeys(name).states, "job", "completed")
        client.zadd(QueueKeys(name).dlq, {"{}": 1.0})
    client.config_resetstat()
    rows = list(queues.all_stats(names, NOW))
    assert [(row.name, row.completed, row.dlq) for row in rows] == [(name, 1, 1) for name in names]
    assert calls(client)["hscan"] == 250


def test_of_many_queues_those_that_are_paused_are_called_so(client: redis.Redis, queues: QueueReader) -> None:
    names = [f"queue-{number}" for number in range(120)]
    client.set(QueueKeys("queue-7").paused, 1)
    client.hset(QueueKeys("queue-110").paused, "of a", "wrong type")
    client.config_resetstat()
    rows = list(queues.all_stats(names, NOW, {"paused"}))
    assert calls(client)["mget"] == 2
    assert [row.name for row in rows if row.paused] == ["queue-7", "queue-110"]


def test_a_key_of_one_queue_that_may_not_be_read_is_named(client: redis.Redis, queues: QueueReader) -> None:
    # Only this key among many that are read at once.
    client.execute_command(
        "ACL", "SETUSER", "default", "resetkeys", "~queue:*:w*", "~queue:*:[a-o]*", "~queue:*:re*", "~jobs:*",
        "~queue:queue-1:*", "~queue:queue-2:*",
    )  # fmt: skip
    try:
        with pytest.raises(NoPermissionError) as refused:
            list(queues.all_stats(["queue-1", "queue-2", "queue-3"], NOW, {"paused"}))
    finally:
        client.execute_command("ACL", "SETUSER", "default", "allkeys")
    assert refused.value.refused_command == "PTTL queue:queue-3:paused"  # type: ignore[attr-defined]


def test_a_queue_with_few_waiting_jobs_is_asked_for_them_once(
    client: redis.Redis, queues: QueueReader
) -> None:
    client.zadd(KEYS.waiting, {"job": 5 * 10**12 + 1})
    client.set(KEYS.record("job"), json.dumps({"id": "job", "created_at": NOW - 5}))
    client.config_resetstat()
    assert queues.stats(QUEUE, NOW, {"oldest_waiting_seconds"}).oldest_waiting_seconds == 5
    assert calls(client)["zrange"] == 1
