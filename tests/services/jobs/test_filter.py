"""The oracle is `job_matches_inspection_filters` in asyncmq.core.inspection."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from asyncmq.core.inspection import job_matches_inspection_filters
from hypothesis import example, given
from hypothesis import strategies as st

from asyncmq_cli.models.jobs import Job, JobFilter
from asyncmq_cli.services.jobs.causes import signature
from asyncmq_cli.services.jobs.filter import Matcher, certainly_holds, needle_of
from tests.support.strategies import JSON_VALUES

NOW = 1_700_000_000.0
WORDS = st.sampled_from(
    ["mail", "MAIL", "send.mail", " ", "1", '"', "{", ": ", "null", "\\u", "ü", "k", "tasks"]
)
QUERIES = st.lists(WORDS.filter(str.isascii), max_size=3).map("".join)
TEXTS = st.lists(WORDS, max_size=3).map("".join)
RECORDS = st.fixed_dictionaries(
    {"id": TEXTS, "kwargs": st.dictionaries(TEXTS, JSON_VALUES | TEXTS, max_size=3)},
    optional={"task": TEXTS | st.none() | st.integers(), "task_id": TEXTS, "name": TEXTS},
)


def matcher(**wanted: Any) -> Matcher:
    return Matcher(JobFilter(**wanted), now=NOW)


def matches(record: dict[str, Any], **wanted: str) -> bool:
    return matcher(**wanted)(Job("q", str(record["id"]), "waiting", record))


@given(RECORDS, QUERIES, QUERIES, QUERIES)
@example({"id": "1", "kwargs": {"n": float("nan")}}, "NaN", "", "")
def test_ascii_filters_let_through_what_asyncmq_lets_through(
    record: dict[str, Any], q: str, task: str, job_id: str
) -> None:
    # The dashboard strips its texts before it filters. Two letters outside ASCII, the Kelvin sign and
    # the dotted I, are ASCII ones in lower case: those we find, and AsyncMQ does not.
    if set("\u212a\u0130").isdisjoint(json.dumps(record, ensure_ascii=False)):
        expected = job_matches_inspection_filters(
            record, q=q.strip(), task=task.strip(), job_id=job_id.strip()
        )
        assert matches(record, q=q, task=task, job_id=job_id) == expected


@given(
    # The sign for kelvin is a plain k in lower case.
    st.text(
        st.characters(min_codepoint=0x80, exclude_categories=["Cs", "Zs", "Cc", "Zl", "Zp"]), min_size=1
    ).filter(lambda text: not text.lower().isascii())
)
@example("Größe")
@example("ΟΔΥΣΣΕΥΣ")
@example("😀")
def test_text_beyond_ascii_is_found_written_plainly_and_as_json_escapes_it(text: str) -> None:
    record = {"id": "1", "kwargs": {"to": f"-{text}-"}}
    assert matches(record, q=text)
    assert matches(record, q=json.dumps(text)[1:-1])
    assert matches(record, q=json.dumps(text)[1:-1].upper().replace("\\U", "\\u"))
    assert not matches({"id": "1", "kwargs": {"to": "-"}}, q=text)


@pytest.mark.parametrize("query", ["größe", "GRÖßE", "gr\\u00f6"])
def test_the_case_of_a_letter_beyond_ascii_does_not_matter(query: str) -> None:
    assert matches({"id": "1", "kwargs": {"to": "Größe"}}, q=query)


def test_an_id_is_compared_exactly_and_a_task_in_any_case() -> None:
    record = {"id": "Job-7", "task": "mail.Send"}
    assert matches(record, job_id="Job") and not matches(record, job_id="job")
    assert matches(record, task="MAIL.send") and not matches(record, task="mail send")


def test_the_text_that_is_searched_has_its_keys_in_order() -> None:
    assert matches({"task": "send", "id": "1", "args": []}, q='"args": [], "id": "1", "task"')


def test_a_group_is_named_by_the_start_of_its_id() -> None:
    record = {"id": "1", "last_error": "TimeoutError: no answer from 10.0.0.7"}
    group = signature(Job("q", "1", "waiting", record)).id
    assert matches(record, group=group) and matches(record, group=f" {group[:4].upper()} ")
    assert not matches({"id": "1", "last_error": "KeyError: 'to'"}, group=group)


def test_a_job_without_a_record_is_found_by_its_id_and_state() -> None:
    job = Job("q", "lost-1", "failed", None, problem="the job has no record")
    found = [wanted for wanted in ("LOST-1", '"status": "failed"', "mail") if matcher(q=wanted)(job)]
    assert found == ["LOST-1", '"status": "failed"']
    assert not matcher(task="mail")(job)


@pytest.mark.parametrize(
    ("record", "dead_at", "age"),
    [
        ({"created_at": NOW - 60}, None, 60),
        ({"created_at": NOW - 60, "run_at": NOW - 20}, None, 20),
        ({"created_at": NOW - 60}, NOW - 10, 10),
    ],
)
def test_an_age_counts_from_death_where_that_is_known(
    record: dict[str, float], dead_at: float | None, age: int
) -> None:
    job = Job("q", "1", "failed", record, dead_at=dead_at)
    assert matcher(older_than=age)(job) and not matcher(older_than=age + 1)(job)
    assert matcher(newer_than=age)(job) and not matcher(newer_than=age - 1)(job)


@pytest.mark.parametrize(
    "job",
    [
        *(
            Job("q", "1", "waiting", {"created_at": value})
            for value in ("2023-11-14T22:13:20Z", "", None, 0, -5, True, [1], float("nan"), float("inf"))
        ),
        Job("q", "1", "waiting", None, problem="the job has no record"),
        *(Job("q", "1", "failed", {"created_at": 1.0}, dead_at=at) for at in (0.0, -math.inf, math.inf)),
    ],
    ids=str,
)
def test_a_job_whose_time_is_not_known_is_neither_old_nor_new(job: Job) -> None:
    assert not matcher(older_than=1)(job) and not matcher(newer_than=10**9)(job)
    assert matcher(where="age == null")(job) and not matcher(where="age > 0")(job)


def test_text_in_data_that_is_nested_without_end_is_found() -> None:
    deep: Any = ["größe", 7]
    for _ in range(100_000):
        deep = [deep]
    job = Job("q", "1", "waiting", {"id": "1", "kwargs": {"needle": deep}})
    assert [matcher(q=q)(job) for q in ("needle", "Größe", "7", "other")] == [True, True, True, False]


@given(
    st.dictionaries(TEXTS | st.text(), JSON_VALUES | TEXTS | st.text()), st.text("abe19N+-.u0k@", min_size=3)
)
@example({"a": [1e16, float("nan"), None, 10**30]}, "1e+16")
@example({"a": "\u212aelvin"}, "kelvin")
def test_a_needle_that_is_certainly_held_is_in_the_json(record: dict[str, Any], text: str) -> None:
    needle = needle_of(text.lower())
    if needle is not None and certainly_holds(record, needle):
        assert needle.decode() in json.dumps(record, sort_keys=True).lower()


def test_no_letter_turns_into_another_of_ascii_but_the_two_that_are_known() -> None:
    turning = [code for code in range(0x80, 0x110000) if any(char.isascii() for char in chr(code).lower())]
    assert turning == [0x130, 0x212A]


@pytest.mark.parametrize(
    ("text", "needle"),
    [
        ("customer-123", b"customer-123"),
        ('"to": "customer-7@example.org"', b"customer-7@example.org"),
        ("order 33", b"order"),
        ("1e5", None),
        ("12345", None),
        ("null", None),
        ("status", None),
        ("na\u00efve", None),
        ("ab", None),
        ("", None),
    ],
)
def test_a_needle_is_what_only_a_string_can_hold(text: str, needle: bytes | None) -> None:
    assert needle_of(text) == needle
