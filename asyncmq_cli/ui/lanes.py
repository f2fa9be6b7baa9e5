"""Threads in which the services run, so that the screen reacts to keys while Redis is slow."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from asyncmq_cli.cli.session import Session

T = TypeVar("T")

SOURCE = "ui"
"""The `source` in the audit events of changes on this screen."""


class Lane:
    """A thread with its own session and connection. Its calls run one after the other. The thread is a
    daemon, so that the program can end even if Redis does not reply.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        threading.Thread(target=self._serve, daemon=True).start()

    async def call(self, work: Callable[[Session], T]) -> T:
        """Call `work` in the thread and return its value. Raises its exceptions; an error of Redis is raised
        as RedisProblem."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def run() -> None:
            value: Any = None
            error: BaseException | None = None
            try:
                with self.session.store.errors():
                    value = work(self.session)
            except BaseException as exc:
                error = exc
            # If the program has ended in the meantime, the loop is closed.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(_settle, answer, value, error)

        self._calls.put(run)
        return await answer

    @property
    def jobs_read(self) -> int:
        """The number of jobs that its lists have read so far."""
        return self.session.store.jobs.read if "store" in self.session.__dict__ else 0

    def halt(self) -> None:
        """Make all running and later calls raise Halted. Do not use it for changes."""
        if "store" in self.session.__dict__:
            self.session.store.halt()

    def close(self) -> None:
        """End the thread and close its connection after the current call."""
        self._calls.put(None)

    def _serve(self) -> None:
        while (call := self._calls.get()) is not None:
            call()
        if "store" in self.session.__dict__:
            self.session.store.close()


def _settle(answer: asyncio.Future[Any], value: Any, error: BaseException | None) -> None:
    if answer.done():
        return
    if error is not None:
        answer.set_exception(error)
    else:
        answer.set_result(value)


class Lanes:
    """A pool of lanes for concurrent reads. Each read uses a free lane, or a new one."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._free: list[Lane] = []
        self._every: list[Lane] = []

    def new(self) -> Lane:
        """A lane for a single caller, which must close it."""
        return Lane(self._session.twin(source=SOURCE))

    async def call(self, work: Callable[[Session], T]) -> T:
        """The same as Lane.call, on a free lane."""
        lane = self._free.pop() if self._free else self._opened()
        try:
            return await lane.call(work)
        finally:
            self._free.append(lane)

    def _opened(self) -> Lane:
        lane = self.new()
        self._every.append(lane)
        return lane

    def close(self) -> None:
        """Close every lane."""
        for lane in self._every:
            lane.close()
