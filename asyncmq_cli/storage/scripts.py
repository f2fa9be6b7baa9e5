"""The Lua scripts, and running them. Each file says what its KEYS, ARGV and return codes are."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from typing import Any

import redis
from redis.exceptions import NoScriptError, RedisError

from asyncmq_cli.storage.replies import return_codes

# The return codes that every script has; each has its own beside them, which its header gives.
DONE = 1
WRONG_TYPE = -9
"""With the number of the key among KEYS."""


class Script:
    """`name`.lua with what it builds upon in front of it."""

    def __init__(self, name: str, *bases: str) -> None:
        self.name = name
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
REMOVE = Script("remove")
RESTORE = Script("restore")
CANCEL = Script("cancel")
PAUSE = Script("pause")
RESUME = Script("resume")
REPEATABLE_REPLACE = Script("repeatable_replace")
REPAIR_ENQUEUE = Script("repair_enqueue", "repair")
REPAIR_LIST = Script("repair_list", "repair")
REPAIR_FORGET = Script("repair_forget", "repair")
REPAIR_DROP = Script("repair_drop", "repair")
RECORD_EVENT = Script("record_event")
RECORD_SNAPSHOT = Script("record_snapshot")


@dataclass(frozen=True, slots=True)
class Call:
    """A script with what it is to be run on. A `manner` is one in which it needs further rights."""

    script: Script
    keys: Sequence[bytes]
    args: Sequence[Any]
    manner: str = ""

    @property
    def size(self) -> int:
        """About how many bytes it sends."""
        return sum(len(arg) for arg in self.args if isinstance(arg, str | bytes))


class Scripts:
    """Runs scripts, by their digest where Redis knows them."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        self._known: set[str] = set()

    def run_together(self, calls: Sequence[Call]) -> list[list[int] | RedisError]:
        """Run the calls in one transaction: nothing of anybody else's comes between them.

        A call that Redis refuses does not undo the others, so each has a reply or an error.
        """
        pipe: Any = self._redis.pipeline(transaction=len(calls) > 1)
        for call in calls:
            # The first time the script itself is sent, which makes it known to Redis.
            known = call.script.name in self._known
            named = ("EVALSHA", call.script.sha) if known else ("EVAL", call.script.source)
            pipe.execute_command(*named, len(call.keys), *call.keys, *call.args)
            self._known.add(call.script.name)
        replies = pipe.execute(raise_on_error=False)
        return [self._settled(call, reply) for call, reply in zip(calls, replies, strict=True)]

    def _settled(self, call: Call, reply: Any) -> list[int] | RedisError:
        if isinstance(reply, NoScriptError):
            # Redis has forgotten the script meanwhile; it has not run.
            return self.run(call.script, call.keys, call.args)
        return reply if isinstance(reply, RedisError) else return_codes(reply)

    def run(self, script: Script, keys: Sequence[bytes], args: Sequence[Any]) -> list[int]:
        """The script's return value: a code, and for some codes a number with it."""
        try:
            reply = self._redis.evalsha(script.sha, len(keys), *keys, *args)
        except NoScriptError:
            # Redis does not know it yet, or has forgotten it; it has not run.
            reply = self._redis.eval(script.source, len(keys), *keys, *args)
        return return_codes(reply)
