"""How a change of many jobs is split into transactions."""

from __future__ import annotations

import json

import pytest

from asyncmq_cli.services.changes.bulk import CHANGED_AT_A_TIME, Throttle, independent_batches, source_of
from asyncmq_cli.storage.schema.job import Location


def located(job_id: str, *parents: str) -> Location:
    record = json.dumps({"id": job_id, "depends_on": list(parents)}).encode()
    return Location("mail", job_id, state="waiting", record=record)


@pytest.mark.parametrize(
    ("rate", "at_a_time"), [(None, 50), (0.1, 1), (1, 1), (19, 1), (20, 2), (300, 30), (10_000, 50)]
)
def test_a_slow_rate_sleeps_in_small_steps(rate: float | None, at_a_time: int) -> None:
    assert Throttle(rate).at_a_time == at_a_time


@pytest.mark.parametrize(
    ("jobs", "batches"),
    [
        ([], []),
        ([("a",), ("b",)], [["a", "b"]]),
        ([("parent",), ("child", "parent")], [["parent"], ["child"]]),
        ([("child", "parent"), ("parent",)], [["child"], ["parent"]]),
        ([("a", "x"), ("b", "x")], [["a", "b"]]),
        ([("a",), ("b", "a"), ("c",), ("d", "b")], [["a"], ["b", "c"], ["d"]]),
    ],
    ids=["none", "strangers", "a parent first", "a child first", "of a parent elsewhere", "a chain"],
)
def test_a_job_is_never_in_one_batch_with_a_job_it_waits_for(
    jobs: list[tuple[str, ...]], batches: list[list[str]]
) -> None:
    found = independent_batches(located(*job) for job in jobs)
    assert [[location.id for location in batch] for batch in found] == batches


def test_a_batch_has_a_bounded_number_of_jobs() -> None:
    batches = list(independent_batches(located(str(n)) for n in range(CHANGED_AT_A_TIME + 1)))
    assert [len(batch) for batch in batches] == [CHANGED_AT_A_TIME, 1]


@pytest.mark.parametrize(
    ("job_ids", "source"),
    [(["a"], "jobs.single"), (["a", "a"], "jobs.single"), (["a", "b"], "jobs.bulk"), ([], "jobs.bulk")],
)
def test_the_source_of_an_event_says_whether_one_job_was_meant(job_ids: list[str], source: str) -> None:
    assert source_of(job_ids) == source
