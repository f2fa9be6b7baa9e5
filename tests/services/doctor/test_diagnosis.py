"""The rules of the doctor: from the evidence of one job to its damage, the worst one first.

Each row gives the evidence that differs from a healthy job, and the code. `test_damages.py` proves on real
Redis that such evidence arises.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from asyncmq_cli.services.doctor.diagnosis import diagnose
from asyncmq_cli.storage.integrity.evidence import Evidence, ZsetMember
from asyncmq_cli.storage.schema.job import Location

ID = "7f3a"
LIFE, EARLIER_LIFE = b"this life", b"an earlier life"


def evidence(
    status: str,
    *members: str,
    listed_by_id: bool = False,
    life: bytes | None = LIFE,
    letter_life: bytes | None = LIFE,
    parents: Sequence[str | None] = (),
    **fields: Any,
) -> Evidence:
    """The evidence of a job with a readable record that is in the ids set and the states hash. `members` are
    the sorted sets that contain the whole job; the other fields are those of Location and Evidence."""
    of_location: dict[str, Any] = {"in_ids": True, "state": status, "record": b'{"id":"7f3a"}'}
    of_evidence: dict[str, Any] = {"readable": True}
    for name, value in fields.items():
        (of_evidence if name in Evidence.__struct_fields__ else of_location)[name] = value
    location = Location("mail", ID, **of_location)
    if listed_by_id:
        location.members["waiting"].append(ID.encode())
    zset_members = [
        ZsetMember(place, f"{place} {n}".encode(), 20, letter_life if place == "dlq" else life)
        for n, place in enumerate(members)
    ]
    return Evidence(
        location, status, life=life, zset_members=zset_members, parents=frozenset(parents), **of_evidence
    )


def remains(*members: str, status: str = "waiting", **fields: Any) -> Evidence:
    """The evidence of a job without a record, of which only these fields are left."""
    left: dict[str, Any] = {"record": None, "in_ids": False, "state": None, "readable": False}
    return evidence(status, *members, **{**left, **fields})


HEALTHY = [
    ("waiting by its id", evidence("waiting", listed_by_id=True)),
    ("delayed", evidence("delayed", "delayed")),
    ("active", evidence("active", active=True, claim=b"1.0", heartbeat=b"2.0")),
    ("failed", evidence("failed", "dlq")),
    ("expired", evidence("expired", "dlq")),
    ("completed", evidence("completed", has_result=True)),
    ("cancelled", evidence("cancelled", cancelled=True)),
    ("cancelled, and dropped when a worker takes it", evidence("cancelled", "waiting", cancelled=True)),
    ("waiting for a parent that runs", evidence("waiting-children", parents=["active"])),
    ("waiting as a whole, as old versions wrote it", remains("waiting")),
    ("children that still wait", remains(children=1, has_living_child=True)),
    ("nothing is left", remains()),
]


@pytest.mark.parametrize("found", [found for _, found in HEALTHY], ids=[name for name, _ in HEALTHY])
def test_a_healthy_job_has_no_damage(found: Evidence) -> None:
    assert diagnose(found) is None


IN_NO_PLACE = [
    ("waiting_unlisted", evidence("waiting")),
    ("failed_unlisted", evidence("failed")),
    ("failed_unlisted", evidence("expired")),
    ("active_unclaimed", evidence("active")),
    ("state_unknown", evidence("paused")),
    ("state_unknown", evidence("waiting-children")),
    ("cancel_unfinished", evidence("waiting", cancelled=True)),
    ("cancel_unfinished", evidence("delayed", cancelled=True)),
]


@pytest.mark.parametrize(("code", "found"), IN_NO_PLACE)
def test_a_job_in_no_place_is_named_by_its_state(code: str, found: Evidence) -> None:
    assert diagnose(found) == code


@pytest.mark.parametrize(("code", "found"), IN_NO_PLACE)
def test_a_job_in_no_place_with_an_unreadable_record_is_unreadable(code: str, found: Evidence) -> None:
    found.readable = False
    assert diagnose(found) == "record_unreadable"


@pytest.mark.parametrize(
    ("record", "code"),
    [
        (b'{"id":"7f3a","delay_until":1700000000.5}', "delayed_unlisted"),
        (b'{"id":"7f3a","delay_until":"soon"}', "delayed_timeless"),
        (b'{"id":"7f3a"}', "delayed_timeless"),
    ],
)
def test_a_delayed_job_in_no_place_is_due_when_its_record_says(record: bytes, code: str) -> None:
    assert diagnose(evidence("delayed", record=record)) == code


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("ended_listed", evidence("completed", "waiting")),
        ("ended_listed", evidence("failed", "delayed")),
        ("ended_listed", evidence("cancelled", "waiting")),
        ("ended_listed", evidence("completed", listed_by_id=True)),
        ("active_listed", evidence("active", "delayed", active=True)),
        ("active_listed", evidence("active", listed_by_id=True)),
        ("in_two_places", evidence("waiting", "waiting", "delayed")),
        ("in_two_places", evidence("waiting", "delayed", listed_by_id=True)),
        ("in_two_places", evidence("waiting", "waiting", "waiting")),
        ("active_listed", remains("waiting", active=True)),
        ("ended_listed", remains("delayed", status="completed")),
        ("record_unreadable", evidence("waiting", "waiting", readable=False)),
    ],
)
def test_a_job_that_would_run_once_too_often_is_found(code: str, found: Evidence) -> None:
    assert diagnose(found) == code


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("dead_state_wrong", evidence("waiting", "dlq")),
        ("dead_state_wrong", evidence("active", "dlq")),
        ("dead_letter_unclear", evidence("waiting", "dlq", letter_life=EARLIER_LIFE)),
        ("dead_letter_unclear", evidence("waiting", "dlq", letter_life=None)),
        ("dead_letter_unclear", evidence("waiting", "dlq", "dlq")),
        ("dead_letter_stale", evidence("waiting", "dlq", listed_by_id=True)),
        ("dead_letter_stale", evidence("active", "dlq", active=True)),
        ("dead_letter_stale", evidence("completed", "dlq", recorded="completed")),
        ("dead_letter_unclear", evidence("completed", "dlq", recorded="failed")),
        ("state_unknown", evidence("paused", "dlq")),
        ("record_missing", remains("dlq")),
        ("record_missing", remains("dlq", state="failed", status="failed")),
        ("dead_letter_unclear", remains("dlq", state="waiting")),
        ("dead_letter_unclear", remains("dlq", "dlq")),
        ("dead_letter_unclear", remains("dlq", listed_by_id=True)),
    ],
)
def test_a_dead_letter_is_weighed_against_the_record(code: str, found: Evidence) -> None:
    assert diagnose(found) == code


@pytest.mark.parametrize(
    ("code", "parents"),
    [
        ("parents_done", ["completed"]),
        ("parent_failed", ["completed", "failed"]),
        ("parent_failed", ["expired"]),
        ("parent_gone", ["completed", None]),
        ("parent_gone", ["failed", "cancelled"]),
        (None, ["completed", "active"]),
        (None, ["delayed"]),
    ],
)
def test_a_child_waits_for_ever_where_no_parent_can_release_it(
    code: str | None, parents: list[str | None]
) -> None:
    assert diagnose(evidence("waiting-children", parents=parents)) == code


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("record_unindexed", evidence("waiting", listed_by_id=True, in_ids=False)),
        ("record_unindexed", evidence("waiting-children", parents=["active"], in_ids=False)),
        ("record_unindexed", evidence("completed", in_ids=False)),
        ("claim_stale", evidence("completed", active=True)),
        ("claim_stale", evidence("failed", "dlq", active=True)),
        ("heartbeat_stale", evidence("completed", heartbeat=b"1700000000.5")),
        (None, evidence("completed", heartbeat=b"not a time")),
        ("arguments_damaged", evidence("waiting", listed_by_id=True, argumentless=True)),
        ("arguments_damaged", evidence("waiting", argumentless=True)),
        (None, evidence("completed", argumentless=True)),
    ],
)
def test_a_job_in_its_place_is_checked_for_what_belongs_to_it(code: str | None, found: Evidence) -> None:
    assert diagnose(found) == code


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("id_without_record", remains(in_ids=True, state="waiting", has_result=True)),
        ("state_without_job", remains(state="waiting", active=True)),
        ("member_without_job", remains(listed_by_id=True)),
        ("claim_stale", remains(active=True, cancelled=True)),
        ("cancel_mark_stale", remains(cancelled=True, has_result=True)),
        ("result_without_job", remains(has_result=True, payload=b"{}")),
        ("payload_without_record", remains(payload=b"{}", heartbeat=b"1.0")),
        ("heartbeat_stale", remains(heartbeat=b"1.0", pending=1)),
        ("dependencies_left", remains(pending=1)),
        ("dependencies_left", remains(children=1)),
        ("record_missing", remains("delayed", state="delayed", status="delayed")),
    ],
)
def test_a_job_without_a_record_is_named_by_the_worst_of_its_remains(code: str, found: Evidence) -> None:
    assert diagnose(found) == code


def test_a_key_that_cannot_be_read_is_no_damage_of_the_job() -> None:
    assert diagnose(evidence("waiting", unreadable_key=True)) is None
