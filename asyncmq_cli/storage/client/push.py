"""Subscribe to the events that AsyncMQ publishes. Source: `emit_event` in asyncmq.backends.redis."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import redis
from redis.exceptions import TimeoutError as RedisTimeoutError

from asyncmq_cli.models.monitoring.snapshots import RuntimeEvent
from asyncmq_cli.models.values import as_number
from asyncmq_cli.storage.schema.codec import CorruptData, loads
from asyncmq_cli.storage.schema.keys import EVENTS_CHANNEL


class RuntimeEvents:
    """A subscription on its own connection. `connect` returns a client that subscribes. `warn` is called for
    every message that cannot be read. `patience` is the timeout for subscribing, in seconds."""

    def __init__(
        self, connect: Callable[[], redis.Redis], warn: Callable[[str], None], patience: float
    ) -> None:
        self._connect = connect
        self._warn = warn
        self._patience = patience
        self._client: redis.Redis | None = None
        self._pubsub: Any = None

    def open(self) -> None:
        """Subscribe, unless already subscribed. No message that is published later is lost. Raises
        redis.TimeoutError."""
        if self._pubsub is not None:
            return
        self._client = self._connect()
        self._pubsub = self._client.pubsub()  # type: ignore[no-untyped-call]
        self._pubsub.subscribe(EVENTS_CHANNEL)
        # Wait until Redis has confirmed the subscription, or refused it.
        if self._pubsub.get_message(timeout=self._patience) is None:
            raise RedisTimeoutError

    def until(self, deadline: float) -> Iterator[RuntimeEvent]:
        """Yield the events that arrive before `deadline`, a time of time.monotonic."""
        while (left := deadline - time.monotonic()) > 0:
            message = self._pubsub.get_message(timeout=left)
            if message is not None and message["type"] == "message":
                event = self._decoded(message["data"])
                if event is not None:
                    yield event

    def close(self) -> None:
        """Unsubscribe. `open` may be called again."""
        if self._pubsub is not None:
            self._pubsub.close()
        if self._client is not None:
            self._client.close()
        self._client = self._pubsub = None

    def _decoded(self, data: bytes) -> RuntimeEvent | None:
        try:
            body = loads(data)
        except CorruptData as exc:
            self._warn(f"a message on {EVENTS_CHANNEL.decode()} is not an event: {exc}")
            return None
        if not isinstance(body, dict) or "event" not in body:
            self._warn(f"a message on {EVENTS_CHANNEL.decode()} is not an event")
            return None
        return RuntimeEvent(str(body["event"]), body.get("data"), as_number(body.get("ts")))
