"""The changes between two snapshots, and their text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from asyncmq_cli.models.monitoring.snapshots import Snapshot
from asyncmq_cli.models.queues import QueueStats
from asyncmq_cli.models.workers import Worker
from asyncmq_cli.output.text import events as text
from asyncmq_cli.services.monitoring.events import Happenings

CAUSES = {"mail": {"app.SMTPError": 2, "KeyError": 1}, "sms": {"smtplib.SMTPServerDisconnected": 1}}


def row(name: str = "mail", **counts: Any) -> QueueStats:
    return QueueStats(name, **{"waiting": 0, "completed": 0, "failed": 0, "expired": 0, **counts})


def said(*rounds: tuple[Sequence[QueueStats], Sequence[str]]) -> list[str]:
    """The events after the last of these rounds. Each round has queues and the ids of live workers."""
    compare = Happenings(lambda queue, count: CAUSES[queue])
    for number, (rows, names) in enumerate(rounds):
        workers = [Worker(name, "mail", 1, 0.0, 1.0, 30.0) for name in names]
        found = compare.since_last(Snapshot(1e9 + number, rows, workers))
        assert (found is None) == (number == 0)
    return [line.partition("  ")[2] for line in text.lines(found or [], 1e9, utc=True)]


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        ([row()], [row()], []),
        ([row(completed=2)], [row(completed=42)], ["mail: 40 completed"]),
        (
            [row(completed=2, waiting=1200)],
            [row(completed=3, failed=3, waiting=1196)],
            ["mail: 1 completed, 3 failed (SMTPError ×2, KeyError), waiting 1,200 → 1,196"],
        ),
        ([row("sms")], [row("sms", failed=1)], ["sms: 1 failed (SMTPServerDisconnected)"]),
        ([row(expired=1)], [row(expired=3)], ["mail: 2 expired"]),
        # Jobs were removed or retried.
        ([row(completed=9, failed=9)], [row()], []),
        ([row(waiting=None, failed=None)], [row(waiting=4, failed=4)], []),
        ([row()], [row(paused=True)], ["mail: paused"]),
        ([row(paused=True)], [row()], ["mail: resumed"]),
        ([], [row(waiting=2)], ["mail: new, waiting 0 → 2"]),
        ([row()], [], ["mail: gone"]),
        ([row("a\x1b")], [], ["a\\x1b: gone"]),
    ],
)
def test_queues(before: list[QueueStats], after: list[QueueStats], lines: list[str]) -> None:
    assert said((before, []), (after, [])) == lines


def test_workers() -> None:
    silent, back = (
        "worker w1 (mail) silent: no heartbeat for its TTL",
        "worker w1 (mail) sends heartbeats again",
    )
    assert said(([], ["w1"]), ([], ["w1"])) == []
    assert said(([], ["w1"]), ([], [])) == [silent]
    assert said(([], ["w1"]), ([], []), ([], [])) == []
    assert said(([], ["w1"]), ([], []), ([], ["w1", "w2"])) == [back, "worker w2 (mail) started"]


def test_the_first_line_has_the_totals() -> None:
    rows = [row(waiting=4, active=1, failed=None, workers=2)]
    line = text.first(Snapshot(1e9, rows), utc=True)
    assert line == "01:46:40  watching 1 queue: 4 waiting, 1 active, ? failed; 2 workers"
