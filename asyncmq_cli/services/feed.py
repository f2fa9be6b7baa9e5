"""Looking again and again, also when Redis goes away in between."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from asyncmq_cli.errors import RedisProblem

if TYPE_CHECKING:
    from asyncmq_cli.storage.store import Store

T = TypeVar("T")

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 30.0


@dataclass(frozen=True, slots=True)
class Outage:
    """Redis did not answer. `pause` is in how many seconds it is worth trying again."""

    error: RedisProblem
    pause: float


class Feed(Generic[T]):
    """`look` is what is done each time, and `forget` what is done when it failed."""

    def __init__(
        self, store: Store, look: Callable[[], T], forget: Callable[[], None], *, retry: bool = True
    ) -> None:
        self._store = store
        self._look = look
        self._forget = forget
        self._retry = retry
        self._pause = _FIRST_PAUSE
        self._cost = 0.0
        self._has_succeeded = False

    def first(self) -> T:
        """Raises RedisProblem: nothing has gone away, but something is wrong with where Redis is said
        to be."""
        began = time.monotonic()
        with self._store.errors():
            found = self._look()
        self._cost = time.monotonic() - began
        self._pause = _FIRST_PAUSE
        self._has_succeeded = True
        return found

    def next(self) -> T | Outage:
        """Raises RedisProblem for what does not pass by itself, and as `first` until it succeeded."""
        try:
            return self.first()
        except RedisProblem as exc:
            self._forget()
            if not (self._retry and self._has_succeeded and exc.may_pass):
                raise
            outage = Outage(exc, self._pause)
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)
            return outage

    def rest(self, interval: float) -> float:
        """Seconds until the next look: as asked for, but Redis is left in peace half of the time."""
        return max(interval - self._cost, self._cost)
