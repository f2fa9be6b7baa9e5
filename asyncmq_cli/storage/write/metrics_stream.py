"""The metrics history: one Redis stream that all operators share.

An entry has five fields: `timestamp`, the server's time in epoch seconds; `snapshot`, a JSON object with the
rest of a `MetricsSnapshot`; and `completed_total`, `failed_total` and `expired_total`, which only grow. Only
a script writes entries, at least two seconds apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import redis
from msgspec.structs import asdict

from asyncmq_cli.errors import WrongType
from asyncmq_cli.models.monitoring.snapshots import MetricsSnapshot, Recorded
from asyncmq_cli.models.values import as_number
from asyncmq_cli.storage.client import scan
from asyncmq_cli.storage.schema.codec import CorruptData, dumps, loads
from asyncmq_cli.storage.schema.keys import METRICS_STREAM
from asyncmq_cli.storage.write.scripts import DONE, RECORD_SNAPSHOT, WRONG_TYPE, Scripts

KEPT = 2000
LEAST_GAP = 2.0
"""The shortest time between two snapshots, in seconds."""

_COUNTS = ("waiting", "active", "delayed", "completed", "failed", "total_queues", "total_workers")
_DAMAGED_NAMED = 3
_LAST_SECOND = 253_402_300_799
"""The last second of the year 9999, the end of datetime's range."""


class MetricsLog:
    """Reads and writes the history, which has the last `KEPT` snapshots."""

    def __init__(self, client: redis.Redis, scripts: Scripts) -> None:
        self._redis = client
        self._scripts = scripts

    def record(self, snapshot: MetricsSnapshot, gap: float = LEAST_GAP) -> Recorded:
        """Store the snapshot, unless another was stored less than `gap` seconds ago. Raises WrongType."""
        stored = {name: value for name, value in asdict(snapshot).items() if name != "timestamp"}
        arguments = [KEPT, dumps(stored), max(gap, LEAST_GAP)]
        code, *counters = self._scripts.run(RECORD_SNAPSHOT, [METRICS_STREAM], arguments)
        if code == WRONG_TYPE:
            raise WrongType(METRICS_STREAM)
        completed, failed, expired = counters
        return Recorded(code == DONE, completed, failed, expired)

    def newest_first(self, warn: Callable[[str], None]) -> Iterator[MetricsSnapshot]:
        """Every snapshot, newest first. Entries that are not snapshots are skipped, with a warning for the
        first few. Raises WrongType."""
        damaged = 0
        for entry_id, fields in scan.stream_entries(self._redis, METRICS_STREAM):
            try:
                yield _snapshot(fields)
            except CorruptData as exc:
                damaged += 1
                if damaged <= _DAMAGED_NAMED:
                    warn(f"metrics entry {entry_id.decode()} is not a snapshot: {exc}")
                elif damaged == _DAMAGED_NAMED + 1:
                    warn("more metrics entries are not snapshots")


def _snapshot(fields: Mapping[bytes, bytes]) -> MetricsSnapshot:
    timestamp = as_number(fields.get(b"timestamp", b"").decode("ascii", "replace"))
    if timestamp is None or not 0 <= timestamp <= _LAST_SECOND:
        raise CorruptData("it has no time")
    data = loads(fields.get(b"snapshot", b""))
    if not isinstance(data, dict):
        raise CorruptData("it is not a JSON object")
    counts = {name: _count(data, name) for name in _COUNTS}
    return MetricsSnapshot(timestamp=timestamp, avg_duration=as_number(data.get("avg_duration")), **counts)


def _count(data: Mapping[str, Any], name: str) -> int:
    count = data.get(name)
    if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count < 2**63:
        raise CorruptData(f"its {name} is not a count")
    return count
