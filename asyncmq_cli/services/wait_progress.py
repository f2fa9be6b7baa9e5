"""How far what is waited for has come, and how fast it comes."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from asyncmq_cli.models.waits import Standing

if TYPE_CHECKING:
    from asyncmq_cli.services.wait_goals import Look

_RATE_OVER = 30.0
"""Seconds over which the rate is taken."""


class Progress:
    """From looks to a standing: how many there have been at most, and how fast they become fewer."""

    def __init__(self, total: int = 0) -> None:
        self._total = total
        self._looks: deque[tuple[float, int]] = deque()

    def standing(self, look: Look, moment: float) -> Standing:
        """Where it stands at this look; `moment` is seconds on a clock that is never set."""
        self._total = max(self._total, look.left)
        self._looks.append((moment, look.left))
        while moment - self._looks[0][0] > _RATE_OVER:
            self._looks.popleft()
        since, before = self._looks[0]
        fewer = before - look.left
        rate = fewer / (moment - since) if fewer > 0 and moment > since else None
        return Standing(
            left=look.left,
            total=self._total,
            waiting=look.waiting,
            delayed_due=look.delayed_due,
            active=look.active,
            rate=rate,
            seconds_left=None if rate is None else look.left / rate,
        )
