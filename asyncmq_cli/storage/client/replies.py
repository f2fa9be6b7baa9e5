"""A client that takes no reply for another: what is not of the shape that a command's reply has
comes from no Redis, or from one that is out of step."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import redis
from redis.client import Pipeline
from redis.exceptions import InvalidResponse, NoPermissionError

_Is = Callable[[Any], bool]
# From a reply, as the client library gives it, and how many elements were asked for.
_Shape = Callable[[Any, int], bool]


def _number(value: Any) -> bool:
    return isinstance(value, int | float)


def _text(value: Any) -> bool:
    return isinstance(value, bytes)


def _or_none(is_one: _Is) -> _Is:
    return lambda value: value is None or is_one(value)


def _one(is_one: _Is) -> _Shape:
    return lambda reply, _: is_one(reply)


def _for_each(is_one: _Is) -> _Shape:
    return lambda reply, asked: isinstance(reply, list) and len(reply) == asked and all(map(is_one, reply))


def _list_of(is_one: _Is) -> _Is:
    return lambda value: isinstance(value, list) and all(map(is_one, value))


def _pair(first: _Is, second: _Is) -> _Is:
    return lambda value: (
        isinstance(value, list | tuple) and len(value) == 2 and first(value[0]) and second(value[1])
    )


def _fields(value: Any) -> bool:
    return isinstance(value, dict) and all(_text(name) and _text(held) for name, held in value.items())


_SHAPES: dict[str, _Shape] = {
    **dict.fromkeys(("EXISTS", "ZCARD", "SCARD", "HLEN", "SISMEMBER"), _one(_number)),
    "TYPE": _one(_text),
    "TIME": _one(_pair(_number, _number)),
    "ZSCORE": _one(_or_none(_number)),
    "MGET": _for_each(_or_none(_text)),
    "HMGET": _for_each(_or_none(_text)),
    "ZMSCORE": _for_each(_or_none(_number)),
    "SMISMEMBER": _for_each(_number),
    "SCAN": _one(_pair(_number, _list_of(_text))),
    "SSCAN": _one(_pair(_number, _list_of(_text))),
    "HSCAN": _one(_pair(_number, _fields)),
    "ZSCAN": _one(_pair(_number, _list_of(_pair(_text, _number)))),
    "XREVRANGE": _one(_list_of(_pair(_text, _fields))),
}


def return_codes(reply: Any) -> list[int]:
    """What a script returned. Raises InvalidResponse."""
    if not isinstance(reply, list) or not reply or not all(isinstance(part, int) for part in reply):
        raise InvalidResponse("a script's reply is no list of numbers")
    return reply


def _check(command: Sequence[Any], reply: Any) -> None:
    shape = _SHAPES.get(str(command[0]))
    # MGET names keys, the others a key and what is asked of it.
    asked = len(command) - (1 if command[0] == "MGET" else 2)
    if shape is not None and not isinstance(reply, Exception) and not shape(reply, asked):
        raise InvalidResponse(f"the reply to {command[0]} is none")


def check_raw(command: bytes, words: int, reply: Any) -> None:
    """The same of a reply as it came, to a command of so many words."""
    if command in (b"SCAN", b"SSCAN", b"HSCAN", b"ZSCAN"):
        fits = _is_scan(reply) and (command not in (b"HSCAN", b"ZSCAN") or len(reply[1]) % 2 == 0)
    elif command in (b"MGET", b"HMGET"):
        asked = words - (1 if command == b"MGET" else 2)
        fits = type(reply) is list and len(reply) == asked and set(map(type, reply)) <= _TEXTS_OR_NONE
    elif command == b"ZRANGE":
        fits = _are_texts(reply)
    elif command in (b"EVAL", b"EVALSHA"):
        fits = type(reply) is list or reply == b"QUEUED"
    elif command == b"MULTI":
        fits = reply == b"OK"
    elif command == b"EXEC":
        fits = type(reply) is list
    else:
        fits = type(reply) is int
    if not fits:
        raise InvalidResponse(f"the reply to {command.decode()} is none")


_TEXTS_OR_NONE = {bytes, type(None)}


def _is_scan(reply: Any) -> bool:
    if type(reply) is not list or len(reply) != 2:
        return False
    cursor, found = reply
    return type(cursor) is bytes and cursor.isdigit() and _are_texts(found)


def _are_texts(found: Any) -> bool:
    return type(found) is list and set(map(type, found)) <= {bytes}


# How the client library begins what it says of a command of a pipeline.
_PLACE = re.compile(r"Command # ([0-9]{1,9}) \(")


def asked(error: NoPermissionError, command: Any, key: Any = b"") -> NoPermissionError:
    """The error, with what was refused: `told` is the command and its key, as text."""
    words = [
        word.decode("utf-8", "replace") if isinstance(word, bytes) else str(word) for word in (command, key)
    ]
    error.told = " ".join(filter(None, words))  # type: ignore[attr-defined]
    return error


class _Parsing:
    def parse_response(self, connection: Any, command_name: str, **options: Any) -> Any:
        parent: Any = super()
        connection.expect(command_name)
        try:
            return parent.parse_response(connection, command_name, **options)
        except (TypeError, ValueError, AttributeError, LookupError) as exc:
            # The client library takes it for granted that a reply has the shape that it expects.
            connection.disconnect()
            raise InvalidResponse(f"the reply to {command_name} is none") from exc


class CheckedPipeline(_Parsing, Pipeline):
    """Holds every reply of a pipeline against its command. Raises InvalidResponse."""

    def _execute_pipeline(self, connection: Any, commands: Any, raise_on_error: bool) -> Any:
        parent: Any = super()
        try:
            replies = parent._execute_pipeline(connection, commands, raise_on_error)
        except NoPermissionError as exc:
            if number := _PLACE.match(str(exc)):
                raise asked(exc, *commands[int(number[1]) - 1][0][:2]) from None
            raise
        for (command, _), reply in zip(commands, replies, strict=True):
            _check(command, reply)
        return replies


class CheckedRedis(_Parsing, redis.Redis):
    """Holds every reply against its command. Raises InvalidResponse."""

    def _send_command_parse_response(self, conn: Any, command_name: Any, *args: Any, **options: Any) -> Any:
        parent: Any = super()
        try:
            reply = parent._send_command_parse_response(conn, command_name, *args, **options)
        except NoPermissionError as exc:
            raise asked(exc, *args[:2]) from None
        _check(args, reply)
        return reply

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> CheckedPipeline:
        """One that holds its replies against its commands, too."""
        return CheckedPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)
