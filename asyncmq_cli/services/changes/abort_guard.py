"""Stop a bulk retry when too many of the retried jobs fail again."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from asyncmq_cli.errors import AdminError, command_line
from asyncmq_cli.models.values import DEAD_STATES, chunked

if TYPE_CHECKING:
    from asyncmq_cli.storage.store import Store

_POLL_EVERY = 1.0
"""Seconds. Each poll costs one round trip per thousand unfinished jobs."""


class TooManyFailures(AdminError):
    """More of the retried jobs failed again than was allowed."""

    code = "aborted"


class AbortGuard:
    """Polls the states of retried jobs. `share` (0 to 1) of the finished ones may fail again.

    A job that fails with retries left is delayed, so it has not finished.
    """

    def __init__(self, store: Store, queue: str, share: float) -> None:
        self._store = store
        self._queue = queue
        self._share = share
        self._running: list[str] = []
        self._finished = self._failed = 0
        self._next_poll = time.monotonic() + _POLL_EVERY

    def __call__(self, retried: Sequence[str]) -> None:
        """Watch these jobs too, and poll when it is due. Raises TooManyFailures."""
        self._running.extend(retried)
        if time.monotonic() < self._next_poll:
            return
        self.poll()
        self._next_poll = time.monotonic() + _POLL_EVERY

    def poll(self) -> None:
        """Read the states of the unfinished jobs. Raises TooManyFailures."""
        running: list[str] = []
        for piece in chunked(self._running):
            for job_id, state in zip(piece, self._store.jobs.states(self._queue, piece), strict=True):
                if state in ("completed", *DEAD_STATES):
                    self._finished += 1
                    self._failed += state != "completed"
                elif state is not None:
                    running.append(job_id)
        self._running = running
        if self._finished and self._failed / self._finished > self._share:
            failed = f"{self._failed:,} of the {self._finished:,}"
            raise TooManyFailures(
                f"stopped: {failed} retried jobs that finished failed again",
                hint=f"{command_line('dlq', 'groups', self._queue)} shows why",
                details={"finished": self._finished, "failed": self._failed},
            )
