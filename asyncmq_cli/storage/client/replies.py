"""Replies of Redis: their size is limited while they are read, and their shape is checked.

The server may not be Redis, or may be hostile: it may send an endless string, an array of a billion elements,
or one byte every half second. redis-py and hiredis accept all of these. Here the bytes of each reply are
counted before they reach hiredis, and one deadline applies to the whole reply. If a reply does not have the
shape that its command returns, the server is not Redis, or the connection is out of step.
"""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import redis
from redis._parsers.hiredis import NOT_ENOUGH_DATA, _HiredisParser
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, NoPermissionError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from asyncmq_cli.errors import Halted

# Checks of the shape of RESP2 replies. `count` is the number of elements that were requested.
_Check = Callable[[Any, int], bool]


def _is_number(reply: Any, _: int = 0) -> bool:
    return type(reply) is int


def _is_text(reply: Any, _: int = 0) -> bool:
    return type(reply) is bytes


def _is_text_or_none(reply: Any, _: int = 0) -> bool:
    return reply is None or type(reply) is bytes


def _are_texts(reply: Any, _: int = 0) -> bool:
    return type(reply) is list and set(map(type, reply)) <= {bytes}


def _are_texts_or_none(reply: Any, count: int) -> bool:
    return type(reply) is list and len(reply) == count and set(map(type, reply)) <= {bytes, type(None)}


def _are_numbers(reply: Any, count: int) -> bool:
    return type(reply) is list and len(reply) == count and set(map(type, reply)) <= {int}


def _is_scan(reply: Any, _: int = 0) -> bool:
    if type(reply) is not list or len(reply) != 2:
        return False
    cursor, found = reply
    return type(cursor) is bytes and cursor.isdigit() and _are_texts(found)


_WORDS_WITHOUT_VALUES = len(("cursor", "COUNT", "number", "NOVALUES"))


def _is_scan_of_pairs(reply: Any, count: int) -> bool:
    return _is_scan(reply) and (count == _WORDS_WITHOUT_VALUES or len(reply[1]) % 2 == 0)


def _is_time(reply: Any, _: int) -> bool:
    return _are_texts(reply) and len(reply) == 2 and all(part.isdigit() for part in reply)


def _are_stream_entries(reply: Any, _: int) -> bool:
    return type(reply) is list and all(
        type(entry) is list and len(entry) == 2 and _is_text(entry[0]) and _are_texts(entry[1])
        for entry in reply
    )


_CHECKS: dict[bytes, _Check] = {
    **dict.fromkeys((b"EXISTS", b"STRLEN", b"PTTL", b"SISMEMBER"), _is_number),
    **dict.fromkeys((b"ZCARD", b"ZCOUNT", b"SCARD", b"HLEN"), _is_number),
    b"TYPE": _is_text,
    b"TIME": _is_time,
    b"ZSCORE": _is_text_or_none,
    **dict.fromkeys((b"MGET", b"HMGET", b"ZMSCORE"), _are_texts_or_none),
    b"SMISMEMBER": _are_numbers,
    **dict.fromkeys((b"SCAN", b"SSCAN"), _is_scan),
    **dict.fromkeys((b"HSCAN", b"ZSCAN"), _is_scan_of_pairs),
    **dict.fromkeys((b"ZRANGE", b"ZRANGEBYSCORE"), _are_texts),
    **dict.fromkeys((b"XRANGE", b"XREVRANGE"), _are_stream_entries),
    **dict.fromkeys((b"EVAL", b"EVALSHA"), lambda reply, _: type(reply) is list or reply == b"QUEUED"),
    b"MULTI": lambda reply, _: reply == b"OK",
    b"EXEC": lambda reply, _: type(reply) is list,
}


def check_reply(command: bytes, words: int, reply: Any) -> None:
    """Raise InvalidResponse if the reply has the wrong shape for this command with `words` words. Commands
    that are not in the table are not checked."""
    check = _CHECKS.get(command)
    # All words of MGET after its name are keys; the other commands have one key.
    count = words - (1 if command == b"MGET" else 2)
    if check is not None and not check(reply, count):
        raise invalid(command.decode())


def invalid(command: str) -> InvalidResponse:
    """The error for a reply with the wrong shape."""
    return InvalidResponse(f"the reply to {command} has the wrong shape")


def return_codes(reply: Any) -> list[int]:
    """The numbers that a script returned. Raises InvalidResponse for any other reply."""
    if not isinstance(reply, list) or not reply or not all(isinstance(part, int) for part in reply):
        raise InvalidResponse("a script's reply is not a list of numbers")
    return reply


_Error = TypeVar("_Error", bound=Exception)


def with_command(error: _Error, *command: Any) -> _Error:
    """The same error, with the refused command and its keys as text in `refused_command`."""
    words = [word.decode("utf-8", "replace") if isinstance(word, bytes) else str(word) for word in command]
    error.refused_command = " ".join(filter(None, words))  # type: ignore[attr-defined]
    return error


