"""Which jobs can be retried, and the notes on those that were."""

from __future__ import annotations

import json
from typing import Any

import pytest

from asyncmq_cli.errors import ChangeRefused
from asyncmq_cli.models.jobs import Job
from asyncmq_cli.services.changes.jobs import expiry_note, require_retryable
from asyncmq_cli.storage.schema.job import Location

NOW = 1_700_000_000.0


def located(*places: str, state: str | None = "failed", depends_on: Any = None, **fields: Any) -> Location:
    text = json.dumps({"id": "a", "status": state, "depends_on": depends_on or []}).encode()
    location = Location("mail", "a", state=state, record=text, **fields)
    for place in places:
        location.members[place].append(text)
    return location


@pytest.mark.parametrize(
    "location",
    [located("dlq"), located("dlq", state="expired"), located("dlq", state=None), located("dlq", "dlq")],
    ids=["failed", "expired", "of no known state", "with two dead letters"],
)
def test_a_job_in_the_dead_letter_queue_alone_can_be_retried(location: Location) -> None:
    require_retryable(location, location.job)


@pytest.mark.parametrize(
    ("location", "code", "words"),
    [
        (located(), "job_not_dead", "failed, but not in the dead-letter queue"),
        (located(state="completed"), "job_not_dead", "completed, not failed"),
        (located("waiting", state="waiting"), "job_not_dead", "waiting, not failed"),
        (located("dlq", state="completed"), "job_not_dead", "so it cannot be retried"),
        (located("dlq", "waiting"), "job_not_dead", "would run it twice"),
        (located("dlq", active=True), "job_not_dead", "would run it twice"),
        (located("dlq", cancelled=True), "job_cancelled", "cancelled"),
        (located("dlq", depends_on=["b"]), "job_waits_for_parents", "waits for other jobs"),
    ],
)
def test_a_retry_that_would_run_a_job_twice_or_never_is_refused(
    location: Location, code: str, words: str
) -> None:
    with pytest.raises(ChangeRefused, match=words) as refused:
        require_retryable(location, location.job)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("record", "expires"),
    [
        ({"ttl": 60, "created_at": NOW - 61}, True),
        ({"ttl": 60, "created_at": NOW - 60}, False),
        ({"ttl": "60", "created_at": str(NOW - 61)}, True),
        ({"ttl": None, "created_at": NOW - 61}, False),
        ({"ttl": 60}, False),
        ({"ttl": "soon", "created_at": NOW - 61}, False),
    ],
)
def test_a_retried_job_that_is_older_than_its_ttl_expires_again(
    record: dict[str, Any], expires: bool
) -> None:
    note = expiry_note(Job("mail", "a", "failed", record), NOW)
    assert (note is not None) is expires
