"""Load and run the Lua scripts. The header of each file defines its KEYS, ARGV and return codes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import cached_property
from importlib import resources
from typing import Any

import redis
from msgspec import Struct
from redis.exceptions import (
    ExecAbortError,
    InvalidResponse,
    NoScriptError,
    OutOfMemoryError,
    RedisError,
    ResponseError,
)

from asyncmq_cli.storage.client.connection import PipelinedConnection, pack
from asyncmq_cli.storage.client.replies import return_codes

# The return codes that all scripts share. Each script's header defines the others.
DONE = 1
WRONG_TYPE = -9
"""Followed by the index of the key in KEYS."""


class Script:
    """The script `name`.lua, with the prelude and its bases before it. A script that `frees` memory, directly
    or indirectly, can run while Redis is out of memory, but not in a transaction. A script that only
    `records` a snapshot changes no key of AsyncMQ."""

    def __init__(self, name: str, *bases: str, frees: bool = False, records: bool = False) -> None:
        self.name = name
        self.records = records
        self.frees = frees
        self._parts = ("prelude", *bases, name)

    @cached_property
    def source(self) -> str:
        """The Lua text that is sent."""
        folder = resources.files(__package__) / "lua"
        return "\n".join((folder / f"{name}.lua").read_text("utf-8") for name in self._parts)

    @cached_property
    def sha(self) -> str:
        """The digest by which Redis identifies the script."""
        # Redis identifies a script by its SHA-1; this is not for security.
        return hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()


ADD = Script("add")
RETRY = Script("retry")
REMOVE = Script("remove", frees=True)
RESTORE = Script("restore")
EDIT = Script("edit")
UNRETRY = Script("unretry")
CANCEL = Script("cancel")
PAUSE = Script("pause", frees=True)
RESUME = Script("resume", frees=True)
QUEUE_FORGET = Script("queue_forget", frees=True)
QUEUE_CLEAR = Script("queue_clear", frees=True)
QUEUE_PUT = Script("queue_put")
WORKER_FORGET = Script("worker_forget", frees=True)
REPEATABLE_REPLACE = Script("repeatable_replace", frees=True)
REPAIR_ENQUEUE = Script("repair_enqueue", "repair")
REPAIR_LIST = Script("repair_list", "repair")
REPAIR_FORGET = Script("repair_forget", "repair", frees=True)
REPAIR_DROP = Script("repair_drop", "repair", frees=True)
RECORD_EVENT = Script("record_event")
RECORD_SNAPSHOT = Script("record_snapshot", records=True)


class Call(Struct, frozen=True):
    """A call of a script with its keys and arguments. `variant` names a form of the script that needs other
    rights."""

    script: Script
    keys: Sequence[bytes]
    args: Sequence[Any]
    variant: str = ""

    @property
    def size(self) -> int:
        """The approximate number of bytes to send."""
        return sum(len(arg) for arg in self.args if isinstance(arg, str | bytes))


class Sent:
    """Commands that were sent together, on a connection that is reserved until their replies are received."""

    def __init__(
        self, client: redis.Redis, commands: Sequence[bytes], *, in_transaction: bool = True
    ) -> None:
        self._count = len(commands)
        self._in_transaction = in_transaction and self._count > 1
        with ExitStack() as stack:
            self._connection = stack.enter_context(PipelinedConnection(client))
            together = [pack(b"MULTI"), *commands, pack(b"EXEC")] if self._in_transaction else commands
            self._connection.send(*((b"", command) for command in together))
            self._open = stack.pop_all()

    def receive(self) -> list[Any]:
        """The replies. If Redis refused a command, its reply is a RedisError. Raises RedisError if no command
        was executed."""
        with self._open:
            if not self._in_transaction:
                return [self._receive() for _ in range(self._count)]
            begun, *queued = [self._receive() for _ in range(self._count + 1)]
            if isinstance(begun, RedisError):
                # MULTI was refused, so each command ran on its own.
                self._receive()
                return queued
            refusals = [reply for reply in queued if isinstance(reply, RedisError)]
            try:
                replies = self._connection.receive()
            except ExecAbortError as exc:
                # The error of the command that was queued says why.
                raise (refusals or [exc])[0] from exc
            if len(replies) != self._count:
                raise InvalidResponse("the reply to EXEC is none")
            return list(replies)

    def _receive(self) -> Any:
        return self._connection.receive(keep=ResponseError)


class Scripts:
    """Runs scripts, by their digest if Redis knows them. `permit` is called before each script, and may
    raise."""

    def __init__(self, client: redis.Redis, permit: Callable[[Script], None] = lambda script: None) -> None:
        self._redis = client
        self._permit = permit
        self._known: set[str] = set()

    def send_together(self, calls: Sequence[Call]) -> Sent:
        """Send the calls in one transaction, so that no other client's command runs between them.

        A call that Redis refuses does not undo the others: each has its own reply or error.
        """
        return Sent(self._redis, [self._packed(call) for call in calls])

    def replies(self, calls: Sequence[Call], sent: Sent) -> list[list[int] | RedisError]:
        """Receive the reply, or the error, of each call that was sent."""
        try:
            received = sent.receive()
        except OutOfMemoryError:
            if not all(call.script.frees for call in calls):
                raise
            # If Redis is out of memory, it refuses a transaction, but runs these scripts one by one.
            commands = [self._packed(call) for call in calls]
            received = Sent(self._redis, commands, in_transaction=False).receive()
        return [self._settled(call, reply) for call, reply in zip(calls, received, strict=True)]

    def _packed(self, call: Call) -> bytes:
        self._permit(call.script)
        # The first call sends the script itself, which Redis then caches.
        known = call.script.name in self._known
        named = (b"EVALSHA", call.script.sha) if known else (b"EVAL", call.script.source)
        self._known.add(call.script.name)
        return pack(*named, len(call.keys), *call.keys, *call.args)

    def _settled(self, call: Call, reply: Any) -> list[int] | RedisError:
        if isinstance(reply, NoScriptError):
            # Redis no longer has the script, so it has not run.
            try:
                return self.run(call.script, call.keys, call.args)
            except ResponseError as exc:
                # Return the error, because the other replies must still be returned.
                return exc
        return reply if isinstance(reply, RedisError) else return_codes(reply)

    def run(self, script: Script, keys: Sequence[bytes], args: Sequence[Any]) -> list[int]:
        """Run a script now. Returns its code, followed by a number for some codes."""
        self._permit(script)
        try:
            reply = self._redis.evalsha(script.sha, len(keys), *keys, *args)
        except NoScriptError:
            # Redis does not have the script, so it has not run.
            reply = self._redis.eval(script.source, len(keys), *keys, *args)
        return return_codes(reply)
