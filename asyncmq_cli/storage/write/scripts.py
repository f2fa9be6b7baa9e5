"""The Lua scripts, and running them. Each file says what its KEYS, ARGV and return codes are."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from typing import Any

import redis
from redis.exceptions import (
    ExecAbortError,
    InvalidResponse,
    NoScriptError,
    OutOfMemoryError,
    RedisError,
    ResponseError,
)

from asyncmq_cli.storage.client.pipeline import PipelinedConnection, pack
from asyncmq_cli.storage.client.replies import return_codes

# The return codes that every script has; each has its own beside them, which its header gives.
DONE = 1
WRONG_TYPE = -9
"""With the number of the key among KEYS."""


class Script:
    """`name`.lua with what it builds upon in front of it. One that `frees` memory, or helps to, is taken by a
    Redis that is out of it, outside of a transaction."""

    def __init__(self, name: str, *bases: str, frees: bool = False) -> None:
        self.name = name
        self.frees = frees
        self._parts = ("prelude", *bases, name)

    @cached_property
    def source(self) -> str:
        """The Lua text, as it is sent."""
        folder = resources.files(__package__) / "lua"
        return "\n".join((folder / f"{name}.lua").read_text("utf-8") for name in self._parts)

    @cached_property
    def sha(self) -> str:
        """The name that Redis gives the text."""
        # Redis names a script by this digest; nothing is kept secret by it.
        return hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()


RETRY = Script("retry")
REMOVE = Script("remove", frees=True)
RESTORE = Script("restore")
CANCEL = Script("cancel")
PAUSE = Script("pause", frees=True)
RESUME = Script("resume", frees=True)
QUEUE_FORGET = Script("queue_forget", frees=True)
WORKER_FORGET = Script("worker_forget", frees=True)
REPEATABLE_REPLACE = Script("repeatable_replace", frees=True)
REPAIR_ENQUEUE = Script("repair_enqueue", "repair")
REPAIR_LIST = Script("repair_list", "repair")
REPAIR_FORGET = Script("repair_forget", "repair", frees=True)
REPAIR_DROP = Script("repair_drop", "repair", frees=True)
RECORD_EVENT = Script("record_event")
RECORD_SNAPSHOT = Script("record_snapshot")


@dataclass(frozen=True, slots=True)
class Call:
    """A script with what it is to be run on. A `variant` is one in which it needs further rights."""

    script: Script
    keys: Sequence[bytes]
    args: Sequence[Any]
    variant: str = ""

    @property
    def size(self) -> int:
        """About how many bytes it sends."""
        return sum(len(arg) for arg in self.args if isinstance(arg, str | bytes))


class Sent:
    """Commands that Redis works on together, on a connection that nobody else uses until their replies
    are received."""

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
        """The replies, an error in the place of each that there is none of. Raises RedisError where none
        of the commands was carried out."""
        with self._open:
            if not self._in_transaction:
                return [self._receive() for _ in range(self._count)]
            begun, *queued = [self._receive() for _ in range(self._count + 1)]
            if isinstance(begun, RedisError):
                # Without a transaction each was carried out by itself.
                self._receive()
                return queued
            refusals = [reply for reply in queued if isinstance(reply, RedisError)]
            try:
                replies = self._connection.receive()
            except ExecAbortError as exc:
                # It does not say why.
                raise (refusals or [exc])[0] from exc
            if len(replies) != self._count:
                raise InvalidResponse("the reply to EXEC is none")
            return list(replies)

    def _receive(self) -> Any:
        return self._connection.receive(keep=ResponseError)


class Scripts:
    """Runs scripts, by their digest where Redis knows them."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        self._known: set[str] = set()

    def send_together(self, calls: Sequence[Call]) -> Sent:
        """Have the calls run in one transaction: nothing of anybody else's comes between them.

        A call that Redis refuses does not undo the others, so each has a reply or an error.
        """
        return Sent(self._redis, [self._packed(call) for call in calls])

    def replies(self, calls: Sequence[Call], sent: Sent) -> list[list[int] | RedisError]:
        """What became of the calls that were sent, once it is known."""
        try:
            received = sent.receive()
        except OutOfMemoryError:
            if not all(call.script.frees for call in calls):
                raise
            # Out of memory, Redis begins no transaction, but takes these one by one.
            commands = [self._packed(call) for call in calls]
            received = Sent(self._redis, commands, in_transaction=False).receive()
        return [self._settled(call, reply) for call, reply in zip(calls, received, strict=True)]

    def _packed(self, call: Call) -> bytes:
        # The first time the script itself is sent, which makes it known to Redis.
        known = call.script.name in self._known
        named = (b"EVALSHA", call.script.sha) if known else (b"EVAL", call.script.source)
        self._known.add(call.script.name)
        return pack(*named, len(call.keys), *call.keys, *call.args)

    def _settled(self, call: Call, reply: Any) -> list[int] | RedisError:
        if isinstance(reply, NoScriptError):
            # Redis has forgotten the script meanwhile; it has not run.
            try:
                return self.run(call.script, call.keys, call.args)
            except ResponseError as exc:
                # What became of the others is still to be told.
                return exc
        return reply if isinstance(reply, RedisError) else return_codes(reply)

    def run(self, script: Script, keys: Sequence[bytes], args: Sequence[Any]) -> list[int]:
        """The script's return value: a code, and for some codes a number with it."""
        try:
            reply = self._redis.evalsha(script.sha, len(keys), *keys, *args)
        except NoScriptError:
            # Redis does not know it yet, or has forgotten it; it has not run.
            reply = self._redis.eval(script.source, len(keys), *keys, *args)
        return return_codes(reply)
