"""What Prometheus is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from asyncmq_cli.errors import RedisProblem
from asyncmq_cli.services.poller import Poller

if TYPE_CHECKING:
    from asyncmq_cli.models.queues import QueueStats
    from asyncmq_cli.storage.store import Store


@dataclass(frozen=True, slots=True)
class Scrape:
    """`stats` is None where Redis could not be read, and `error` says why."""

    stats: Sequence[QueueStats] | None
    error: RedisProblem | None = None


class PrometheusService:
    """What a scrape reads."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def scrape(self) -> Scrape:
        """Does not raise RedisProblem: that Redis cannot be read is what a monitor wants to hear."""
        try:
            with self._store.errors():
                return Scrape(Poller(self._store).read().stats)
        except RedisProblem as exc:
            return Scrape(None, exc)