class CheckedRedis(redis.Redis):
    """A client that announces which reply it expects, so that its connection can check it. Raises
    InvalidResponse.

    To send several commands at once, use `run_pipeline` instead of this client's `pipeline`.
    """

    def _send_command_parse_response(self, conn: Any, command_name: Any, *args: Any, **options: Any) -> Any:
        redis_py: Any = self
        conn.send_command(*args, **options)
        conn.expect(command_name, len(args))
        try:
            return redis_py.parse_response(conn, command_name, **options)
        except (NoPermissionError, InvalidResponse) as exc:
            # Of a script, its keys.
            words = [args[0], *args[3 : 3 + args[2]]] if args[0] in ("EVALSHA", "EVAL") else args[:2]
            raise with_command(exc, *words) from None
        except (TypeError, ValueError, AttributeError, LookupError) as exc:
            # redis-py assumes that a reply has the shape that it parses.
            conn.disconnect()
            raise invalid(command_name) from exc


SMALL = 1024 * 1024
"""Bytes. The limit for replies without data: more than the numbers, states, return codes and errors of the
largest batch."""
LARGE = 256 * 1024 * 1024
"""Bytes. The limit for replies with data."""


def several() -> int:
    """The limit in bytes for a reply with several values. If a reply is larger, its values are requested
    again one by one."""
    return LARGE // 4


_NUMBERS = frozenset(
    b"AUTH HELLO SELECT PING CLIENT MULTI EXEC EVAL EVALSHA EXISTS TYPE TIME DBSIZE PTTL TTL HLEN HEXISTS"
    b" SCARD SISMEMBER SMISMEMBER ZCARD ZCOUNT ZSCORE ZMSCORE DEL".split()
)
_NO_VALUES = _NUMBERS | {b"SCAN"}
# The headers of arrays and of RESP3's other aggregates. hiredis allocates as many elements as a header
# announces.
_HEADS = [
    (mark, re.compile(re.escape(mark) + rb"([0-9]{1,19})\r\n")) for mark in (b"*", b"~", b"%", b">", b"|")
]
_BEGUN = re.compile(rb"[*~%>|][0-9]*\r?\Z")
_LONGEST_HEAD = 32
_FEW = 20
"""Up to this many marks in a chunk are searched with memchr. If there are more, a regular expression is
faster."""
_LONG = 1000
_LARGER_THAN_USUAL = 2 * SMALL
MOST_ELEMENTS = 1_000_000
"""The limit for the elements in arrays of a thousand elements or more. The tool requests a few thousand at a
time."""
MOST_ARRAYS = 50_000
"""The limit for the number of shorter arrays. An empty one takes four bytes on the wire, but sixty in
memory."""


CLUSTER = ("redis_cluster", "this is a node of a Redis Cluster, which holds only some of the queues")


class WrongServer(RedisError):
    """The server cannot have all queues. `code` and `message` are those of the RedisProblem."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class ReplyTooLarge(InvalidResponse):
    """The reply is larger than any valid reply to that command, or has more than `most` bytes of values."""

    most = 0

    def __init__(self, *, is_data: bool = False) -> None:
        super().__init__()
        self.is_data = is_data


def bound_of(command: bytes, most: int | None = None) -> int:
    """The limit in bytes for a reply to this command, of whose data at most `most` bytes are expected."""
    return SMALL if command in _NUMBERS else most or LARGE


class _Reader:
    """A hiredis reader with limits. Raises ReplyTooLarge."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader
        self._ready: deque[Any] = deque()
        self._held = b""
        self.start(SMALL)

    def start(self, most: int) -> None:
        """Begin a reply of at most `most` bytes. Bytes that are already buffered do not count."""
        self._bytes_left, self._elements_left, self._arrays_left = most, MOST_ELEMENTS, MOST_ARRAYS
        self._look_closer_below = most - _LARGER_THAN_USUAL

    def feed(self, buffer: bytearray, start: int, length: int) -> None:
        self._bytes_left -= length
        if self._bytes_left < 0:
            raise ReplyTooLarge(is_data=True)
        data = self._held + memoryview(buffer)[start : start + length]
        begun = _BEGUN.search(data, max(0, len(data) - _LONGEST_HEAD))
        end = len(data) if begun is None else begun.start()
        # Keep the start of a header until its length has arrived.
        self._held = data[end:]
        whole, done = memoryview(data), 0
        for at, elements in sorted(self._long_heads(data, end)):
            self._reader.feed(whole[done:at])
            done = at
            while (reply := self._reader.gets()) is not NOT_ENOUGH_DATA:
                self._ready.append(reply)
            # If nothing is pending, this is the header of an array and not text in a string.
            if not self._reader.has_data():
                self._elements_left -= elements
            if self._elements_left < 0:
                raise ReplyTooLarge
        self._reader.feed(whole[done:end])

    def _long_heads(self, data: bytes, end: int) -> Iterator[tuple[int, int]]:
        """The offsets at which long arrays seem to begin, each with the number of elements."""
        # RESP3 was not requested, so search for its headers only in a large reply.
        for mark, head in _HEADS if self._bytes_left < self._look_closer_below else _HEADS[:1]:
            for found in _found(mark, head, data, end):
                elements = int(found[1])
                if elements >= _LONG:
                    yield found.start(), elements
                else:
                    self._arrays_left -= 1
        if self._arrays_left < 0:
            raise ReplyTooLarge

    def gets(self, *decode: bool) -> Any:
        return self._ready.popleft() if self._ready else self._reader.gets(*decode)

    def has_data(self) -> bool:
        return bool(self._ready or self._held or self._reader.has_data())


