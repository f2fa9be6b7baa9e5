"""The one check that a reply fits its command. A reply of another shape comes from a server that is not
Redis, or from a connection that is out of step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import redis
from redis.exceptions import InvalidResponse, NoPermissionError

# Replies as Redis sends them in RESP2; `count` is how many elements were asked for.
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
    """Raise InvalidResponse if the reply does not fit this command of so many words. Commands that are not
    in the table are not checked."""
    check = _CHECKS.get(command)
    # All words of MGET but its name are keys; the others name a key first.
    count = words - (1 if command == b"MGET" else 2)
    if check is not None and not check(reply, count):
        raise invalid(command.decode())


def invalid(command: str) -> InvalidResponse:
    """The error for a reply that does not fit its command."""
    return InvalidResponse(f"the reply to {command} has the wrong shape")


def return_codes(reply: Any) -> list[int]:
    """The numbers that a script returned. Raises InvalidResponse."""
    if not isinstance(reply, list) or not reply or not all(isinstance(part, int) for part in reply):
        raise InvalidResponse("a script's reply is not a list of numbers")
    return reply


_Error = TypeVar("_Error", bound=Exception)


def with_command(error: _Error, command: Any, key: Any = b"") -> _Error:
    """The same error; its `refused_command` is now the command and the key that were refused, as text."""
    words = [
        word.decode("utf-8", "replace") if isinstance(word, bytes) else str(word) for word in (command, key)
    ]
    error.refused_command = " ".join(filter(None, words))  # type: ignore[attr-defined]
    return error


class CheckedRedis(redis.Redis):
    """A client that says which reply it expects, so that its connection checks it. Raises InvalidResponse.

    To send several commands at once, use `run_pipeline` instead of this client's `pipeline`.
    """

    def _send_command_parse_response(self, conn: Any, command_name: Any, *args: Any, **options: Any) -> Any:
        redis_py: Any = self
        conn.send_command(*args, **options)
        conn.expect(command_name, len(args))
        try:
            return redis_py.parse_response(conn, command_name, **options)
        except (NoPermissionError, InvalidResponse) as exc:
            raise with_command(exc, *args[:2]) from None
        except (TypeError, ValueError, AttributeError, LookupError) as exc:
            # redis-py takes for granted that a reply has the shape that it parses.
            conn.disconnect()
            raise invalid(command_name) from exc
