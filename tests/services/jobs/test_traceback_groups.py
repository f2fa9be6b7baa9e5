"""Exception groups: each member has a traceback of its own."""

from __future__ import annotations

import re
import sys

import pytest
from hypothesis import assume, example, given

from tests.support.tracebacks import (
    MESSAGES,
    agrees_with_python,
    fail,
    fail_in_handler,
    fail_with_cause,
    imitates_python,
    raised_by,
)

pytestmark = pytest.mark.skipif(sys.version_info < (3, 11), reason="they came with Python 3.11")


def group(message: str) -> BaseException:
    inner = raised_by(fail_with_cause)
    assert isinstance(inner, Exception)
    nested = ExceptionGroup("inner", [inner])  # noqa: F821
    return ExceptionGroup(message, [raised_by(fail_in_handler), nested])  # type: ignore[list-item] # noqa: F821


@given(MESSAGES)
@example("\n\t\n")
@example("a\n\nb\n  c")
def test_the_members_of_a_group_are_no_links_of_the_chain(message: str) -> None:
    assume(message and not imitates_python(message))
    # Python draws the margin after every character that ends a line, not only after `\n`.
    assume(not re.search("[\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]", message))

    def fail_in_group() -> None:
        raise group(message)

    agrees_with_python(raised_by(fail_in_group))


def test_a_group_can_stand_anywhere_in_a_chain() -> None:
    def with_group_inside() -> None:
        try:
            fail()
        except ValueError as first:
            try:
                raise group("two\nfailures") from first
            except Exception as second:
                raise RuntimeError("gave up") from second

    error = agrees_with_python(raised_by(with_group_inside))
    assert [text.split(":")[0] for text in error.chain] == [
        "ValueError",
        "ExceptionGroup",
        "RuntimeError",
    ]


def test_a_group_can_be_a_cause_that_was_never_raised() -> None:
    def with_unraised_group() -> None:
        raise RuntimeError("gave up") from group("two failures")

    assert len(agrees_with_python(raised_by(with_unraised_group)).chain) == 2


def test_a_source_line_that_looks_like_a_groups_margin_is_a_source_line() -> None:
    def with_bar() -> None:
        try:
            # fmt: off
            _ = (len("")
                 | fail())  # type: ignore[func-returns-value]
            # fmt: on
        except ValueError as exc:
            raise group("two failures") from exc

    sources = [frame.source for frame in agrees_with_python(raised_by(with_bar)).frames]
    assert any(source.startswith("| fail()") for source in sources)
