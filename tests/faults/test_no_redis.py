"""A hostile server instead of Redis: the tool prints one line of error, in limited time and memory."""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest
import redis

from asyncmq_cli.demo.server import PrivateRedis
from tests.conftest import environment
from tests.faults.fakes import FakeServer, Listener
from tests.faults.scale import scaled
from tests.faults.support import READERS, Tool, assert_refused
from tests.support import library
from tests.support.forked import Forked

MIB = 1024 * 1024
MOST_MEMORY = 600 * MIB
SECONDS = 20.0
"""A generous bound on what takes two."""


def endless(head: bytes, piece: bytes) -> Iterator[bytes]:
    yield head
    yield from itertools.repeat(piece * (65536 // len(piece) + 1))


def slow(text: bytes) -> Iterator[bytes]:
    for byte in itertools.chain(text, itertools.repeat(ord("x"))):
        yield bytes([byte])
        time.sleep(0.05)


FLOODS: dict[str, Callable[[], Iterator[bytes]]] = {
    "a string": lambda: endless(b"$99999999999\r\n", b"x"),
    "a line": lambda: endless(b"+", b"x"),
    "an error": lambda: endless(b"-ERR ", b"x"),
    "a number": lambda: endless(b":", b"1"),
    "an array of numbers": lambda: endless(b"*999999\r\n", b":123456\r\n"),
    "an array of arrays": lambda: endless(b"*999999\r\n", b"*0\r\n"),
    "a cursor and an array of nothing": lambda: endless(b"*2\r\n$1\r\n0\r\n*999999\r\n", b"$0\r\n\r\n"),
    "arrays in arrays": lambda: endless(b"", b"*999999\r\n"),
    "a map of maps": lambda: endless(b"%999999\r\n", b"%0\r\n"),
    "what is pushed": lambda: endless(b"", b">2\r\n$1\r\nx\r\n:1\r\n"),
    "zeros": lambda: endless(b"", b"\0"),
    "a billion elements": lambda: iter([b"*1000000000\r\n"]),
    "a billion elements within": lambda: iter([b"*2\r\n$1\r\n0\r\n*10000", b"00000\r\n:1\r\n"]),
    "a billion fields": lambda: iter([b"%1000000000\r\n"]),
}
TRICKLES = {
    "a line": b"+",
    "a string": b"$1000\r\n",
    "an array": b"*2\r\n$1\r\n0\r\n*9\r\n$999\r\n",
    "a number": b":1",
}


class Flood(Listener):
    """A server that sends this endlessly after the first request."""

    def __init__(self, says: Callable[[], Iterator[bytes]]) -> None:
        super().__init__()
        self._says = says

    def serve(self, connection: socket.socket) -> None:
        connection.recv(65536)
        for piece in self._says():
            connection.sendall(piece)
        with contextlib.suppress(OSError):
            connection.recv(65536)


def measured(url: str, *args: str) -> tuple[int, str, int]:
    """The exit status, stderr, and the peak memory in bytes."""
    code = (
        "import sys; from asyncmq_cli.app import run; code = run(sys.argv[1:]); "
        "peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM:')); "
        "print(peak.split()[1]); sys.exit(code)"
    )
    pipes = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
    done = Forked(["-c", code, *args, "--timeout", "1"], env=environment(url), text=True, **pipes)
    out, err = done.communicate()
    return done.wait(), err, int(out.splitlines()[-1]) * 1024


@pytest.mark.parametrize("kind", FLOODS)
def test_a_flood_is_cut_off(kind: str) -> None:
    for args in scaled([("queues", "list")], [("queues", "list"), ("jobs", "list", "mail"), ("doctor",)]):
        start = time.monotonic()
        with Flood(FLOODS[kind]) as server:
            status, said, memory = measured(server.url, *args, "--json")
        assert time.monotonic() - start < SECONDS
        assert (status, said.count("\n")) == (3, 1), said
        assert json.loads(said)["error"]["code"] in ("redis_unreachable", "redis_timeout"), said
        assert memory < MOST_MEMORY


@pytest.mark.parametrize("kind", TRICKLES)
def test_the_timeout_holds_for_the_whole_of_a_reply(kind: str, tool: Tool) -> None:
    for args in (READERS["queues list"], READERS["jobs show"], READERS["overview"]):
        start = time.monotonic()
        with Flood(lambda: slow(TRICKLES[kind])) as server:
            result = tool(server.url, *args, "--timeout", "0.3")
        assert time.monotonic() - start < SECONDS
        assert_refused(args, result, "redis_timeout", "did not answer within 0.3 s")


def test_a_reply_that_is_too_large_is_named(tool: Tool) -> None:
    with FakeServer(lambda command: b"*2\r\n$1\r\n0\r\n*4000000\r\n") as server:
        result = tool(server.url, "queues", "list")
    assert_refused(("queues", "list"), result, "redis_unreachable", "larger than any valid reply")


def test_a_value_that_is_too_large_is_named(
    server: PrivateRedis, client: redis.Redis, tool: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = server.url
    from asyncmq_cli.storage.client import replies

    monkeypatch.setattr(replies, "LARGE", 2 * MIB)
    library.with_backend(url, lambda opened: library.fill(opened, "mail", [("waiting", library.job("huge"))]))
    client.set("jobs:mail:huge", json.dumps(library.job("huge", args=["z" * 3 * MIB])))
    for args in (("jobs", "list", "mail"), ("jobs", "show", "mail", "huge")):
        result = tool(url, *args)
        assert_refused(
            args, result, "reply_too_large", "the reply to MGET jobs:mail:huge is larger than 2 MB"
        )


def test_text_that_looks_like_the_head_of_an_array_is_text() -> None:
    """Also if the text is split into pieces."""
    import hiredis

    from asyncmq_cli.storage.client.replies import LARGE, NOT_ENOUGH_DATA, _Reader

    value = b"x\r\n*1000000000\r\n$5\r\n%9999999\r\n*12345"
    replies = b"".join(b"*2\r\n$%d\r\n%b\r\n:1\r\n" % (len(value), value) for _ in range(2))
    for size in range(1, len(replies) + 1):
        reader = _Reader(hiredis.Reader(notEnoughData=NOT_ENOUGH_DATA))
        reader.start(LARGE)
        found = []
        for at in range(0, len(replies), size):
            piece = bytearray(replies[at : at + size])
            reader.feed(piece, 0, len(piece))
            while (reply := reader.gets()) is not NOT_ENOUGH_DATA:
                found.append(reply)
        assert found == [[value, 1]] * 2, size
        assert not reader.has_data()
