"""Nothing listens at the address of Redis, or the server there does not speak its protocol."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import Result, run_tool
from tests.faults.fakes import FakeServer, HangUpError
from tests.faults.support import COMMANDS, PASSWORD, Args, Keyspace, Tool, assert_refused, in_json
from tests.faults.troubles import free_port

SECONDS = 10.0
"""A generous bound on what takes a fraction of a second."""

REPLIES: dict[str, tuple[bytes, str]] = {
    "LOADING": (b"-LOADING Redis is loading the dataset in memory", "redis_loading"),
    "BUSY": (b"-BUSY Redis is busy running a script. You can only call SCRIPT KILL.", "redis_busy"),
    "MASTERDOWN": (b"-MASTERDOWN Link with MASTER is down", "redis_master_down"),
    "CLUSTERDOWN": (b"-CLUSTERDOWN Hash slot not served", "redis_cluster_down"),
    "EXECABORT": (b"-EXECABORT Transaction discarded because of previous errors.", "redis_aborted"),
    "MISCONF": (b"-MISCONF Redis is configured to save RDB snapshots", "redis_misconf"),
    "NOREPLICAS": (b"-NOREPLICAS Not enough good replicas to write.", "redis_no_replicas"),
    "too many clients": (b"-ERR max number of clients reached", "redis_max_clients"),
    "MOVED": (b"-MOVED 3999 127.0.0.1:6381", "redis_cluster"),
    "CROSSSLOT": (b"-CROSSSLOT Keys in request don't hash to the same slot", "redis_cluster"),
    "protected": (b"-DENIED Redis is running in protected mode", "redis_error"),
    "an empty error": (b"-", "redis_error"),
    "HTTP": (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n", "redis_unreachable"),
    "zeros": (b"\0\0\0\0", "redis_unreachable"),
    "no UTF-8": (b"\xff\xfe\x80", "redis_unreachable"),
    "a length that is no number": (b"$many", "redis_unreachable"),
    "a length below zero": (b"*-5", "redis_unreachable"),
    "endless text": (b"$99999999999", "redis_timeout"),
    "half a reply": (b"*2\r\n$10", "redis_timeout"),
}
GREETINGS: dict[str, tuple[bytes, str]] = {
    "SSH": (b"SSH-2.0-OpenSSH_9.6\r\n", "redis_unreachable"),
    "SMTP": (b"220 mail.example.org ESMTP\r\n", "redis_unreachable"),
    "MySQL": (b"J\0\0\0\n8.0.36\0\x0b\0\0\0", "redis_unreachable"),
    "too many clients": (b"-ERR max number of clients reached\r\n", "redis_max_clients"),
    "protected": (b"-DENIED Redis is running in protected mode\r\n", "redis_error"),
}


def hang_up(command: list[bytes]) -> bytes | None:
    raise HangUpError


def say_nothing(command: list[bytes]) -> bytes | None:
    return None


def welcome_and_say_nothing(command: list[bytes]) -> bytes | None:
    return b"+OK\r\n" if command[0] in (b"AUTH", b"SELECT", b"HELLO", b"CLIENT", b"PING") else None


@pytest.fixture
def refused(tool: Tool) -> Callable[..., Result]:
    """A function that runs a command, alternately with and without --json, and asserts that it is refused
    with this code in time."""
    forms = itertools.cycle([in_json, lambda args: args])

    def check(url: str, args: Args, code: str, says: str = "") -> Result:
        # If the server answers, wait for long enough even on a busy machine.
        args = next(forms)(args)
        timeout = "0.05" if code == "redis_timeout" else "30"
        start = time.monotonic()
        result = tool(url, "--timeout", timeout, *args)
        assert time.monotonic() - start < SECONDS
        assert_refused(args, result, code, says)
        return result

    return check


each_command = pytest.mark.parametrize("args", COMMANDS.values(), ids=list(COMMANDS))


@each_command
def test_an_address_where_nothing_listens_is_unreachable(
    args: Args, refused: Callable[..., Result], tmp_path: Path
) -> None:
    unreachable = "cannot reach Redis at "
    for url, reason in (
        (f"redis://:{PASSWORD}@127.0.0.1:{free_port()}/0", "Connection refused"),
        (f"rediss://:{PASSWORD}@127.0.0.1:{free_port()}/0", "Connection refused"),
        (f"unix://:{PASSWORD}@/nonexistent/redis.sock", "No such file or directory"),
        (f"unix://:{PASSWORD}@{tmp_path}", ""),
    ):
        result = refused(url, args, "redis_unreachable", unreachable)
        assert reason in result.stderr


def test_a_host_that_has_no_address_is_named(
    refused: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolve(*args: object, **kwargs: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    result = refused("redis://boom.busy.example/0", ("queues", "list"), "redis_unreachable")
    assert "at redis://boom.busy.example/0: Name or service not known" in result.stderr


@pytest.mark.extended(first=50)
@each_command
@pytest.mark.parametrize("answer", [say_nothing, welcome_and_say_nothing, hang_up])
def test_a_server_that_is_silent_or_hangs_up_is_refused(
    answer: Callable[[list[bytes]], bytes | None], args: Args, refused: Callable[..., Result]
) -> None:
    with FakeServer(answer) as server:
        url = server.url.replace("//", f"//:{PASSWORD}@")
        refused(url, args, "redis_unreachable" if answer is hang_up else "redis_timeout")


@pytest.mark.extended(first=6)
@pytest.mark.parametrize("name", REPLIES)
def test_a_server_that_always_gives_the_same_reply_is_refused(
    name: str, refused: Callable[..., Result]
) -> None:
    reply, code = REPLIES[name]
    with FakeServer(lambda command: reply + b"\r\n") as server:
        for args in COMMANDS.values():
            refused(server.url, args, code)


@pytest.mark.parametrize("name", GREETINGS)
def test_a_server_that_speaks_first_is_refused(name: str, refused: Callable[..., Result]) -> None:
    greeting, code = GREETINGS[name]
    with FakeServer(say_nothing, greeting) as server:
        for args in COMMANDS.values():
            refused(server.url, args, code)
            refused(server.url.replace("/0", "/1").replace("//", f"//:{PASSWORD}@"), args, code)


def test_a_stopped_redis_is_given_up(
    refused: Callable[..., Result], keyspace: Keyspace, server: PrivateRedis
) -> None:
    os.kill(server.pid, signal.SIGSTOP)
    try:
        for args in COMMANDS.values():
            refused(server.url, args, "redis_timeout", "did not answer within 0.05 s")
    finally:
        os.kill(server.pid, signal.SIGCONT)
    keyspace.assert_untouched()


def test_the_timeout_option_takes_precedence_over_the_url() -> None:
    """The timeout limits the whole run of the program, and takes precedence over one in the URL."""
    with FakeServer(say_nothing) as server:
        for args in (("queues", "list"), ("jobs", "remove", "mail", "1", "--yes")):
            start = time.monotonic()
            result = run_tool(*args, "--timeout", "0.3", url=f"{server.url}?socket_timeout=600")
            assert time.monotonic() - start < SECONDS
            assert_refused(args, result, "redis_timeout", "did not answer within 0.3 s")


@pytest.mark.parametrize("answer", [say_nothing, hang_up, lambda command: b"-ERR wrong port\r\n"])
def test_tls_to_a_server_without_it_is_refused(
    answer: Callable[[list[bytes]], bytes | None], refused: Callable[..., Result]
) -> None:
    with FakeServer(answer) as server:
        code = "redis_timeout" if answer is say_nothing else "redis_unreachable"
        for args in (COMMANDS["queues list"], COMMANDS["pause"]):
            refused(server.url.replace("redis:", "rediss:"), args, code)


@pytest.mark.parametrize(
    "reply",
    [
        b"+OK\r\n",
        b":1\r\n",
        b"$-1\r\n",
        b"*-1\r\n",
        b"*0\r\n",
        b"$2\r\nhi\r\n",
        b"*2\r\n$1\r\n0\r\n*0\r\n",
        b"*2\r\n:5\r\n:6\r\n",
        b"*1\r\n*1\r\n:1\r\n",
        b"*3\r\n$-1\r\n$-1\r\n$-1\r\n",
    ],
)
def test_a_reply_that_does_not_fit_the_command_is_no_bug_of_the_tool(reply: bytes, tool: Tool) -> None:
    with FakeServer(lambda command: reply) as server:
        for args in COMMANDS.values():
            result = tool(server.url, *args)
            assert "bug in asyncmq-cli" not in result.stderr, (args, result)
            if result.code == 3:
                assert_refused(args, result, "", "")
