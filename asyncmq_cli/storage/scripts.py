"""The Lua scripts, and running them. Each file says what its KEYS, ARGV and return codes are."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from importlib import resources
from typing import Any

import redis
from redis.exceptions import NoScriptError


class Script:
    def __init__(self, name: str) -> None:
        self.name = name

    @cached_property
    def source(self) -> str:
        folder = resources.files(__package__) / "lua"
        return "\n".join((folder / f"{name}.lua").read_text("utf-8") for name in ("prelude", self.name))

    @cached_property
    def sha(self) -> str:
        # Redis names a script by this digest; nothing is kept secret by it.
        return hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()


RETRY = Script("retry")
REMOVE = Script("remove")
CANCEL = Script("cancel")
PAUSE = Script("pause")
RESUME = Script("resume")
RECORD_EVENT = Script("record_event")


class Scripts:
    def __init__(self, client: redis.Redis) -> None:
        self._redis = client

    def run(self, script: Script, keys: Sequence[bytes], args: Sequence[Any]) -> list[int]:
        """The script's return value: a code, and for some codes a number with it."""
        try:
            reply = self._redis.evalsha(script.sha, len(keys), *keys, *args)
        except NoScriptError:
            # Redis does not know it yet, or has forgotten it; it has not run.
            reply = self._redis.eval(script.source, len(keys), *keys, *args)
        return [int(part) for part in reply]
