"""The text exposition for Prometheus, made with its own client library."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from asyncmq_cli.output.pictures import DISTRIBUTION

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from asyncmq_cli.models.queues import QueueStats

_Label = tuple[str, ...]
_BYTE = re.compile(r"[\udc80-\udcff]|\\x[0-9a-f]{2}")


def exposition(stats: Sequence[QueueStats] | None) -> bytes:
    """All metrics; only that the tool is not ready where `stats` is None. A value that could not be
    read has no sample, because a zero would be one."""
    from prometheus_client import CollectorRegistry
    from prometheus_client.exposition import generate_latest

    registry = CollectorRegistry()
    _gauge(
        registry,
        "asyncmq_dashboard_ready",
        "1 when the queues could be read, else 0.",
        [((), 0 if stats is None else 1)],
    )
    if stats is not None:
        _queues(registry, stats)
    return generate_latest(registry)


def _queues(registry: CollectorRegistry, stats: Sequence[QueueStats]) -> None:
    workers = [row.workers for row in stats]
    _gauge(registry, "asyncmq_queue_total", "Number of queues.", [((), len(stats))])
    if None not in workers:
        total = sum(count or 0 for count in workers)
        _gauge(registry, "asyncmq_worker_total", "Number of live workers.", [((), total)])
    _gauge(
        registry,
        "asyncmq_queue_jobs",
        "Number of jobs by queue and state.",
        (
            ((_name(row), state), getattr(row, state.replace("-", "_")))
            for row in stats
            for state in DISTRIBUTION
        ),
        ("queue", "state"),
    )
    _gauge(
        registry,
        "asyncmq_queue_workers",
        "Number of live workers of the queue.",
        (((_name(row),), row.workers) for row in stats),
        ("queue",),
    )
    _gauge(
        registry,
        "asyncmq_queue_paused",
        "1 while the queue is paused, else 0.",
        (((_name(row),), int(row.paused)) for row in stats),
        ("queue",),
    )
    _gauge(
        registry,
        "asyncmq_queue_oldest_waiting_seconds",
        "Age of the oldest waiting job in seconds; 0 while nothing waits.",
        (((_name(row),), 0.0 if row.waiting == 0 else row.oldest_waiting_seconds) for row in stats),
        ("queue",),
    )


def _gauge(
    registry: CollectorRegistry,
    name: str,
    help_text: str,
    samples: Iterable[tuple[_Label, float | None]],
    labels: Sequence[str] = (),
) -> None:
    from prometheus_client import Gauge

    gauge = Gauge(name, help_text, labels, registry=registry)
    for values, value in samples:
        if value is not None:
            (gauge.labels(*values) if labels else gauge).set(value)


def _name(row: QueueStats) -> str:
    """As it is, for whoever compares it with the dashboard's; but a byte that is not UTF-8 as `\\xff`. The
    backslashes of such a name, and of one that has these letters itself, are doubled: two queues are
    never one series."""
    name = row.name
    if _BYTE.search(name) is None:
        return name
    doubled = name.replace("\\", "\\\\")
    return doubled.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
