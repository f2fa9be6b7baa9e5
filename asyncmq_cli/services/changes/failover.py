"""Continue a run of changes after a Sentinel failover.

Only the data of the new primary counts. It has a change and its audit event together, or neither. So its
audit trail shows which changes were made, and the others are repeated.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from asyncmq_cli.errors import RedisProblem

if TYPE_CHECKING:
    from asyncmq_cli.services.changes.runner import Attempt, Stop
    from asyncmq_cli.storage.store import Store

PATIENCE = 60.0
"""Seconds that the Sentinels have to promote a replica: they take `down-after-milliseconds` and more."""
REMEMBERED = 10_000
"""How many of the last changes are checked; a replica lags by far fewer."""
CLOCKS = 5.0
"""Seconds by which the clocks of the two servers may differ."""
_POLL_EVERY = 0.2
_AWAY = ("unreachable", "timeout", "readonly", "loading", "master_down", "no_replicas")
_LOST = frozenset(f"redis_{code}" for code in _AWAY)


class Failover:
    """The state that a run of changes needs to survive a failover. `made` are its last changes that Redis has
    confirmed; they are remembered only where there are Sentinels."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._primary = store.primary
        self.made: deque[Attempt] = deque(maxlen=REMEMBERED)

    def remember(self, attempts: Sequence[Attempt]) -> None:
        if self._store.config.address.sentinels:
            self.made.extend(attempts)

    def has_happened(self) -> bool:
        """Whether another primary is in use than when this was last asked."""
        before, self._primary = self._primary, self._store.primary
        return before not in (None, self._primary)

    def follow(self, problem: RedisProblem, stop: Stop) -> None:
        """Wait until the Sentinels name another primary that answers. Raises the problem if none is named
        in time, if the old one still works, or if a failover cannot solve the problem."""
        if self._primary is None or problem.code not in _LOST:
            raise problem
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            try:
                with self._store.errors():
                    self._store.ask_for_primary()
                    self._store.now()
            except RedisProblem:
                stop.wait(_POLL_EVERY)
                continue
            if self.has_happened():
                return
            if problem.code != "redis_readonly":
                # Only the connection was cut: what was sent may still arrive.
                break
            stop.wait(_POLL_EVERY)
        raise problem
