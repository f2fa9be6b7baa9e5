"""The probes of `check` as far as the sizes of a queue answer them: then nothing else is read."""

from __future__ import annotations

from typing import Any, cast

import pytest

from asyncmq_cli.models.monitoring.checks import Threshold
from asyncmq_cli.services.monitoring.check import QueueCounts, QueueProbes
from asyncmq_cli.storage.read.sizes import Sizes
from asyncmq_cli.storage.store import Store

NOW = 1_700_000_000.0
NO_STORE = cast(Store, None)
"""Reading anything through it fails."""

SIZES = ("waiting", "active", "delayed", "due", "dlq", "repeatables", "heartbeats", "ids", "states")
EMPTY: dict[str, Any] = dict.fromkeys(SIZES, 0)
NAMES = (
    *("unattended", "paused", "overdue", "lost", "silent", "waiting"),
    *("oldest", "failed", "dlq", "delayed-due", "running", "workers"),
)


def probes(
    *, paused: bool = False, oldest: float | None = None, failed: int | None = 0, **sizes: Any
) -> dict[str, float | None]:
    """The value of every probe, by name."""
    counts = QueueCounts(Sizes("mail", paused, **{**EMPTY, **sizes}), oldest, failed)
    bounds = dict.fromkeys(NAMES, Threshold())
    return {probe.name: probe.value for probe in QueueProbes(NO_STORE, counts, NOW).judged(bounds)}


def test_an_empty_queue_is_judged_by_its_sizes_alone() -> None:
    assert probes() == {**dict.fromkeys(NAMES, 0), "oldest": None, "running": None}


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ({"waiting": 3}, {"waiting": 3, "unattended": 3, "paused": 0}),
        ({"waiting": 3, "due": 2}, {"waiting": 3, "delayed-due": 2, "unattended": 5}),
        ({"waiting": 3, "due": 2, "paused": True}, {"unattended": 0, "paused": 5}),
        ({"delayed": 4}, {"delayed-due": 0, "unattended": 0}),
        ({"dlq": 5, "failed": 2}, {"dlq": 5, "failed": 2}),
        ({"dlq": 0, "failed": 2}, {"dlq": 0, "failed": 0}),
    ],
    ids=[
        "nobody takes what waits",
        "what is due waits as well",
        "a paused backlog is not unattended",
        "what is not due does not wait",
        "the expired are dead and not failed",
        "only the dead have failed",
    ],
)
def test_a_backlog_has_waiting_jobs_and_due_jobs(sizes: dict[str, Any], expected: dict[str, Any]) -> None:
    found = probes(**{"oldest": NOW, **sizes})
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(("oldest", "age"), [(NOW - 90, 90.0), (NOW, 0.0), (NOW + 0.5, 0.0)])
def test_the_age_of_the_oldest_waiting_job_is_never_negative(oldest: float, age: float) -> None:
    assert probes(waiting=1, oldest=oldest)["oldest"] == age


@pytest.mark.parametrize(
    ("value", "threshold", "state"),
    [
        (5, Threshold(), "ok"),
        (5, Threshold(warning=5), "ok"),
        (6, Threshold(warning=5), "warning"),
        (6, Threshold(warning=5, critical=5), "critical"),
        (1, Threshold(warning=2, critical=1, least=True), "warning"),
        (0, Threshold(warning=2, critical=1, least=True), "critical"),
    ],
)
def test_a_value_is_judged_by_the_worst_bound_that_it_crosses(
    value: int, threshold: Threshold, state: str
) -> None:
    counts = QueueCounts(Sizes("mail", False, **{**EMPTY, "waiting": value}), NOW, 0)
    (probe,) = QueueProbes(NO_STORE, counts, NOW).judged({"waiting": threshold})
    assert (probe.state, probe.value, probe.queue) == (state, value, "mail")
