"""Check, before a script runs, that Redis will accept all of its commands.

A script already writes all or nothing (`lua/prelude.lua`). The preflight also covers commands that only read,
and reports a refusal before a backup is written or a change is sent. Redis checks the rights, and whether it
can write, when a command is queued in a transaction. So each command is queued once, and then the transaction
is discarded: nothing is executed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import redis
from hiredis import pack_command
from redis.exceptions import ExecAbortError, NoPermissionError, OutOfMemoryError, ResponseError

from asyncmq_cli.storage.client.replies import with_command
from asyncmq_cli.storage.read.queue_names import refuse_foreign
from asyncmq_cli.storage.schema.keys import AUDIT_HEAD, AUDIT_STREAM, queue_of

if TYPE_CHECKING:
    from asyncmq_cli.storage.write.scripts import Script

Commands = tuple[tuple[Any, ...], ...]


def _on(*commands: Any) -> Commands:
    """The commands of a script on one key, without the key. Every script checks the type of the key first."""
    return (("TYPE",), *((command,) if isinstance(command, str) else command for command in commands))


_SCORE, _UNLIST, _LIST = ("ZSCORE", "m"), ("ZREM", "m"), ("ZADD", 1, "m")
_FIELD, _HAS_FIELD = ("HGET", "f"), ("HEXISTS", "f")
_SET_FIELD, _UNSET_FIELD = ("HSET", "f", "v"), ("HDEL", "f")
_IS_MEMBER, _ADD, _DROP = ("SISMEMBER", "m"), ("SADD", "m"), ("SREM", "m")
_ARE_MEMBERS = ("SMISMEMBER", "m")
_WRITE = ("SET", "v")
_STREAM = _on(("XADD", "MAXLEN", "~", 1, "*", "f", "v"))
_HEAD: Commands = (("GET",), _WRITE)
"""The commands on the head of the audit trail, which the prelude writes with each event."""

# By script and variant, the commands on each of its KEYS, in order. A test checks that the script uses these
# commands.
_COMMANDS: dict[str, tuple[Commands, ...]] = {
    "add": (
        _on(_SCORE, _LIST),
        _on(_LIST),
        _on("GET", "INCR"),
        _on(_WRITE),
        _on(_WRITE, "DEL"),
        _on(_IS_MEMBER, _ADD),
        _on(_FIELD, _SET_FIELD),
        _on(_UNSET_FIELD),
        _on(_HAS_FIELD),
        _on(_IS_MEMBER),
        _STREAM,
    ),
    "retry": (
        _on(_SCORE, _UNLIST),
        _on(_SCORE, _LIST),
        _on("GET", "INCR"),
        _on(_WRITE),
        _on(_WRITE, "DEL"),
        _on(_IS_MEMBER, _ADD),
        _on(_FIELD, _SET_FIELD),
        _on(_UNSET_FIELD),
        _on(_HAS_FIELD),
        _on(_IS_MEMBER),
        _STREAM,
    ),
    "remove": (
        *(_on(_SCORE, _UNLIST),) * 3,
        *(_on("DEL"),) * 2,
        _on(_IS_MEMBER, _DROP),
        _on(_FIELD, _UNSET_FIELD),
        _on(_UNSET_FIELD),
        _on(_HAS_FIELD, _UNSET_FIELD),
        _on(_UNSET_FIELD),
        _on(_DROP),
        _on("DEL", _DROP),
        # Also for its parents' sets of children, which have names like this one.
        _on("DEL", _DROP),
        _STREAM,
    ),
    "remove with a backup": (
        *(_on(_SCORE, _UNLIST),) * 3,
        *(_on("GET", "DEL"),) * 2,
        _on(_IS_MEMBER, _DROP),
        _on(_FIELD, _UNSET_FIELD),
        _on(_FIELD, _UNSET_FIELD),
        _on(_FIELD, _HAS_FIELD, _UNSET_FIELD),
        _on(_FIELD, _UNSET_FIELD),
        _on(_IS_MEMBER, _DROP),
        _on("SCARD", _ARE_MEMBERS, "DEL", _DROP),
        _on("SCARD", _ARE_MEMBERS, "DEL", _IS_MEMBER, _DROP),
        _STREAM,
    ),
    "restore": (
        *(_on(_SCORE, _LIST),) * 3,
        _on("EXISTS", _WRITE),
        _on("DEL", _WRITE),
        _on(_IS_MEMBER, _ADD),
        _on(_HAS_FIELD, _SET_FIELD),
        _on(_UNSET_FIELD, _SET_FIELD),
        _on(_HAS_FIELD, _SET_FIELD),
        _on(_UNSET_FIELD, _SET_FIELD),
        _on(_IS_MEMBER, _ADD),
        _on("DEL", _ADD),
        # Also for its parents' sets of children, which have names like this one.
        _on(_ADD),
        _STREAM,
        _on(_HAS_FIELD, _SET_FIELD),
    ),
    "edit": (
        _on(_SCORE, _LIST, _UNLIST),
        _on("GET", _WRITE),
        _on("GET", _WRITE, "DEL"),
        _on(_IS_MEMBER),
        _on(_HAS_FIELD),
        _STREAM,
    ),
    "unretry": (
        _on(_SCORE, _UNLIST),
        _on(_SCORE, _LIST),
        _on("GET", _WRITE, "DEL"),
        _on("GET", _WRITE),
        _on("GET", _WRITE, "DEL"),
        _on(_IS_MEMBER, _DROP),
        _on(_FIELD, _SET_FIELD, _UNSET_FIELD),
        _on(_SET_FIELD),
        _on(_HAS_FIELD),
        _STREAM,
    ),
    "cancel": (
        *(_on(_SCORE, _UNLIST),) * 2,
        _on("GET", _WRITE),
        _on(_WRITE, "DEL"),
        _on(_IS_MEMBER, _ADD),
        _on(_FIELD, _SET_FIELD),
        _on(_UNSET_FIELD),
        _on(_HAS_FIELD, _UNSET_FIELD),
        _on(_UNSET_FIELD),
        _on(_ADD),
        _STREAM,
    ),
    "pause": (_on("EXISTS", ("SET", 1)), _STREAM),
    "resume": (_on("EXISTS", "DEL"), _STREAM),
    "queue_forget": (_on("EXISTS", "DEL"), _STREAM, *(_on("EXISTS"),) * 12),
    **{
        f"queue_clear {kind}": (_on(*commands), _on("EXISTS"), _STREAM, *(_on("EXISTS"),) * 11)
        for kind, commands in {
            "zset": (_SCORE, _UNLIST),
            "hash": (_FIELD, _UNSET_FIELD),
            "set": (_IS_MEMBER, _DROP),
            "string": ("GET", "DEL"),
        }.items()
    },
    **{
        f"queue_put {kind}": (_on(*commands), _on("EXISTS"), _STREAM)
        for kind, commands in {
            "zset": (_SCORE, _LIST),
            "hash": (_HAS_FIELD, _SET_FIELD),
            "set": (_IS_MEMBER, _ADD),
            "string": ("EXISTS", _WRITE),
        }.items()
    },
    "worker_forget": (*(_on(_FIELD, _UNSET_FIELD),) * 2, _STREAM),
    "repair_enqueue": (
        _on(_SCORE, _LIST),
        *(_on(_SCORE),) * 2,
        _on("GET", _WRITE),
        _on(_WRITE, "DEL"),
        _on(_IS_MEMBER, _ADD),
        _on(_FIELD, _SET_FIELD),
        _on(_UNSET_FIELD),
        *(_on(_FIELD, _UNSET_FIELD),) * 2,
        _on(_IS_MEMBER),
        _on("GET", "INCR"),
        # Also for its parents' sets of children, which have names like this one.
        _on("DEL", _DROP),
        _STREAM,
    ),
    "repair_list": (
        _on(_SCORE),
        *(_on(_SCORE, _LIST),) * 2,
        _on("GET", _WRITE),
        _on(_WRITE, "DEL"),
        _on(_IS_MEMBER, _ADD),
        _on(_FIELD, _SET_FIELD),
        _on(),
        *(_on(_FIELD),) * 2,
        _on(_IS_MEMBER),
        *(_on(),) * 2,
        _STREAM,
    ),
    "repair_forget": (
        _on(_SCORE, _UNLIST),
        *(_on(),) * 2,
        _on("GET", "EXISTS"),
        _on("DEL"),
        _on(_IS_MEMBER, _DROP),
        _on(_FIELD, _UNSET_FIELD),
        _on(_UNSET_FIELD),
        *(_on(_FIELD, _UNSET_FIELD),) * 2,
        _on(_IS_MEMBER, _DROP),
        _on(),
        # Also for its own set of children.
        _on("SCARD", "DEL"),
        _STREAM,
    ),
    "repair_drop": (
        _on(_SCORE),
        _on(_SCORE),
        _on(_SCORE, _UNLIST),
        _on("GET"),
        _on(),
        _on(_IS_MEMBER),
        _on(_FIELD),
        _on(),
        *(_on(_FIELD, _UNSET_FIELD),) * 2,
        _on(_IS_MEMBER),
        *(_on(),) * 2,
        _STREAM,
    ),
    "repeatable_replace": (_on("ZCARD", _SCORE, _UNLIST, _LIST), _on("EXISTS"), _STREAM),
}


def commands_of() -> dict[str, set[str]]:
    """The commands that each script may run, in lower case."""
    found: dict[str, set[str]] = {}
    for name, on_keys in _COMMANDS.items():
        script = name.partition(" ")[0]
        found.setdefault(script, set()).update(
            command[0].lower() for on in (*on_keys, _HEAD) for command in on
        )
    return found


def check(client: redis.Redis, script: Script, keys: Sequence[bytes], variant: str = "") -> None:
    """Raise Redis's error for the first command that it would refuse, or ForeignQueue if the first key
    belongs to a queue of the RabbitMQ backend."""
    parsed = queue_of(keys[0]) if keys else None
    if parsed is not None:
        refuse_foreign(client, parsed[0])
    commands: list[tuple[Any, ...]] = [("TIME",), ("EVALSHA", script.sha, 0), ("EVAL", "return 1", 0)]
    # `remove` and `restore` have more keys: one for each parent.
    for key, on_key in zip(keys, _COMMANDS[script.name + variant], strict=False):
        commands += [(name, key, *args) for name, *args in on_key]
        if key == AUDIT_STREAM:
            commands += [(name, AUDIT_HEAD, *args) for name, *args in _HEAD]
    pool = client.connection_pool
    connection: Any = pool.get_connection()
    try:
        # Send MULTI alone: if it were refused, the commands after it would run.
        connection.send_command("MULTI")
        connection.read_response()
        refusal: ResponseError | None = None
        connection.send_packed_command([b"".join(map(pack_command, [*commands, ("DISCARD",)]))])
        for name, *rest in [*commands, ("DISCARD",)]:
            try:
                connection.read_response()
            except OutOfMemoryError as exc:
                refusal = refusal or (None if script.frees else exc)
            except ResponseError as exc:
                place = "" if name in ("EVALSHA", "EVAL", "TIME") else next(iter(rest), "")
                refusal = refusal or with_command(exc, name, place)
        if refusal is not None:
            raise refusal
    except BaseException:
        # The next user of the connection must not get outstanding replies.
        connection.disconnect()
        raise
    finally:
        pool.release(connection)


def check_exec(client: redis.Redis) -> None:
    """Raise Redis's error if it refuses EXEC. `check` cannot find that, because it ends its transaction with
    DISCARD."""
    try:
        client.execute_command("EXEC")  # type: ignore[no-untyped-call]
    except (NoPermissionError, ExecAbortError):
        raise
    except ResponseError:
        # Redis replies this if no transaction was begun, so EXEC is allowed.
        return


class Preflight:
    """Checks each kind of change once per queue, until `reset`."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        self._allowed: set[tuple[str, str]] = set()

    def reset(self) -> None:
        """Forget which changes are allowed, so that each is checked again."""
        self._allowed.clear()

    def require(self, script: Script, queue: str, keys: Sequence[bytes], variant: str = "") -> None:
        """Check a script, unless the same kind of change of this queue was already allowed. Raises the same
        errors as `check`."""
        if (script.name + variant, queue) not in self._allowed:
            check(self._redis, script, keys, variant)
            self._allowed.add((script.name + variant, queue))
