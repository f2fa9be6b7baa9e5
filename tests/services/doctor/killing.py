"""Operations of the library that are ended by SIGKILL after their n-th command to Redis."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import redis.asyncio.client as client_module
from asyncmq.backends.redis import RedisBackend

from tests.support import library

Use = Callable[[RedisBackend], Awaitable[Any]]


def killed_after(url: str, commands: int, use: Use) -> bool:
    """Whether the operation was killed; False if it has no more commands than that."""
    child = os.fork()
    if child == 0:
        _run_and_die(url, commands, use)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.waitstatus_to_exitcode(status) == 0
    return False


def _run_and_die(url: str, commands: int, use: Use) -> None:
    left = commands

    def count(answer: Any) -> Any:
        nonlocal left
        left -= 1
        if left <= 0:
            # The answer has come: Redis has done all that it was sent until now.
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    plain, piped = client_module.Redis.execute_command, client_module.Pipeline.execute

    async def execute_command(self: Any, *args: Any, **options: Any) -> Any:
        return count(await plain(self, *args, **options))

    async def execute(self: Any, raise_on_error: bool = True) -> Any:
        return count(await piped(self, raise_on_error))

    client_module.Redis.execute_command = execute_command  # type: ignore[method-assign]
    client_module.Pipeline.execute = execute  # type: ignore[method-assign]
    code = 1
    try:
        library.with_backend(url, use)
        code = 0
    finally:
        os._exit(code)
