"""The values that the library's own dashboard reports, from its controllers, without a web server."""

from __future__ import annotations

import json
from typing import Any

from asyncmq import monkay
from asyncmq.backends.redis import RedisBackend
from asyncmq.contrib.dashboard.controllers._counts import aggregate_counts
from asyncmq.contrib.dashboard.controllers.metrics import (
    MetricsHistoryController,
    PrometheusMetricsController,
)
from asyncmq.contrib.dashboard.controllers.sse import SSEController

from tests.support import library


def events(url: str) -> dict[str, Any]:
    """One round of its server-sent events: the data by name, in order."""

    async def ask(opened: RedisBackend) -> dict[str, Any]:
        monkay.settings.backend = opened
        response = await SSEController.get(object.__new__(SSEController), None)
        found: dict[str, Any] = {}
        async for chunk in response.body_iterator:
            text = chunk if isinstance(chunk, str) else bytes(chunk).decode()
            name, data = text.split("\n")[:2]
            found[name.removeprefix("event: ")] = json.loads(data.removeprefix("data: "))
            if len(found) == 7:
                break
        await response.body_iterator.aclose()
        return found

    return library.with_backend(url, ask)


def totals(url: str, queues: list[str]) -> dict[str, int]:
    """The totals of the overview and of the metrics page."""

    async def ask(opened: RedisBackend) -> dict[str, int]:
        return await aggregate_counts(opened, queues)

    return library.with_backend(url, ask)


def exposition(url: str) -> str:
    async def ask(opened: RedisBackend) -> str:
        monkay.settings.backend = opened
        response = await PrometheusMetricsController.get(object.__new__(PrometheusMetricsController), None)
        return bytes(response.body).decode()

    return library.with_backend(url, ask)


def history(url: str) -> list[dict[str, Any]]:
    """The history of the dashboard in this process; each round of events adds a snapshot."""

    class Request:
        query_params: dict[str, str] = {}  # noqa: RUF012

    async def ask(opened: RedisBackend) -> list[dict[str, Any]]:
        response = await MetricsHistoryController.get(object.__new__(MetricsHistoryController), Request())
        rows: list[dict[str, Any]] = json.loads(bytes(response.body))["history"]
        return rows

    return library.with_backend(url, ask)
