"""Find the server's version, the Redis user, and the commands that this user may run.

Commands that read are run on the keys of one queue, which need not exist. Commands that write are queued in a
transaction that is then discarded: this checks the same rights, changes nothing, and needs no further right.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from redis.exceptions import ExecAbortError, NoPermissionError, ResponseError

from asyncmq_cli.models.audit.actions import OPTIONAL_RIGHTS, Rights
from asyncmq_cli.storage.client.connection import info_fields
from asyncmq_cli.storage.schema.keys import AUDIT_STREAM, QueueKeys
from asyncmq_cli.storage.write import preflight

if TYPE_CHECKING:
    import redis


def rights(client: redis.Redis, queue: str) -> Rights:
    """The user's rights on the keys of this queue. Raises RedisError if the server cannot be reached."""
    pool = client.connection_pool
    connection: Any = pool.get_connection()
    try:
        asked = _Asked(connection)
        reading = asked.each(_reading(queue))
        # Try EXEC before MULTI: in a transaction, it would run the queued commands.
        changing = asked.each([("EXEC",), ("MULTI",)])
        if changing["multi"]:
            changing |= asked.each(_changing(queue))
            changing["discard"] = asked.takes(("DISCARD",))
        taken = {**changing, **reading}
        memory = info_fields(asked.reply("INFO", "memory"))
        limit = memory.get("maxmemory", "")
        return Rights(
            _user(asked),
            _server(asked),
            reading,
            changing,
            asked.refused,
            _lacks(taken),
            maxmemory=int(limit) if limit.isdecimal() else None,
            maxmemory_policy=memory.get("maxmemory_policy"),
        )
    finally:
        # The connection may be in a transaction, so do not use it again.
        connection.disconnect()
        pool.release(connection)


_SCRIPTS = {
    "queues pause": ("pause",),
    "queues resume": ("resume",),
    "queues forget": ("queue_forget",),
    "queues drain": ("remove",),
    "queues clean": ("remove",),
    "queues obliterate": ("queue_clear", "remove"),
    "jobs add": ("add",),
    "jobs edit": ("edit",),
    "jobs rerun": ("add",),
    "jobs run-now": ("retry",),
    "jobs retry": ("retry",),
    "jobs requeue": ("repair_enqueue", "repair_list"),
    "jobs remove": ("remove",),
    "jobs restore": ("restore", "queue_put", "edit"),
    "jobs cancel": ("cancel",),
    "dlq retry": ("retry",),
    "dlq remove": ("remove",),
    "repeatables add": ("repeatable_replace",),
    "repeatables pause": ("repeatable_replace",),
    "repeatables resume": ("repeatable_replace",),
    "repeatables remove": ("repeatable_replace",),
    "repeatables run": ("add",),
    "workers forget": ("worker_forget",),
    "doctor --repair": ("repair_enqueue", "repair_list", "repair_forget", "repair_drop"),
}
"""By command, the scripts that it runs. A script that is in none of these lists is reported by its own
name."""
_EVERY_CHANGE = ("time", "multi", "exec", "discard", "eval", "evalsha", "type", "get", "set", "xadd")


def _lacks(taken: Mapping[str, bool]) -> dict[str, list[str]]:
    """For each of our commands that changes something, the Redis commands that it needs but the user may not
    run."""
    needs = preflight.commands_of()
    named = {script for scripts in _SCRIPTS.values() for script in scripts}
    others = {script.replace("_", " "): (script,) for script in needs if script not in named}
    needed = {
        command: set(_EVERY_CHANGE).union(*(needs[one] for one in scripts))
        for command, scripts in {**_SCRIPTS, **others}.items()
    }
    return {
        command: sorted(one for one in names - OPTIONAL_RIGHTS if not taken.get(one, True))
        for command, names in needed.items()
    }


class _Asked:
    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.refused: str | None = None

    def takes(self, command: tuple[Any, ...]) -> bool:
        reply = self.reply(*command)
        # If EXEC is not allowed, Redis reports a transaction that was aborted because of NOPERM.
        if isinstance(reply, NoPermissionError) or (
            isinstance(reply, ExecAbortError) and "permi" in str(reply)
        ):
            self.refused = self.refused or str(reply)
            return False
        return True

    def each(self, commands: list[tuple[Any, ...]]) -> dict[str, bool]:
        return {str(command[0]).lower(): self.takes(command) for command in commands}

    def reply(self, *command: Any) -> Any:
        """The reply, or the ResponseError as the reply."""
        self._connection.send_command(*command)
        try:
            return self._connection.read_response()
        except ResponseError as exc:
            return exc


def _user(asked: _Asked) -> str | None:
    said = asked.reply("ACL", "WHOAMI")
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else None


def _server(asked: _Asked) -> str | None:
    """The name and version of the server, such as `redis 7.0.15`; None if they are unknown."""
    said = asked.reply("HELLO", 2)
    if not isinstance(said, list):
        return None
    fields = dict(zip(said[::2], said[1::2], strict=False))
    named = [fields.get(name) for name in (b"server", b"version")]
    return " ".join(one.decode("utf-8", "replace") for one in named if isinstance(one, bytes)) or None


def _reading(queue: str) -> list[tuple[Any, ...]]:
    keys = QueueKeys(queue)
    return [
        ("TIME",),
        ("SCAN", 0, "COUNT", 1),
        ("EXISTS", keys.paused),
        ("PTTL", keys.worker_heartbeats),
        ("TYPE", keys.waiting),
        ("MGET", keys.paused),
        ("HMGET", keys.states, "f"),
        ("HLEN", keys.active),
        ("HSCAN", keys.states, 0, "COUNT", 1),
        ("SCARD", keys.ids),
        ("SMISMEMBER", keys.ids, "m"),
        ("SSCAN", keys.ids, 0, "COUNT", 1),
        ("STRLEN", keys.paused),
        ("ZCARD", keys.waiting),
        ("ZCOUNT", keys.delayed, 0, 0),
        ("ZMSCORE", keys.waiting, "m"),
        ("ZRANGE", keys.waiting, 0, 0),
        ("ZRANGEBYSCORE", keys.waiting, 0, 0),
        ("ZREVRANGE", keys.dlq, 0, 0),
        ("ZSCAN", keys.waiting, 0, "COUNT", 1),
        ("XRANGE", AUDIT_STREAM, "-", "+", "COUNT", 1),
        ("XREVRANGE", AUDIT_STREAM, "+", "-", "COUNT", 1),
    ]


def _changing(queue: str) -> list[tuple[Any, ...]]:
    keys = QueueKeys(queue)
    return [
        ("EVALSHA", "0" * 40, 0),
        ("EVAL", "return 1", 0),
        ("GET", keys.paused),
        ("HGET", keys.states, "f"),
        ("HEXISTS", keys.active, "f"),
        ("SISMEMBER", keys.cancelled, "m"),
        ("ZSCORE", keys.dlq, "m"),
        ("SET", keys.paused, 1),
        ("DEL", keys.paused),
        ("UNLINK", keys.paused),
        ("INCR", keys.waiting_seq),
        ("HSET", keys.states, "f", "v"),
        ("HDEL", keys.states, "f"),
        ("SADD", keys.ids, "m"),
        ("SREM", keys.ids, "m"),
        ("ZADD", keys.waiting, 1, "m"),
        ("ZREM", keys.waiting, "m"),
        ("XADD", AUDIT_STREAM, "*", "f", "v"),
    ]
