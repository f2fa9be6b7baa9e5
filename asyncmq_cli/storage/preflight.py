"""Asking Redis beforehand whether it would take every command of a script.

Redis does not undo what a script has written when a later command in it is refused. It does
check a command's permission, and the server's readiness to write, when the command is queued in
a transaction. So each is queued once and the transaction is thrown away: nothing runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis
from redis.exceptions import ResponseError

from asyncmq_cli.storage.scripts import Script

# By the type of a key, the commands that the scripts use on it.
_ON_ZSET = (("TYPE",), ("ZSCORE", "m"), ("ZREM", "m"))
_ON_HASH = (("TYPE",), ("HGET", "f"), ("HEXISTS", "f"), ("HDEL", "f"))
_ON_SET = (("TYPE",), ("SISMEMBER", "m"), ("SREM", "m"))
_ON_STRING = (("TYPE",), ("GET",), ("SET", "v"), ("DEL",))
_ON_STREAM = (("TYPE",), ("XADD", "MAXLEN", "~", 1, "*", "f", "v"))

# In the order of each script's KEYS.
_COMMANDS: dict[str, tuple[tuple[tuple[Any, ...], ...], ...]] = {
    "retry": (
        _ON_ZSET,
        (*_ON_ZSET, ("ZADD", 1, "m")),
        (("TYPE",), ("GET",), ("INCR",)),
        _ON_STRING,
        _ON_STRING,
        (("TYPE",), ("SADD", "m")),
        (*_ON_HASH, ("HSET", "f", "v")),
        _ON_HASH,
        _ON_HASH,
        _ON_SET,
        _ON_STREAM,
    ),
    "remove": (
        *(_ON_ZSET,) * 3,
        *(_ON_STRING,) * 2,
        _ON_SET,
        *(_ON_HASH,) * 4,
        _ON_SET,
        *((("TYPE",), ("SREM", "m"), ("DEL",)),) * 2,
        _ON_STREAM,
    ),
    "cancel": (
        *(_ON_ZSET,) * 2,
        *(_ON_STRING,) * 2,
        (("TYPE",), ("SADD", "m")),
        (*_ON_HASH, ("HSET", "f", "v")),
        *(_ON_HASH,) * 3,
        (*_ON_SET, ("SADD", "m")),
        _ON_STREAM,
    ),
    "pause": ((("TYPE",), ("EXISTS",), ("SET", 1)), _ON_STREAM),
    "resume": ((("TYPE",), ("EXISTS",), ("DEL",)), _ON_STREAM),
}


def check(client: redis.Redis, script: Script, keys: Sequence[bytes]) -> None:
    """Raise what Redis says to the first command that it would refuse."""
    commands: list[tuple[Any, ...]] = [("TIME",), ("EVALSHA", script.sha, 0), ("EVAL", "return 1", 0)]
    # A script may take more keys of the last kinds (`remove`: one for each parent); those are
    # of the family of the queue's other keys, so their permission is the same.
    for key, on_key in zip(keys, _COMMANDS[script.name], strict=False):
        commands += [(name, key, *args) for name, *args in on_key]
    pool = client.connection_pool
    connection: Any = pool.get_connection()
    try:
        # Alone and first: were it refused, what follows would not be queued but carried out.
        connection.send_command("MULTI")
        connection.read_response()
        refusal: ResponseError | None = None
        connection.send_packed_command(connection.pack_commands([*commands, ("DISCARD",)]))
        for _ in range(len(commands) + 1):
            try:
                connection.read_response()
            except ResponseError as exc:
                refusal = refusal or exc
        if refusal is not None:
            raise refusal
    except BaseException:
        # Half a conversation must not be left for the next user of the connection.
        connection.disconnect()
        raise
    finally:
        pool.release(connection)
