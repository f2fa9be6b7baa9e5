"""Pipelines against a real Redis, and the check that a reply fits its command."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis
from redis.exceptions import InvalidResponse, ResponseError

from asyncmq_cli.config import resolve
from asyncmq_cli.demo.server import PrivateRedis
from asyncmq_cli.errors import WrongType
from asyncmq_cli.storage.client.connection import (
    PipelinedConnection,
    connect,
    pack,
    pack_for_names,
    run_pipeline,
)
from asyncmq_cli.storage.client.replies import check_reply


@pytest.fixture
def checked(server: PrivateRedis, client: redis.Redis) -> Iterator[redis.Redis]:
    client.zadd("zset", {"a": 1.5})
    client.set("text", "x")
    with connect(resolve({"redis_url": server.url})) as ours:
        yield ours


def test_replies_are_those_of_the_client_librarys_methods(checked: redis.Redis) -> None:
    commands = [
        ("ZSCORE", b"zset", "a"),
        ("MGET", b"text", b"gone"),
        ("ZMSCORE", b"zset", "a", "b"),
        ("TIME",),
    ]
    score, values, scores, time = run_pipeline(checked, commands)
    assert (score, values, scores, len(time)) == (1.5, [b"x", None], [1.5, None], 2)
    assert run_pipeline(checked, []) == []


def test_a_kept_error_takes_the_place_of_its_reply(checked: redis.Redis) -> None:
    commands = [("ZCARD", b"text"), ("ZCARD", b"zset")]
    wrong, size = run_pipeline(checked, commands, keep=WrongType)
    assert (wrong.key, size) == (b"text", 1)
    with pytest.raises(WrongType):
        run_pipeline(checked, commands)
    with pytest.raises(ResponseError):
        run_pipeline(checked, [("NOSUCHCOMMAND", b"text"), *commands], keep=WrongType)
    assert run_pipeline(checked, commands[1:]) == [1]


def test_a_connection_with_outstanding_replies_is_closed(checked: redis.Redis) -> None:
    with PipelinedConnection(checked) as connection:
        connection.send((b"text", pack("MGET", b"text")), (b"zset", pack("ZCARD", b"zset")))
        assert connection.receive() == [b"x"]
    assert checked.exists("text") == 1


@pytest.mark.parametrize("names", [[b"a", b"b"], [b"a", b"long"], []])
def test_packing_for_names_equals_packing_all_words(names: list[bytes]) -> None:
    assert pack_for_names((b"MGET",), names, b"jobs:") == pack("MGET", *(b"jobs:" + name for name in names))


@pytest.mark.parametrize(
    ("command", "words", "reply", "fits"),
    [
        (b"ZCARD", 2, 3, True),
        (b"ZCARD", 2, b"3", False),
        (b"MGET", 3, [b"x", None], True),
        (b"MGET", 3, [b"x"], False),
        (b"HMGET", 3, [None], True),
        (b"HMGET", 3, [1], False),
        (b"SMISMEMBER", 3, [1], True),
        (b"SMISMEMBER", 3, [b"1"], False),
        (b"HSCAN", 5, [b"0", [b"a", b"1"]], True),
        (b"HSCAN", 5, [b"0", [b"a"]], False),
        (b"SSCAN", 5, [b"x", []], False),
        (b"TIME", 1, [b"1", b"2"], True),
        (b"TIME", 1, [b"1"], False),
        (b"XREVRANGE", 6, [[b"1-0", [b"f", b"v"]]], True),
        (b"XREVRANGE", 6, [b"1-0"], False),
        (b"NOTCHECKED", 1, object(), True),
    ],
)
def test_a_reply_that_does_not_fit_its_command_is_refused(
    command: bytes, words: int, reply: Any, fits: bool
) -> None:
    if fits:
        check_reply(command, words, reply)
        return
    with pytest.raises(InvalidResponse):
        check_reply(command, words, reply)
