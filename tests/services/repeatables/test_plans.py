"""The members that a change stores for one repeatable definition."""

from __future__ import annotations

import json
from typing import Any

import pytest

from asyncmq_cli.errors import ChangeRefused
from asyncmq_cli.services.repeatables import plans
from asyncmq_cli.storage.read.repeatables import Found, Member, encode, identity

NOW = 1_700_049_600.0
DEFINITION = {"task_id": "report", "every": 60}


def member(*, paused: bool = False, score: float = NOW + 5, **fields: Any) -> Member:
    definition = {**DEFINITION, **fields}
    stored = {**definition, "paused": True} if paused else definition
    return Member(encode(definition, paused=paused).encode(), score, identity(definition), stored)


def found(*members: Member) -> Found:
    return Found("mail", len(members), members)


PAUSED, RUNNING = member(paused=True), member()


@pytest.mark.parametrize(
    ("plan", "paused", "next_run", "note"),
    [
        (plans.pausing(found(RUNNING), NOW), True, NOW + 5, None),
        (plans.pausing(found(RUNNING, PAUSED), NOW), True, NOW + 5, "stored 2 times; one was kept"),
        (plans.resuming(found(PAUSED), NOW), False, NOW + 60, None),
        (plans.resuming(found(PAUSED, PAUSED), NOW), False, NOW + 60, "stored 2 times; one was kept"),
        (plans.adding(DEFINITION, found(), NOW, paused=False), False, NOW + 60, None),
        (plans.adding(DEFINITION, found(), NOW, paused=True), True, NOW + 60, None),
        (plans.adding(DEFINITION, found(PAUSED), NOW, paused=False), False, NOW + 60, "runs again"),
        (plans.adding(DEFINITION, found(RUNNING), NOW, paused=True), True, NOW + 60, "is paused now"),
        (plans.adding(DEFINITION, found(RUNNING), NOW, paused=False), False, NOW + 60, "from now"),
    ],
)
def test_one_member_is_left_and_a_resume_counts_from_now(
    plan: plans.Plan, paused: bool, next_run: float, note: str | None
) -> None:
    stored = json.loads(plan.member or "")
    assert (stored.pop("paused", False), stored) == (paused, DEFINITION)
    assert plan.next_run == next_run
    assert note in (plan.note or "") if note else plan.note is None


@pytest.mark.parametrize(
    "plan", [plans.pausing(found(PAUSED), NOW), plans.resuming(found(RUNNING), NOW)], ids=["pause", "resume"]
)
def test_a_definition_in_the_wanted_state_is_unchanged(plan: plans.Plan) -> None:
    assert (plan.unchanged, plan.member) == (True, None)
    assert "nothing changed" in (plan.note or "")


@pytest.mark.parametrize(("members", "note"), [([RUNNING], None), ([RUNNING, PAUSED], "stored 2 times")])
def test_a_removal_leaves_nothing(members: list[Member], note: str | None) -> None:
    plan = plans.removing(found(*members), NOW)
    assert (plan.member, plan.unchanged) == (None, False)
    assert note in (plan.note or "") if note else plan.note is None


def test_a_schedule_that_never_comes_cannot_be_resumed() -> None:
    never = member(paused=True, cron="0 0 31 2 *")
    with pytest.raises(ChangeRefused, match="never runs") as refused:
        plans.resuming(found(never), NOW)
    assert refused.value.code == "schedule_invalid"


@pytest.mark.parametrize(
    ("paused", "runs"), [(True, 0), (False, 5)], ids=["nothing runs while it is paused", "five runs"]
)
def test_the_runs_to_come_are_those_of_a_running_definition(paused: bool, runs: int) -> None:
    assert len(plans.adding(DEFINITION, found(), NOW, paused=paused).runs) == runs


@pytest.mark.parametrize(
    ("definition", "note"),
    [
        ({"cron": "0 0 7 * * *"}, "the sixth field of '0 0 7 * * *' is the seconds"),
        ({"every": 60, "priority": 0}, "priority 0 with priority 5"),
    ],
)
def test_definitions_that_the_library_reads_differently_get_a_note(
    definition: dict[str, Any], note: str
) -> None:
    added = plans.adding({"task_id": "report", **definition}, found(), NOW, paused=False)
    assert note in (added.note or "")


@pytest.mark.parametrize(
    ("fields", "name", "schedule"),
    [
        ({}, "report", "every 60s"),
        ({"cron": "0 7 * * *"}, "report", "0 7 * * *"),
        ({"task_id": None, "name": "nightly"}, "nightly", "every 60s"),
        ({"task_id": None, "task": "old.report"}, "old.report", "every 60s"),
    ],
)
def test_a_definition_is_named_by_its_task_and_its_schedule(
    fields: dict[str, Any], name: str, schedule: str
) -> None:
    one = member(**fields)
    assert (plans.name_of(one), plans.schedule_of(one)) == (name, schedule)
