"""The oracle is Python's own `traceback.TracebackException`."""

from __future__ import annotations

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from asyncmq_cli.models.jobs import Job
from asyncmq_cli.services.jobs.causes import job_error
from tests.support.tracebacks import (
    CAUSE,
    CONTEXT,
    MESSAGES,
    agrees_with_python,
    fail,
    fail_in_handler,
    fail_with_cause,
    fail_with_unraised_cause,
    imitates_python,
    raised_by,
    read,
    text_of,
)


def fail_from_nothing() -> None:
    try:
        fail()
    except ValueError:
        raise RuntimeError("could not send") from None


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
    assert error.type == "tests.services.jobs.test_traceback_chains.fail_with_local_class.<locals>.Überlauf"
    assert error.message == "voll"


@given(st.lists(st.tuples(MESSAGES, st.booleans()), min_size=1, max_size=4))
@example([("", True), (" ", False), ("\n", True), ("\n\n  x \n", True)])
@example([("a\x0cb\x85c\u2028d\re\r\nf", True), (": x", True)])
@example([(f"a\n{CAUSE}\nb", True), (f"{CONTEXT}\n\nx", False)])
def test_the_parsed_chain_equals_the_raised_one_with_any_messages(
    links: list[tuple[str, bool]],
) -> None:
    assume(not any(imitates_python(message) for message, _ in links))

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


def test_the_line_that_replaces_a_thousand_frames_is_neither_frame_nor_message() -> None:
    def deeper() -> None:
        deeper()

    exc = raised_by(deeper)
    assert "[Previous line repeated" in text_of(exc)
    error = read(text_of(exc))
    assert (error.type, error.message) == ("RecursionError", str(exc))
    assert error.chain == [f"RecursionError: {exc}"]
    assert {frame.function for frame in error.frames[1:]} == {"deeper"}


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
