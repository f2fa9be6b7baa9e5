"""Write metrics for Prometheus: of a single read, or of the exporter, which reads repeatedly.

A value that could not be read has no sample, because 0 would be a valid value.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from asyncmq_cli.models.values import chunked
from asyncmq_cli.output.json.snapshots import DISTRIBUTION
from asyncmq_cli.output.redaction.redact import redact_text

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric

    from asyncmq_cli.models.monitoring.snapshots import ExporterState, Snapshot
    from asyncmq_cli.models.queues import QueueStats

    _OfRows = Callable[[Sequence[QueueStats]], Metric]
    _Value = Callable[[QueueStats], float | None]
    _Family = Metric | _OfRows
    """A family of samples, or a function that makes one from the rows of some queues."""
    _Encode = Callable[[CollectorRegistry], bytes]

_ROWS_AT_A_TIME = 1000
_END = b"# EOF\n"
"""The last line of OpenMetrics."""
_Samples = Iterable[tuple[tuple[str, ...], float | None]]
_UNWRITABLE = re.compile(r"[\ud800-\udfff]|\\x[0-9a-f]{2}")
_NO_BYTE = re.compile(r"[\ud800-\udc7f\udd00-\udfff]")
"""A lone surrogate that does not stand for a byte, because it comes from a JSON escape."""
_BY_CLAIMS = {
    "lost": ("asyncmq_queue_stuck_claims", "Number of active jobs that have lost their worker."),
    "silent": (
        "asyncmq_queue_silent_claims",
        "Number of active jobs claimed before a worker went silent while others stayed alive.",
    ),
    "overdue": ("asyncmq_queue_overdue_schedules", "Number of repeatables that are over a minute late."),
}
"""By kind of problem, the name and help text of its metric."""


def exposition(stats: Sequence[QueueStats] | None) -> Iterator[bytes]:
    """The text of a single read, in pieces. If `stats` is None, it has only `asyncmq_dashboard_ready 0`."""
    yield from _written(_of_look(stats), stats or (), None)


def exporter_text(state: ExporterState, encode: _Encode) -> Iterator[bytes]:
    """The text of the exporter's state, in pieces, written by one of prometheus_client's encoders."""
    stats = None if state.snapshot is None else state.snapshot.stats
    return _written(_of_exporter(state), stats or (), encode)


def _written(
    families: Iterable[_Family], stats: Sequence[QueueStats], encode: _Encode | None
) -> Iterator[bytes]:
    from prometheus_client.exposition import generate_latest

    written = encode or generate_latest
    end = b""
    for family in families:
        # A sample in memory takes twenty times as much as its text, so write a few rows at a time.
        groups = chunked(stats, _ROWS_AT_A_TIME) if callable(family) and stats else [[]]
        for number, rows in enumerate(groups):
            metric = family(rows) if callable(family) else family
            text = written(_registry(metric))
            if text.endswith(_END):
                text, end = text.removesuffix(_END), _END
            # The help and the type are written only once, before all samples.
            yield text.split(b"\n", 2)[2] if number else text
    yield end


def _registry(metric: Metric) -> CollectorRegistry:
    from prometheus_client import CollectorRegistry

    class Collector:
        def collect(self) -> Iterable[Metric]:
            return (metric,)

        def describe(self) -> Iterable[Metric]:
            return ()

    registry = CollectorRegistry()
    registry.register(Collector())
    return registry


def _of_exporter(state: ExporterState) -> Iterator[_Family]:
    snapshot = state.snapshot
    yield _gauge(
        "asyncmq_up", "1 when the last read of Redis succeeded, else 0.", [((), int(snapshot is not None))]
    )
    yield from _of_look(None if snapshot is None else snapshot.stats)
    if snapshot is not None:
        yield from _of_snapshot(snapshot)
    yield from _counters(state)
    if state.read_at is not None:
        yield _gauge(
            "asyncmq_exporter_last_look_timestamp_seconds",
            "When the last successful read of Redis ended.",
            [((), state.read_at)],
        )
    yield from _of_process()


def _of_process() -> Iterator[Metric]:
    """Metrics about the exporter itself. On systems without /proc, only its version."""
    from prometheus_client import ProcessCollector

    from asyncmq_cli import __version__

    yield _gauge(
        "asyncmq_exporter_build_info",
        "1, with the version of asyncmq-cli and of its Python.",
        [((__version__, platform.python_version()), 1)],
        ("version", "python_version"),
    )
    yield from ProcessCollector(registry=None).collect()


def _of_look(stats: Sequence[QueueStats] | None) -> Iterator[_Family]:
    yield from _totals(stats)
    if stats is not None:
        yield from _BY_QUEUE


def _totals(stats: Sequence[QueueStats] | None) -> Iterator[Metric]:
    yield _gauge(
        "asyncmq_dashboard_ready", "1 when the queues could be read, else 0.", [((), int(stats is not None))]
    )
    if stats is None:
        return
    workers = [row.workers for row in stats]
    yield _gauge("asyncmq_queue_total", "Number of queues.", [((), len(stats))])
    if None not in workers:
        total = sum(count or 0 for count in workers)
        yield _gauge("asyncmq_worker_total", "Number of live workers.", [((), total)])


def _jobs(stats: Sequence[QueueStats]) -> Metric:
    return _gauge(
        "asyncmq_queue_jobs",
        "Number of jobs by queue and state.",
        (
            ((row.name, state), getattr(row, state.replace("-", "_")))
            for row in stats
            for state in DISTRIBUTION
        ),
        ("queue", "state"),
    )


def _of_queues(name: str, text: str, value: _Value, stats: Sequence[QueueStats]) -> Metric:
    return _gauge(name, text, (((row.name,), value(row)) for row in stats), ("queue",))


_BY_QUEUE: Sequence[_OfRows] = (
    _jobs,
    partial(
        _of_queues,
        "asyncmq_queue_workers",
        "Number of live workers of the queue.",
        lambda row: row.workers,
    ),
    partial(
        _of_queues,
        "asyncmq_queue_paused",
        "1 while the queue is paused, else 0.",
        lambda row: int(row.paused),
    ),
    partial(
        _of_queues,
        "asyncmq_queue_oldest_waiting_seconds",
        "Age of the oldest waiting job in seconds; 0 while nothing waits.",
        lambda row: 0.0 if row.waiting == 0 else row.oldest_waiting_seconds,
    ),
)
_BY_QUEUE_OF_EXPORTER: Sequence[_OfRows] = (
    partial(
        _of_queues,
        "asyncmq_queue_due_jobs",
        "Number of delayed jobs whose time has come.",
        lambda row: row.due,
    ),
    partial(
        _of_queues,
        "asyncmq_queue_schedules",
        "Number of repeatables.",
        lambda row: row.repeatables,
    ),
)


def _of_snapshot(snapshot: Snapshot) -> Iterator[_Family]:
    """Metrics that only the exporter has."""
    yield from _BY_QUEUE_OF_EXPORTER
    capacity: dict[str, int] = {}
    for worker in snapshot.workers or ():
        capacity[worker.queue] = capacity.get(worker.queue, 0) + (worker.concurrency or 0)
    yield partial(
        _of_queues,
        "asyncmq_queue_worker_capacity",
        "Number of jobs that the live workers of the queue can run at once.",
        lambda row: None if row.workers is None else capacity.get(row.name, 0),
    )
    yield _gauge(
        "asyncmq_silent_workers",
        "Number of workers that are no longer live.",
        [((), snapshot.silent_workers)],
    )
    unreadable = {problem.queue for problem in snapshot.problems or () if problem.kind == "unreadable"}
    for kind, (name, text) in _BY_CLAIMS.items():
        counts = {one.queue: one.value or 0 for one in snapshot.problems or () if one.kind == kind}
        yield partial(_of_queues, name, text, partial(_found, counts, unreadable))


def _found(counts: Mapping[str, int], unreadable: Container[str], row: QueueStats) -> int | None:
    return None if row.name in unreadable else counts.get(row.name, 0)


def _counters(state: ExporterState) -> Iterator[Metric]:
    for name, text, count in (
        (
            "asyncmq_jobs_completed",
            "Number of jobs that completed, by the history of metrics.",
            state.completed,
        ),
        (
            "asyncmq_jobs_failed",
            "Number of jobs that failed for good, by the history of metrics.",
            state.failed,
        ),
        (
            "asyncmq_jobs_expired",
            "Number of jobs that expired, by the history of metrics.",
            state.expired,
        ),
    ):
        yield _counter(name, text, [((), count)])
    yield _counter(
        "asyncmq_job_deaths",
        "Number of jobs that died, by queue, task and cause.",
        ((tuple(map(redact_text, labels)), count) for labels, count in state.deaths.items()),
        ("queue", "task", "cause"),
    )
    yield _counter("asyncmq_exporter_looks", "Number of reads of Redis.", [((), state.reads)])
    yield _counter(
        "asyncmq_exporter_look_failures", "Number of reads of Redis that failed.", [((), state.failures)]
    )
    yield _counter(
        "asyncmq_exporter_redis_seconds",
        "Time in seconds that reads have waited for replies of Redis.",
        [((), state.redis_seconds)],
    )


def _gauge(name: str, text: str, samples: _Samples, labels: Sequence[str] = ()) -> Metric:
    from prometheus_client.core import GaugeMetricFamily

    return _filled(GaugeMetricFamily(name, text, labels=labels), samples)


def _counter(name: str, text: str, samples: _Samples, labels: Sequence[str] = ()) -> Metric:
    from prometheus_client.core import CounterMetricFamily

    return _filled(CounterMetricFamily(name, text, labels=labels), samples)


def _filled(family: Any, samples: _Samples) -> Metric:
    # Two names that differ only in characters which cannot be written are one series, whose value is their
    # sum.
    whole: dict[tuple[str, ...], float] = {}
    for labels, value in samples:
        if value is not None:
            key = tuple(map(_label, labels))
            whole[key] = whole.get(key, 0) + value
    for labels, value in whole.items():
        family.add_metric(labels, value)
    return family  # type: ignore[no-any-return]


def _label(text: str) -> str:
    """A name as a label: unchanged, so that it equals the dashboard's, except that a byte that is not UTF-8
    is written as `\\xff`. In such a name, and in one that contains these characters itself, backslashes are
    doubled, so that two queues are never one series."""
    if _UNWRITABLE.search(text) is None:
        return text
    doubled = _NO_BYTE.sub(lambda found: f"\\u{ord(found[0]):04x}", text.replace("\\", "\\\\"))
    return doubled.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
