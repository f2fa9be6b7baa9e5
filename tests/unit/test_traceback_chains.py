"""The oracle is Python's own `traceback.TracebackException`."""

from __future__ import annotations

import re
import sys

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from asyncmq_cli.models import Job
from asyncmq_cli.services.traceback import job_error
from tests.unit.strategies import ANY_TEXT
from tests.unit.tracebacks import agrees_with_python, raised_by, read, text_of

CAUSE = "The above exception was the direct cause of the following exception:"
CONTEXT = "During handling of the above exception, another exception occurred:"


def fail(message: str = "no such address") -> None:
    raise ValueError(message)


def fail_with_cause() -> None:
    try:
        fail()
    except ValueError as exc:
        raise RuntimeError("could not send") from exc


def fail_in_handler() -> None:
    try:
        fail_with_cause()
    except RuntimeError:
        {}["fallback"]


def fail_from_nothing() -> None:
    try:
        fail()
    except ValueError:
        raise RuntimeError("could not send") from None


def fail_with_unraised_cause() -> None:
    try:
        raise RuntimeError("could not send") from ValueError("no such address")
    except RuntimeError as exc:
        raise LookupError("mail") from exc


class CardDeclined(Exception):
    pass


CardDeclined.__module__ = "acme.payments.errors"


def fail_with_own_class() -> None:
    raise CardDeclined("card 4242: declined: try later")


def fail_with_local_class() -> None:
    class Überlauf(Exception):
        pass

    raise Überlauf("voll")


def fail_without_message() -> None:
    raise TimeoutError


def fail_without_source() -> None:
    exec(compile("def job():\n    raise ValueError('generated')\njob()", "<generated>", "exec"), {})  # noqa: S102


@pytest.mark.parametrize(
    ("call", "chain"),
    [
        (fail, ["ValueError: no such address"]),
        (fail_from_nothing, ["RuntimeError: could not send"]),
        (fail_with_cause, ["ValueError: no such address", "RuntimeError: could not send"]),
        (
            fail_in_handler,
            ["ValueError: no such address", "RuntimeError: could not send", "KeyError: 'fallback'"],
        ),
        (
            fail_with_unraised_cause,
            ["ValueError: no such address", "RuntimeError: could not send", "LookupError: mail"],
        ),
        (fail_with_own_class, ["acme.payments.errors.CardDeclined: card 4242: declined: try later"]),
        (fail_without_message, ["TimeoutError"]),
        (fail_without_source, ["ValueError: generated"]),
    ],
)
def test_a_real_traceback_is_read_as_python_means_it(call: type, chain: list[str]) -> None:
    assert agrees_with_python(raised_by(call)).chain == chain


def test_a_class_made_in_a_function_is_named_in_full() -> None:
    error = agrees_with_python(raised_by(fail_with_local_class))
    assert error.type == "tests.unit.test_traceback_chains.fail_with_local_class.<locals>.Überlauf"
    assert error.message == "voll"


LINES = st.sampled_from(
    [
        "",
        CAUSE,
        CONTEXT,
        "Traceback (most recent call last):",
        "  + Exception Group Traceback (most recent call last):",
        '  File "/app/mail.py", line 3, in send',
        "    raise ValueError",
        "  | ",
        "  +-+---------------- 1 ----------------",
        "KeyError: 'x'",
        "  [Previous line repeated 3 more times]",
        "    ~~^~~",
    ]
)
MESSAGES = ANY_TEXT | st.lists(LINES | ANY_TEXT, max_size=6).map("\n".join)


@given(st.lists(st.tuples(MESSAGES, st.booleans()), min_size=1, max_size=4))
@example([("", True), (" ", False), ("\n", True), ("\n\n  x \n", True)])
@example([("a\x0cb\x85c\u2028d\re\r\nf", True), (": x", True)])
@example([(f"a\n{CAUSE}\nb", True), (f"{CONTEXT}\n\nx", False)])
def test_whatever_the_messages_say_the_chain_is_the_one_that_was_raised(
    links: list[tuple[str, bool]],
) -> None:
    for message, _ in links:
        # Between two empty lines such a sentence cannot be told from Python's own.
        assume(not any(f"\n\n{sentence}" in f"\n{message}" for sentence in (CAUSE, CONTEXT)))

    def raise_chain(links: list[tuple[str, bool]]) -> None:
        (message, as_cause), *inner = links
        try:
            if inner:
                raise_chain(inner)
        except ValueError as exc:
            if as_cause:
                raise ValueError(message) from exc
            raise ValueError(message)  # noqa: B904
        raise ValueError(message)

    agrees_with_python(raised_by(lambda: raise_chain(links)))


