"""Which events of the trail are one run."""

from __future__ import annotations

from typing import Any

import pytest

from asyncmq_cli.models.changes import AuditEvent
from asyncmq_cli.services.audit import folded


def event(at: float, job_id: str | None = "a", **fields: Any) -> AuditEvent:
    given: dict[str, Any] = {
        "action": "dlq.retry",
        "source": "dlq.bulk",
        "status": "success",
        "queue": "mail",
        "actor": "ann",
        "details": {},
        "error": None,
    }
    return AuditEvent(timestamp=at, job_id=job_id, **{**given, **fields})


@pytest.mark.parametrize(
    ("events", "runs"),
    [
        ([], []),
        ([event(9), event(8, "b"), event(7, "c")], [(3, 7)]),
        # Pauses of up to a minute belong to a run.
        ([event(200), event(140, "b"), event(79, "c")], [(2, 140), (1, 79)]),
        ([event(9), event(8, action="job.retry")], [(1, 9), (1, 8)]),
        ([event(9), event(8, actor="bob")], [(1, 9), (1, 8)]),
        ([event(9), event(8, details={"reason": "fixed"})], [(1, 9), (1, 8)]),
        ([event(9), event(8, status="failed", error="no job 'a'")], [(1, 9), (1, 8)]),
        # The error names the job.
        (
            [event(9, "x", error="no job 'x'"), event(8, "y", error="no job 'y'")],
            [(2, 8)],
        ),
        ([event(9, "x", error="no job 'x'"), event(8, "y", error="y is active")], [(1, 9), (1, 8)]),
        # Two queues alternate.
        (
            [event(9), event(8, queue="sms"), event(7), event(6, queue="sms")],
            [(2, 7), (2, 6)],
        ),
        # Each definition has a row.
        (
            [event(9, "app.a", action="repeatable.pause"), event(8, "app.b", action="repeatable.pause")],
            [(1, 9), (1, 8)],
        ),
    ],
)
def test_events_that_differ_only_in_their_job_are_a_run(
    events: list[AuditEvent], runs: list[tuple[int, float]]
) -> None:
    found = folded(events)
    assert [(run.count, run.since) for run in found] == runs
    newest = [run.newest.timestamp for run in found]
    assert newest == sorted(newest, reverse=True)
