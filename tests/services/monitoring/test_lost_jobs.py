"""The rules by which an active job is lost, and how many more are lost than can be named."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from asyncmq_cli.models.workers import Worker
from asyncmq_cli.services.monitoring.lost_jobs import SILENCE, reason_lost, surplus_of
from asyncmq_cli.storage.read.workers import Claim

NOW, TTL = 1_700_000_000.0, 120.0


def worker(age: float, *, concurrency: int | None = 2) -> Worker:
    return Worker(f"w{age}", "mail", concurrency, NOW - age, age, TTL)


LIVE, SILENT = worker(5), worker(600)


@pytest.mark.parametrize(
    ("claimed", "beat", "workers", "reason"),
    [
        (10, None, [], None),
        (TTL + 1, None, [], "no_live_worker"),
        (TTL + 1, None, [SILENT], "no_live_worker"),
        (TTL + 1, None, [LIVE], None),
        (9999, None, [LIVE], None),
        (9999, 10, [], None),
        (9999, SILENCE - 1, [], None),
        (9999, SILENCE + 1, [], "heartbeat_stopped"),
        (9999, SILENCE + 1, [LIVE], "heartbeat_stopped"),
        (9999, 600, [LIVE, SILENT], None),
        (9999, 600 + SILENCE + 1, [LIVE, SILENT], "heartbeat_stopped"),
        (10, 9999, [], None),
        (TTL + 1, 9999, [], "no_live_worker"),
    ],
    ids=[
        "claimed just now",
        "claimed longer ago than the TTL, and nobody lives",
        "the only worker is silent",
        "a live worker may run it",
        "however old the claim is",
        "it beats, though nobody lives",
        "within the silence allowed",
        "it stopped beating",
        "it stopped beating beside a live worker",
        "a silent worker with a late clock may run it",
        "no silent worker wrote at that time",
        "a heartbeat of an earlier attempt",
        "of an earlier attempt, and nobody lives",
    ],
)
def test_a_claim_is_lost_only_where_nobody_can_be_running_it(
    claimed: float, beat: float | None, workers: Sequence[Worker], reason: str | None
) -> None:
    claim = Claim("a", NOW - claimed, None if beat is None else NOW - beat, "active")
    assert reason_lost(claim, workers, NOW, TTL) == reason


@pytest.mark.parametrize(
    ("ages", "live", "silent", "surplus"),
    [
        ([], [LIVE], [], 0),
        ([200, 300], [LIVE], [], 0),
        ([200, 300, 400], [LIVE], [], 1),
        ([200, 300, 400], [LIVE, worker(6)], [], 0),
        ([200, 300, 400], [], [], 0),
        ([200, 300, 400], [worker(5, concurrency=None)], [], 0),
        ([700, 800, 900], [LIVE], [SILENT], 0),
        ([700, 800, 900, 950, 960], [LIVE], [SILENT], 1),
        ([200, 300, 400], [LIVE], [SILENT], 1),
        ([561, 595, 599], [LIVE], [SILENT], 0),
        ([540, 550, 559], [LIVE], [SILENT], 1),
        ([700, 800, 900, 950, 960], [LIVE], [worker(600, concurrency=None)], 0),
    ],
    ids=[
        "no old claims",
        "as many as the worker runs",
        "one more",
        "two workers run them",
        "nobody lives: named, not counted",
        "of no known concurrency",
        "the silent worker may run some",
        "but no more than its concurrency",
        "and none claimed after the heartbeat that it missed",
        "it may have been alive until that was due",
        "and not later",
        "or all, where its concurrency is not known",
    ],
)
def test_a_surplus_is_what_no_worker_has_room_for(
    ages: list[float], live: list[Worker], silent: list[Worker], surplus: int
) -> None:
    assert surplus_of([NOW - age for age in ages], live, silent) == surplus
