"""If a reply with several large values is refused, the values are requested one by one."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import redis

from asyncmq_cli import config
from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.storage.client import replies, scan
from asyncmq_cli.storage.client.connection import connect
from asyncmq_cli.storage.client.refusals import as_problem
from asyncmq_cli.storage.read import pieces
from asyncmq_cli.storage.read.lists import JobLists
from asyncmq_cli.storage.schema.keys import QueueKeys

NAMES = [f"job-{number:02}" for number in range(24)]
KEYS = QueueKeys("mail")


@pytest.fixture
def client(server: PrivateRedis, monkeypatch: pytest.MonkeyPatch) -> Iterator[redis.Redis]:
    with connect(config.resolve({"redis_url": server.url}, {})) as connection:
        connection.flushall()
        for number, name in enumerate(NAMES):
            text = json.dumps({"id": name, "args": ["z" * 100_000], "status": "failed", "created_at": number})
            connection.set(KEYS.record(name), text)
            connection.zadd(KEYS.dlq, {text: number})
            connection.hset(KEYS.results, name, "z" * 100_000)
        monkeypatch.setattr(replies, "LARGE", 1_000_000)
        yield connection


def test_a_reply_that_is_too_large_is_asked_for_in_parts(client: redis.Redis) -> None:
    values = scan.get_many(client, [KEYS.record(name) for name in NAMES], scan.Pace())
    assert [json.loads(value or b"")["id"] for value in values] == NAMES
    members = [member for piece in scan.zset_members(client, KEYS.dlq) for member, _ in piece]
    assert {json.loads(member)["id"] for member in members} == set(NAMES)
    fields = {field for piece in scan.hash_fields(client, KEYS.results) for field in piece}
    assert fields == {name.encode() for name in NAMES}
    names = [name.encode() for name in NAMES]
    assert None not in scan.hash_get_many(client, KEYS.results, names, scan.Pace())


def test_large_records_and_results_of_a_page_are_asked_for_in_parts(client: redis.Redis) -> None:
    client.hset(KEYS.states, mapping=dict.fromkeys(NAMES, "completed"))
    source = [pieces.Piece([name.encode() for name in NAMES])]
    read = list(pieces.with_records(client, KEYS, pieces.with_states(client, KEYS, source)))
    assert [json.loads(record or b"")["id"] for piece in read for record in piece.records] == NAMES
    assert [len(result or b"") for piece in read for result in piece.results.values()] == [100_000] * 24


@pytest.mark.parametrize("going", [True, False])
def test_members_are_read_by_score_while_others_go(going: bool, client: redis.Redis) -> None:
    scores = {name.encode(): 5 if 5 <= number < 15 else number for number, name in enumerate(NAMES)}
    client.zadd(KEYS.waiting, scores)
    found = []
    for piece in scan.by_score(client, KEYS.waiting):
        found += [member for member, _ in piece]
        if going:
            client.zrem(KEYS.waiting, *(member for member, _ in piece))
    assert found == list(scores)


@pytest.mark.extended
def test_lists_of_large_jobs_are_read_in_parts(client: redis.Redis) -> None:
    lists = JobLists(client)
    assert [job.id for job in lists.in_order("mail", "dlq")] == NAMES[::-1]
    assert sorted(job.id for job in lists.in_state("mail", "failed")) == NAMES
    found, total = lists.best("mail", "failed", 24, newest=True)
    assert ([key.id for key in found], total) == (NAMES[::-1], 24)
    assert [job.id for job in lists.by_keys("mail", found)] == NAMES[::-1]


def test_one_value_that_is_too_large_is_an_error(client: redis.Redis) -> None:
    client.set(KEYS.record("huge"), "z" * 1_100_000)
    with pytest.raises(replies.ReplyTooLarge) as caught:
        scan.get_many(client, [KEYS.record(name) for name in ("huge", *NAMES)], scan.Pace())
    problem = as_problem(caught.value, config.resolve({"redis_url": "redis://shop/0"}, {}))
    assert problem.code == "reply_too_large"
    assert "the reply to MGET jobs:mail:huge is larger than 0 MB" in str(problem)
