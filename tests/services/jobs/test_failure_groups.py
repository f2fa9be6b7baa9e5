"""Groups of dead jobs, and the counts in each group."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmq_cli.models.failures import FailureGroup
from asyncmq_cli.models.jobs import Job
from asyncmq_cli.services.jobs.failure_groups import MAX_GROUPS, grouped, is_argument
from tests.support.tracebacks import dead


def test_a_group_has_its_count_first_and_last_death_and_a_sample() -> None:
    jobs = [dead("AError", f"n {n}", job_id=f"a{n}", died=100.0 - n, task=f"t{n % 2}") for n in range(4)]
    jobs.append(dead("BError", "x", job_id="b", died=50.0))
    scanned, left_out, (first, second) = grouped(jobs)
    assert (scanned, left_out) == (5, 0)
    assert (first.count, first.first_seen, first.last_seen, first.sample_job_id) == (4, 97.0, 100.0, "a3")
    assert (first.tasks, second.count, second.sample_job_id) == (("t0", "t1"), 1, "b")


def test_memory_is_bounded_and_jobs_left_out_are_counted() -> None:
    words = ("".join(chr(97 + (n // 26**k) % 26) for k in range(4)) for n in range(MAX_GROUPS + 50))
    scanned, left_out, groups = grouped(dead("AError", word) for word in words)
    assert (scanned, left_out, len(groups)) == (MAX_GROUPS + 50, 50, MAX_GROUPS)


def test_a_group_has_its_queues_and_times() -> None:
    now, hour = 1e6, 3600.0
    died = (now - 2.5 * hour, now - 1.5 * hour, now - 60, now - 30, now - 1)
    jobs = [
        dead("AError", "x", job_id=f"a{n}", died=moment, queue=f"q{n % 2}") for n, moment in enumerate(died)
    ]
    ((group,),) = grouped(jobs, now=now)[2:]
    assert (group.queues, group.sample_queue) == (("q0", "q1"), "q0")
    assert (group.last_hour, group.hour_before) == (3, 1)
    assert sum(count for _, count in group.deaths) == 5
    assert group.trend(now) == "growing" and group.trend(now + 2 * hour) == "growing"
    (young,) = grouped(jobs[2:], now=now)[2]
    assert (young.trend(now), young.trend(now + hour)) == ("new", "growing")


@given(st.lists(st.floats(0, 4e9), min_size=1, max_size=50) | st.just([float("inf"), -5.0, 1e300]))
def test_deaths_over_time_are_kept_in_few_spans(died: list[float]) -> None:
    (group,) = grouped([dead("AError", "x", job_id=f"{n}", died=one) for n, one in enumerate(died)])[2]
    assert len(group.deaths) <= 32
    finite = [one for one in died if one < float("inf")]
    assert sum(count for _, count in group.deaths) == len(finite)
    assert all(start <= max(finite) for start, _ in group.deaths)


def by(what: str, *jobs: Job) -> dict[object, FailureGroup]:
    found = grouped(jobs, what)[2]
    assert all(group.id is None for group in found)
    return {group.value: group for group in found}


def test_jobs_are_grouped_by_task_queue_error_or_argument() -> None:
    kwargs = {"tenant": "acme", "user": {"id": 7}, "flags": [1, {"a": None}]}
    one = dead("AError", "x", job_id="1", task="mail", kwargs=kwargs, args=["first", True])
    two = dead("BError", "x", job_id="2", task="mail", queue="other", kwargs={"tenant": "acme"}, args=[])
    three = dead("BError", "x", job_id="3", task="sync", kwargs={"tenant": "bolt"}, args=["first", 1])
    jobs = (one, two, three)
    assert {value: group.count for value, group in by("task", *jobs).items()} == {"mail": 2, "sync": 1}
    assert {value: group.count for value, group in by("queue", *jobs).items()} == {"q": 2, "other": 1}
    assert {value: group.count for value, group in by("error", *jobs).items()} == {
        "AError: x": 1,
        "BError: x": 2,
    }
    tenants = by("kwargs.tenant", *jobs)
    assert (tenants["acme"].count, tenants["acme"].causes, tenants["bolt"].causes) == (2, 2, 1)
    assert set(by("kwargs.user.id", *jobs)) == {7, None}
    assert set(by("kwargs.flags.1", *jobs)) == {'{"a": null}', None}
    assert set(by("args.0", *jobs)) == {"first", None}
    assert len(grouped(jobs, "args.1")[2]) == 3, "True is not 1"


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("kwargs.a", True),
        ("args.0", True),
        ("kwargs.a.b", True),
        ("kwargs", False),
        ("args.", False),
        ("tenant", False),
    ],
)
def test_an_argument_is_named_with_its_position(by: str, expected: bool) -> None:
    assert is_argument(by) is expected