def test_a_syntax_error_has_its_place_as_the_last_frame() -> None:
    error = read(text_of(raised_by(lambda: compile("send mail", "<job>", "exec"))))
    assert (error.type, error.message) == ("SyntaxError", "invalid syntax")
    last = error.frames[-1]
    assert (last.path, last.line, last.function, last.source) == ("<job>", 1, "", "send mail")


def test_the_line_that_stands_for_a_thousand_frames_is_no_frame_and_no_message() -> None:
    def deeper() -> None:
        deeper()

    exc = raised_by(deeper)
    assert "[Previous line repeated" in text_of(exc)
    error = read(text_of(exc))
    assert (error.type, error.message) == ("RecursionError", str(exc))
    assert error.chain == [f"RecursionError: {exc}"]
    assert {frame.function for frame in error.frames[1:]} == {"deeper"}


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups came with Python 3.11")
class TestExceptionGroups:
    @staticmethod
    def group(message: str) -> BaseException:
        inner = raised_by(fail_with_cause)
        assert isinstance(inner, Exception)
        nested = ExceptionGroup("inner", [inner])  # noqa: F821
        return ExceptionGroup(message, [raised_by(fail_in_handler), nested])  # type: ignore[list-item] # noqa: F821

    @given(MESSAGES)
    @example("\n\t\n")
    @example("a\n\nb\n  c")
    def test_its_members_are_no_links_of_the_chain(self, message: str) -> None:
        assume(message and not any(f"\n\n{sentence}" in f"\n{message}" for sentence in (CAUSE, CONTEXT)))
        # Python draws the margin after every character that ends a line, not only after `\n`.
        assume(not re.search("[\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]", message))

        def fail_in_group() -> None:
            raise self.group(message)

        agrees_with_python(raised_by(fail_in_group))

    def test_it_can_stand_anywhere_in_a_chain(self) -> None:
        def with_group_inside() -> None:
            try:
                fail()
            except ValueError as first:
                try:
                    raise self.group("two\nfailures") from first
                except Exception as second:
                    raise RuntimeError("gave up") from second

        error = agrees_with_python(raised_by(with_group_inside))
        assert [text.split(":")[0] for text in error.chain] == [
            "ValueError",
            "ExceptionGroup",
            "RuntimeError",
        ]

    def test_it_can_be_a_cause_that_was_never_raised(self) -> None:
        def with_unraised_group() -> None:
            raise RuntimeError("gave up") from self.group("two failures")

        assert len(agrees_with_python(raised_by(with_unraised_group)).chain) == 2

    def test_a_source_line_that_looks_like_its_margin_is_a_source_line(self) -> None:
        def with_bar() -> None:
            try:
                # fmt: off
                _ = (len("")
                     | fail())  # type: ignore[func-returns-value]
                # fmt: on
            except ValueError as exc:
                raise self.group("two failures") from exc

        sources = [frame.source for frame in agrees_with_python(raised_by(with_bar)).frames]
        assert any(source.startswith("| fail()") for source in sources)


@pytest.mark.parametrize(
    ("record", "type_", "message"),
    [
        ({"last_error": "ValueError: no such address"}, "ValueError", "no such address"),
        ({"last_error": "no such address: ada"}, None, "no such address: ada"),
        ({"last_error": "TimeoutError"}, "TimeoutError", ""),
        ({"exception": "job: gone"}, None, "job: gone"),
        ({"last_error": "worker: lost", "error_traceback": "no traceback"}, None, "worker: lost"),
    ],
)
def test_an_error_without_frames_is_its_text(record: dict[str, str], type_: str | None, message: str) -> None:
    error = job_error(Job("q", "1", "failed", record))
    assert error is not None
    assert (error.type, error.message, error.frames) == (type_, message, [])


def test_a_job_that_never_failed_has_no_error() -> None:
    assert job_error(Job("q", "1", "completed", {"last_error": None, "error_traceback": ""})) is None
    assert job_error(Job("q", "1", "completed", None)) is None
