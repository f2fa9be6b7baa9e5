"""The signature of a failure: the same for the same cause, and never the same for two types."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmq_cli.models.jobs import Job
from asyncmq_cli.services.jobs.causes import cause, generalized, outer_error, signature, telling
from tests.support import library
from tests.support.tracebacks import dead

CLASS_NAMES = st.from_regex(r"[A-Z][a-z]{1,8}(Error|Exception)", fullmatch=True)
MESSAGES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=60)


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


@given(
    st.sampled_from(["ValueError", "Error2", "S3Error", "0x1fError", "ExceptionGroup", "not a type"]),
    st.text("0129x.:-'\"`abf @/_\n", max_size=40),
    st.sampled_from(
        ["", "\n\nThe above exception was the direct cause of the following exception:\n\n", '\n  File "x"']
    ),
)
def test_cached_signatures_equal_uncached_ones(kind: str, message: str, rest: str) -> None:
    text = f'Traceback (most recent call last):\n  File "a.py", line 9, in f\n{kind}: {message}{rest}'
    job = Job("q", "1", "failed", {"error_traceback": text})
    assert signature(job) == cause(job)[0]


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
        ("  spaces   and\ttabs ", "spaces and tabs"),
    ],
)
def test_examples(message: str, expected: str) -> None:
    assert generalized(message) == expected


def test_expired_jobs_and_those_without_an_error_are_groups_of_their_own() -> None:
    expired = Job("q", "1", "expired", {"last_error": "ValueError: earlier"})
    silent = Job("q", "2", "failed", {})
    blank = Job("q", "2", "failed", {"last_error": " \n", "error_traceback": ""})
    unreadable = Job("q", "3", "failed", None, problem="damaged")
    found = {signature(job) for job in (expired, silent, blank, unreadable)}
    assert len(found) == 3
    assert {one.type for one in found} == {None}


def test_jobs_are_grouped_by_root_cause_and_not_by_the_caught_exception() -> None:
    text = library.TRACEBACK
    job = Job("q", "1", "failed", {"error_traceback": text})
    assert signature(job).type == "ConnectionRefusedError"
    assert outer_error(job) == "app.errors.DeliveryError: no mail server"
    other = text.replace("no mail server", "the receipt for ada@example.org was not sent")
    assert signature(Job("q", "2", "failed", {"error_traceback": other})).id == signature(job).id


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("first line\nsecond line 5", "first line"),
        ("\n  no such order  \n", "no such order"),
        (
            "the call ended with:\n\tstatus = LOST\n\tdetails = none",
            "the call ended with: status = LOST",
        ),
        ("---\nno disk\n---", "--- no disk"),
        ("ends with:", "ends with:"),
        (
            "2 validation errors for Order\nitems.0.price\n  Input should be a valid decimal "
            "[type=decimal_parsing, input_value='x', input_type=str]\n    For further information visit "
            "https://errors.pydantic.dev/2.5/v/decimal_parsing\ncurrency\n  Field required [type=missing, "
            "input_value={'a': 1}, input_type=dict]",
            "Order: items.0.price: Input should be a valid decimal",
        ),
        (
            "1 validation error for Trip\n  Value error, it ends before it begins [type=value_error, "
            "input_value={}, input_type=dict]\n    For further information visit https://errors.pydantic.dev/x",
            "Trip: Value error, it ends before it begins",
        ),
        (
            "1 validation error for Order\namount\n  value is not a valid integer (type=type_error.integer)",
            "Order: amount: value is not a valid integer",
        ),
    ],
)
def test_of_several_lines_the_one_that_says_something_is_kept(message: str, line: str) -> None:
    assert telling(message) == line
