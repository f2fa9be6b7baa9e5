"""The signature of a failure: the same for the same cause, and never the same for two types."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmq_cli.models.jobs import Job
from asyncmq_cli.services.jobs.failure_groups import MAX_GROUPS, generalized, grouped, signature

CLASS_NAMES = st.from_regex(r"[A-Z][a-z]{1,8}(Error|Exception)", fullmatch=True)
MESSAGES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=60)


def dead(kind: str, message: str, *, job_id: str = "x", died: float = 1.0, task: str = "t") -> Job:
    text = f'Traceback (most recent call last):\n  File "a.py", line 3, in f\n    g()\n{kind}: {message}\n'
    return Job("q", job_id, "failed", {"task": task, "error_traceback": text}, dead_at=died)


@given(MESSAGES)
def test_a_general_message_is_its_own_generalization(message: str) -> None:
    assert generalized(generalized(message)) == generalized(message)


@given(kind=CLASS_NAMES, other=CLASS_NAMES, message=MESSAGES)
def test_two_types_are_never_in_one_group(kind: str, other: str, message: str) -> None:
    same = signature(dead(kind, message)).id == signature(dead(other, message)).id
    assert same is (kind == other)


@given(kind=CLASS_NAMES, number=st.integers(0, 10**12), address=st.ip_addresses(v=4), name=st.uuids())
def test_what_changes_from_failure_to_failure_does_not_part_them(
    kind: str, number: int, address: object, name: object
) -> None:
    def message(n: object, a: object, u: object) -> str:
        return f"order {n} of {u} from {a}:443 failed in {n} ms (see https://example.org/{u}?n={n})"

    first = signature(dead(kind, message(number, address, name)))
    assert first == signature(dead(kind, message(7, "10.0.0.1", "00000000-0000-0000-0000-00000000000a")))
    assert first.id == signature(dead(kind, message(number, address, name))).id


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("'abc'", "<value>"),
        ('no user "jane" in `people`', "no user <value> in <value>"),
        ("can't find it, isn't there", "can't find it, isn't there"),
        ("object at 0x7f3a9c is gone", "object at <*> is gone"),
        ("mail to jane.doe@example.org bounced", "mail to <email> bounced"),
        ("commit 9f8e7d6c5b is missing", "commit <*> is missing"),
        ("took 12.5s of 1_000", "took <*>s of <*>"),
        ("first line\nsecond line 5", "first line"),
        ("  spaces   and\ttabs ", "spaces and tabs"),
    ],
)
def test_examples(message: str, expected: str) -> None:
    assert generalized(message) == expected


def test_expired_jobs_and_those_without_an_error_are_groups_of_their_own() -> None:
    expired = Job("q", "1", "expired", {"last_error": "ValueError: earlier"})
    silent = Job("q", "2", "failed", {})
    unreadable = Job("q", "3", "failed", None, problem="damaged")
    found = {signature(job) for job in (expired, silent, unreadable)}
    assert len(found) == 3
    assert {one.type for one in found} == {None}


def test_a_group_tells_how_often_when_first_and_last_and_one_job() -> None:
    jobs = [dead("AError", f"n {n}", job_id=f"a{n}", died=100.0 - n, task=f"t{n % 2}") for n in range(4)]
    jobs.append(dead("BError", "x", job_id="b", died=50.0))
    scanned, left_out, (first, second) = grouped(jobs)
    assert (scanned, left_out) == (5, 0)
    assert (first.count, first.first_seen, first.last_seen, first.sample_job_id) == (4, 97.0, 100.0, "a3")
    assert (first.tasks, second.count, second.sample_job_id) == (("t0", "t1"), 1, "b")


def test_memory_is_bounded_and_what_is_left_out_is_told() -> None:
    words = ("".join(chr(97 + (n // 26**k) % 26) for k in range(4)) for n in range(MAX_GROUPS + 50))
    scanned, left_out, groups = grouped(dead("AError", word) for word in words)
    assert (scanned, left_out, len(groups)) == (MAX_GROUPS + 50, 50, MAX_GROUPS)