def _found(mark: bytes, head: re.Pattern[bytes], data: bytes, end: int) -> Iterator[re.Match[bytes]]:
    at = data.find(mark, 0, end)
    for _ in range(_FEW):
        if at < 0:
            return
        if found := head.match(data, at, end):
            yield found
        at = data.find(mark, at + 1, end)
    yield from head.finditer(data, at, end) if at >= 0 else ()


class Parser(_HiredisParser):
    """Reads a reply within the limits that were passed to `start`."""

    _reader: Any
    _until: float | None = None

    def on_connect(self, connection: Any, **kwargs: Any) -> None:
        super().on_connect(connection, **kwargs)  # type: ignore[no-untyped-call]
        self._reader = _Reader(self._reader)

    def buffered(self) -> Any:
        """The next reply if it has arrived completely, else NOT_ENOUGH_DATA. An error is also a reply."""
        return NOT_ENOUGH_DATA if self._reader is None else self._reader.gets(False)

    def start(self, most: int, seconds: float | None) -> None:
        if self._reader is not None:
            self._reader.start(most)
        self._until = None if seconds is None else time.monotonic() + seconds

    def read_from_socket(self, *args: Any, **kwargs: Any) -> Any:
        if not args and not isinstance(kwargs.get("timeout"), int | float) and self._until is not None:
            left = self._until - time.monotonic()
            if left <= 0:
                raise RedisTimeoutError("the reply did not end in time")
            kwargs["timeout"] = left
        return super().read_from_socket(*args, **kwargs)  # type: ignore[no-untyped-call]


class _Local(threading.local):
    most: int | None = None


_LOCAL = _Local()


@contextmanager
def at_most(most: int | None) -> Iterator[None]:
    """A context in which the limit for replies with data is `most` bytes instead of LARGE."""
    before, _LOCAL.most = _LOCAL.most, most
    try:
        yield
    finally:
        _LOCAL.most = before


class Waited:
    """Counts the `seconds` that this process has waited for replies."""

    seconds = 0.0


class Bounded:
    """A connection that limits the size of every reply, and checks the replies that `expect` announced. Other
    replies may have at most `unasked` bytes. Once `is_halted` returns True, announced replies raise Halted
    instead of being read.
    """

    unasked = SMALL
    is_halted: Callable[[], bool] | None = None
    _expected: tuple[bytes, int, int | None] | None = None

    def expect(self, command: bytes | str, words: int, most: int | None = None) -> None:
        """Announce that the next reply is for this command, which has `words` words, and that it has at most
        `most` bytes of data; without `most`, as many as `at_most` says. Raises Halted."""
        if self.is_halted is not None and self.is_halted():
            connection: Any = self
            connection.disconnect()
            raise Halted
        name = command.encode() if isinstance(command, str) else command
        self._expected = name, words, _LOCAL.most if most is None else most

    def read_response(self, *args: Any, **kwargs: Any) -> Any:
        connection: Any = self
        redis_py: Any = super()
        expected, self._expected = self._expected, None
        try:
            # In a pipeline, most replies are already buffered. Reading them here is three times as fast as in
            # redis-py.
            reply = NOT_ENOUGH_DATA if expected is None else connection._parser.buffered()
            if isinstance(reply, Exception):
                raise reply
            if reply is NOT_ENOUGH_DATA:
                most = self.unasked if expected is None else bound_of(expected[0], expected[2])
                connection._parser.start(most, connection.socket_timeout)
                began = time.monotonic()
                try:
                    reply = redis_py.read_response(*args, **kwargs)
                finally:
                    Waited.seconds += time.monotonic() - began
            if expected is not None:
                check_reply(expected[0], expected[1], reply)
            return reply
        except (MemoryError, RecursionError) as exc:
            connection.disconnect()
            raise ReplyTooLarge from exc
        except TypeError as exc:
            # The reply is a map whose keys are maps: hiredis cannot build it, and Redis never sends it.
            connection.disconnect()
            raise InvalidResponse("a reply that cannot be held") from exc
        except (InvalidResponse, RedisConnectionError) as exc:
            connection.disconnect()
            if isinstance(exc, ReplyTooLarge) and exc.is_data and expected and expected[0] not in _NO_VALUES:
                exc.most = bound_of(expected[0], expected[2])
            raise
