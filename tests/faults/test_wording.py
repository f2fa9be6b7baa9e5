"""An error contains the server's reason for a refusal, but no secret."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Result
from tests.faults.fakes import FakeServer
from tests.faults.support import (
    COMMANDS,
    PASSWORD,
    QUEUE,
    Args,
    Keyspace,
    Tool,
    assert_done,
    assert_refused,
    seed,
)

EVERY_WORD = "NOAUTH WRONGPASS BUSY OOM LOADING NOPERM MISCONF"
HALVES = ("Xq7-first", "second-pa55")


def queue_exists_but(refusal: bytes) -> Callable[[list[bytes]], bytes | None]:
    return lambda command: b":1\r\n" if command[0] == b"EXISTS" else refusal


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (b"-MASTERDOWN Link with MASTER is down\r\n", "redis_master_down"),
        (b"-NOREPLICAS Not enough good replicas to write.\r\n", "redis_no_replicas"),
        (b"-NOPERM this user has no permissions to access one of the keys\r\n", "redis_permission"),
        (b"-ERR max number of clients reached\r\n", "redis_max_clients"),
        (b"-ERR internal error while BUSY\r\n", "redis_error"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_name_like_a_refusal_is_not_read_as_one(refusal: bytes, code: str, tool: Tool) -> None:
    """redis-py puts the command, with the name of the queue, before the message of the server."""
    with FakeServer(queue_exists_but(refusal)) as server:
        for args in (("jobs", "show", EVERY_WORD, EVERY_WORD), ("jobs", "remove", EVERY_WORD, "1", "--yes")):
            result = tool(server.url, *args, "--json")
            assert_refused((*args, "--json"), result, code)
            # Only the error for a missing right names the key.
            assert EVERY_WORD not in result.stderr or code == "redis_permission"


def test_a_path_like_a_refusal_is_not_read_as_one(tool: Tool) -> None:
    args = ("queues", "list", "--json")
    result = tool(f"unix:///nonexistent/{EVERY_WORD}/redis.sock", *args)
    assert_refused(args, result, "redis_unreachable", "No such file or directory")


@pytest.mark.parametrize("said", ["refused within a script", "refused beside it"])
def test_an_unrecordable_attempt_names_the_problem(said: str, binary: Path, tool: Tool) -> None:
    """Servers differ in how a script reports a command that was refused in it."""
    args = ("jobs", "retry", QUEUE, "no-such-job")
    with PrivateRedis(binary) as server, redis.Redis.from_url(server.url) as admin:
        seed(server.url)
        if said == "refused within a script":
            tool(server.url, *args)
        for setting, value, healthy, message in (
            ("maxmemory", 1, 0, "Redis is out of memory"),
            ("min-replicas-to-write", 1, 0, "Redis has too few replicas to take writes"),
        ):
            admin.config_set(setting, value)
            result = tool(server.url, *args)
            assert (result.code, result.stderr.splitlines()[0]) == (3, f"error: {message}")
            admin.config_set(setting, healthy)


@pytest.mark.extended(first=12)
@pytest.mark.parametrize("name", COMMANDS)
def test_a_server_that_quotes_the_password_is_not_quoted(name: str, binary: Path, tool: Tool) -> None:
    """A server without the command AUTH quotes its arguments in the error."""
    args: Args = COMMANDS[name]
    with PrivateRedis(binary, extra=("--rename-command", "AUTH", "")) as server:
        for credentials in (f":{PASSWORD}", f"user:{PASSWORD}"):
            result = tool(server.url.replace("//", f"//{credentials}@"), *args)
            assert_refused(args, result, "redis_error", "unknown command")


@pytest.mark.parametrize("command", ["SCAN", "TIME", "EVALSHA", "XADD"])
def test_a_command_that_the_server_has_disabled_is_named_and_explained(
    command: str, binary: Path, tool: Tool
) -> None:
    args = ("queues", "list") if command in ("SCAN", "TIME") else ("jobs", "add", "mail", "--task", "t")
    with PrivateRedis(binary, extra=("--rename-command", command, "")) as server:
        result = tool(server.url, *args)
    assert (result.code, result.stdout) == (3, "")
    assert "Redis refused: unknown command" in result.stderr and command in result.stderr
    assert "hint: that server has disabled or renamed it" in result.stderr


@pytest.mark.parametrize(
    "url",
    [
        *(f"redis://user:{HALVES[0]}{mark}{HALVES[1]}@127.0.0.1:1/0" for mark in "/?#@:[]%"),
        *(f"redis://:{HALVES[0]}{mark}{HALVES[1]}@127.0.0.1:1/0" for mark in "/?#@:"),
        f"redis://127.0.0.1:1/0?password={HALVES[0]}&username=user",
        f"redis://127.0.0.1:1/0?db=0&PASSWORD={HALVES[0]}",
        f"rediss://:{HALVES[0]}@127.0.0.1:1/0?ssl_password={HALVES[1]}",
        f"redis://user:{HALVES[0]}@127.0.0.1:port/0",
        f"unix://user:{HALVES[0]}@/nonexistent?password={HALVES[1]}",
        f"http://user:{HALVES[0]}@127.0.0.1:1/0",
        f"user:{HALVES[0]}@127.0.0.1:1",
    ],
)
def test_no_form_of_a_url_shows_its_password(url: str, tool: Tool) -> None:
    for form in ((), ("--json",)):
        result = tool(url, "queues", "list", *form)
        assert result.code in (2, 3)
        assert result.stdout == ""
        assert not any(half in result.stderr for half in HALVES), result
        assert "bug in asyncmq-cli" not in result.stderr


@pytest.mark.parametrize(
    "ending",
    ["/zero", "/1/2", "/0?nosuch=1", "/0?socket_timeout=soon", "/0?db=one", "/0?ssl_cert_reqs=maybe"],
)
def test_a_url_with_an_impossible_value_is_wrong_usage(ending: str, tool: Tool) -> None:
    """It is detected before any request: `/zero` is not database 0."""
    result: Result = tool(f"rediss://127.0.0.1:1{ending}", "queues", "list")
    assert (result.code, result.stdout) == (2, "")
    assert result.stderr.startswith("error: the Redis URL ")


@pytest.mark.parametrize("option", ["decode_responses=true", "protocol=3", "retry_on_timeout=true"])
def test_a_url_cannot_change_how_the_tool_speaks(
    option: str, server: PrivateRedis, tool: Tool, keyspace: Keyspace
) -> None:
    for args in COMMANDS.values():
        assert_done(args, tool(f"{server.url}&{option}", *args))
        keyspace.restore()
