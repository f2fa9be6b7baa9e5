"""The oracle for states is `asyncmq.core.inspection`."""

from __future__ import annotations

import math
from typing import Any

import pytest
from asyncmq.core.inspection import has_pending_dependencies, infer_job_type, matches_job_type
from hypothesis import given
from hypothesis import strategies as st

from asyncmq_cli.models.values import JOB_STATES, WAITING_CHILDREN
from asyncmq_cli.storage.schema.job import PENDING_STATES, RawJob, add_record, effective_state, hydrate
from tests.support.strategies import JSON_VALUES

_STATUSES = st.sampled_from([*JOB_STATES[:-1], "wait", "queued", "unheard-of", ""])
ENTRIES = st.none() | _STATUSES
RECORDS = st.fixed_dictionaries(
    {"id": st.just("1")},
    optional={
        "status": st.none() | _STATUSES,
        "depends_on": st.sampled_from([None, [], ["parent"], [None], "parent", {"parent": 1}]),
        "result": JSON_VALUES,
    },
)


def with_record(raw: RawJob, record: bytes | None) -> RawJob:
    add_record(raw, record)
    return raw


def as_asyncmq_hydrates(record: dict[str, Any], entry: str | None) -> dict[str, Any]:
    return record if entry is None else {**record, "status": entry}


@given(RECORDS, ENTRIES)
def test_a_jobs_state_is_the_one_that_asyncmq_infers(record: dict[str, Any], entry: str | None) -> None:
    job = as_asyncmq_hydrates(record, entry)
    without_parents = infer_job_type({**job, "depends_on": []})
    # The only difference: active and ended jobs are not also `waiting-children`.
    differs = has_pending_dependencies(job) and without_parents not in {None, *PENDING_STATES}
    expected = without_parents if differs else infer_job_type(job)
    assert effective_state(entry, record, None) == ("unknown" if expected is None else expected)


@given(RECORDS, ENTRIES)
def test_a_job_is_listed_under_exactly_the_states_that_asyncmq_lists_it_under(
    record: dict[str, Any], entry: str | None
) -> None:
    job = as_asyncmq_hydrates(record, entry)
    state = effective_state(entry, record, None)
    listed = {name for name in JOB_STATES if matches_job_type(job, name)}
    if state not in PENDING_STATES:
        # The same difference: AsyncMQ lists a job that has ended under both states.
        listed -= {WAITING_CHILDREN} - {state}
    assert listed == {state} & set(JOB_STATES)


@pytest.mark.parametrize(
    ("place", "state"), [("waiting", "waiting"), ("delayed", "delayed"), ("dlq", "failed"), (None, "unknown")]
)
def test_a_job_without_any_state_is_named_after_its_place(place: str | None, state: str) -> None:
    assert effective_state(None, {"id": "1"}, place) == state
    assert effective_state(None, None, place) == state
    assert effective_state("completed", {"id": "1"}, place) == "completed"
    assert effective_state(None, {"status": "expired"}, place) == "expired"


def test_state_and_result_outside_the_record_win_over_those_in_it() -> None:
    raw = with_record(
        RawJob(id="1", state="completed", result=b'{"sent": 1e400}'),
        b'{"status": "active", "result": 1, "n": 2}',
    )
    job = hydrate("emails", raw)
    assert job.status == "completed"
    assert job.record == {"status": "completed", "result": {"sent": math.inf}, "n": 2}


def test_a_cancelled_job_has_no_result_and_an_active_one_has_its_claim() -> None:
    cancelled = hydrate("q", with_record(RawJob(id="1", state="cancelled"), b'{"id": "1", "result": 7}'))
    assert cancelled.record == {"id": "1", "status": "cancelled"}
    expired = hydrate(
        "q", with_record(RawJob(id="1", state="expired", claim=b"17"), b'{"id": "1", "result": 7}')
    )
    assert expired.record == {"id": "1", "status": "expired", "result": 7}
    unclaimed = hydrate("q", with_record(RawJob(id="1", state="active"), b'{"id": "1"}'))
    assert unclaimed.record == {"id": "1", "status": "active"} and unclaimed.problem is None
    active = hydrate("q", with_record(RawJob(id="1", state="active", claim=b"17.5"), b'{"id": "1"}'))
    assert active.record == {"id": "1", "status": "active", "active_since": 17.5}


def test_the_payload_part_is_put_back_and_a_stored_record_wins_over_a_member() -> None:
    raw = with_record(
        RawJob(id="1", member={"id": "1", "retries": 0}, payload=b'{"args": [1]}'), b'{"retries": 3}'
    )
    assert hydrate("q", raw).whole().record == {"retries": 3, "args": [1]}
    assert hydrate("q", with_record(raw, b"{}")).whole().record == {"id": "1", "retries": 0, "args": [1]}


def test_an_empty_record_is_a_record() -> None:
    job = hydrate("q", with_record(RawJob(id="1"), b"{}"))
    assert (job.record, job.problem) == ({}, None)


@pytest.mark.parametrize(
    ("raw", "record"),
    [
        (RawJob(id="1"), b'{"id": '),
        (RawJob(id="1"), b"[]"),
        (RawJob(id="1"), None),
        (RawJob(id="1", state="completed"), None),
        (RawJob(id="1", payload=b"{"), b'{"id": "1"}'),
        (RawJob(id="1", state="completed", result=b"{"), b'{"id": "1"}'),
        (RawJob(id="1", state="active", claim=b"now"), b'{"id": "1"}'),
    ],
)
def test_missing_and_damaged_parts_become_a_problem_and_no_exception(
    raw: RawJob, record: bytes | None
) -> None:
    job = hydrate("q", with_record(raw, record)).whole()
    assert job.problem
    assert job.id == "1"


def test_a_score_is_a_time_only_where_it_is_one() -> None:
    raw = with_record(RawJob(id="1", score=5.0), b'{"id": "1"}')
    times = {place: hydrate("q", raw, place=place) for place in ("waiting", "delayed", "dlq")}
    assert [(job.due_at, job.dead_at) for job in times.values()] == [(None, None), (5.0, None), (None, 5.0)]
